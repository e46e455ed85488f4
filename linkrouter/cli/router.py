"""`linkrouter router`: the redirect service, with its recorder, its store and its sync."""

import asyncio
import sys
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from linkrouter.cli.options import run_service, settings_from, with_settings
from linkrouter.settings import RouterSettings

__all__ = ["router"]


@click.command()
@with_settings(RouterSettings)
@click.option("--worker", type=int, hidden=True, help="Number of this process under a supervisor.")
@click.option("--carrier", is_flag=True, hidden=True, help="Carry clicks from rings, under a supervisor.")
@click.option("--rings", type=click.Path(path_type=Path), hidden=True, help="Where rings are, under a supervisor.")
def router(worker: int | None, carrier: bool, rings: Path | None, **options: Any) -> None:
    """Redirect recipients, record their clicks and send them to central.

    SIGTERM stops gracefully within ten seconds; SIGHUP reads keyring, token and domains again.
    """
    settings = settings_from(RouterSettings, options)
    if carrier and rings is not None:
        from linkrouter.processes.carrier import run_carrier

        run_service(run_carrier(settings, rings))
    elif worker is not None and rings is not None:
        from linkrouter.processes.ring_worker import run_ring_worker

        run_service(run_ring_worker(settings, worker, rings))
    elif worker is not None:
        from linkrouter.processes.router import run_router

        run_service(run_router(settings, worker))
    else:
        sys.exit(run_service(_begin(settings)))


def _begin(settings: RouterSettings) -> Coroutine[Any, Any, int | None]:
    """Give what a router is where it was not started by a supervisor: one process, or the supervisor of several."""
    from linkrouter.processes.answering import load_keyring
    from linkrouter.processes.ring_place import choose_ring_directory
    from linkrouter.router.domains import load_domains

    load_keyring(settings)  # before anything is started, and before there are workers to say it many times
    load_domains(settings.domains)
    rings = choose_ring_directory(settings)
    if rings is None and settings.workers == 1:
        from linkrouter.processes.router import run_router

        return run_router(settings, None)
    return _supervise(settings.workers, ("--rings", str(rings)) if rings else ())


async def _supervise(count: int, rings: tuple[str, ...]) -> int:
    from linkrouter.processes.life_signs import signs_of_life
    from linkrouter.router.supervisor import run_workers

    command, loop = [sys.executable, "-m", "linkrouter", *sys.argv[1:]], asyncio.get_running_loop()
    with ExitStack() as stack:
        return await run_workers(command, count, rings, lambda: stack.enter_context(signs_of_life(loop)))

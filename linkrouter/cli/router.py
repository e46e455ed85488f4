"""`linkrouter router`: the redirect service, with its recorder, its store and its sync."""

import asyncio
import sys
from typing import Any

import click

from linkrouter.cli.options import run_service, settings_from, with_settings
from linkrouter.settings import RouterSettings

__all__ = ["router"]


@click.command()
@with_settings(RouterSettings)
@click.option("--worker", type=int, hidden=True, help="Number of this process under a supervisor.")
def router(worker: int | None, **options: Any) -> None:
    """Redirect recipients, record their clicks and send them to central.

    SIGTERM stops gracefully within ten seconds; SIGHUP reads keyring, token and domains again.
    """
    from linkrouter.processes.answering import load_keyring
    from linkrouter.processes.router import run_router
    from linkrouter.router.domains import load_domains

    settings = settings_from(RouterSettings, options)
    load_keyring(settings)  # before anything is started, and before there are workers to say it many times
    load_domains(settings.domains)
    if settings.workers > 1 and worker is None:
        sys.exit(run_service(_supervise(settings.workers)))
    run_service(run_router(settings, worker))


async def _supervise(count: int) -> int:
    from linkrouter.processes.life_signs import signs_of_life
    from linkrouter.router.supervisor import run_workers

    with signs_of_life(asyncio.get_running_loop()):
        return await run_workers([sys.executable, "-m", "linkrouter", *sys.argv[1:]], count)

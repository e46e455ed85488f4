"""`linkrouter central`: the ingest API, the statistics, the checks and the pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linkrouter.cli.options import settings_from, with_settings
from linkrouter.settings import CentralSettings

if TYPE_CHECKING:
    from linkrouter.central.app import Addition
    from linkrouter.central.routes import Route
    from linkrouter.checker.app import CheckApi

__all__ = ["central", "with_checks"]


@click.command()
@with_settings(CentralSettings)
def central(**options: Any) -> None:
    """Take clicks from routers and messages from senders, answer questions about them, and check mails.

    SIGTERM stops gracefully; SIGHUP reads the token files again.
    """
    import uvloop

    from linkrouter.central.app import run_central
    from linkrouter.observe import start_logging

    async def run() -> None:
        async with with_checks(settings) as checks:
            await run_central(settings, checks)

    settings = settings_from(CentralSettings, options)
    start_logging()
    uvloop.run(run())


@asynccontextmanager
async def with_checks(settings: CentralSettings) -> "AsyncIterator[Addition]":
    """Give what makes the centre check mails; without the extra `check` its paths answer 501.

    Raises:
        SettingsError: see `open_checker`.
        StoreError: likewise.
    """
    from linkrouter.central.app import Addition
    from linkrouter.central.files import StaticFile
    from linkrouter.checker.app import CheckApi
    from linkrouter.checker.compose import is_installed, open_checker
    from linkrouter.checker.jobs import CheckJobs
    from linkrouter.checker.page import page_files

    local = bool(settings.allow_network)
    files = tuple(StaticFile(*file) for file in page_files(local=local))
    async with AsyncExitStack() as stack:
        if not is_installed():
            yield Addition(routes=_check_routes(None), files=files)
            return
        checker = await stack.enter_async_context(open_checker(replace(settings, cache=_cache(settings))))
        jobs = await stack.enter_async_context(CheckJobs(checker, within_s=settings.total_timeout))
        yield Addition(routes=_check_routes(CheckApi(checker, jobs, local=local)), files=files, stop=jobs.stop)


def _cache(settings: CentralSettings) -> Path | None:
    """Give where verdicts are kept: where the centre may write anyhow, unless told otherwise."""
    scheme, _, path = settings.database.partition(":///")
    return settings.cache or (Path(path).parent / "checks.db" if scheme == "sqlite" else None)


def _check_routes(api: "CheckApi | None") -> "tuple[Route, ...]":
    """Give the paths of *api*; they are there without one, too, and say so."""
    from linkrouter.central.routes import Route
    from linkrouter.checker import models
    from linkrouter.checker.app import CheckApi

    def route(ask: Callable[[CheckApi, Any], Awaitable[Any]], **more: Any) -> Route:
        return Route(may="all else", rules=models.RULES, answer=_answer(ask, api), **more)

    return (
        route(
            CheckApi.start_check,
            method="POST",
            path="/v1/checks",
            body=models.CheckRequest,
            max_body_bytes=models.MAX_BODY_BYTES,
            gives=models.CheckResult,
            status=202,
            location=lambda result: f"/v1/checks/{result['id']}",
            refuses=(429, 501),
        ),
        route(
            CheckApi.tell_check,
            method="GET",
            path="/v1/checks/{id}",
            query=models.CheckQuery,
            gives=models.CheckResult,
            refuses=(501,),
        ),
        route(
            CheckApi.follow_check,
            method="GET",
            path="/v1/checks/{id}/events",
            query=models.CheckEventsQuery,
            gives=models.LinkEvent,
            streams=True,
            refuses=(501,),
        ),
    )


def _answer(
    ask: "Callable[[CheckApi, Any], Awaitable[Any]]", api: "CheckApi | None"
) -> Callable[[object, Any], Awaitable[Any]]:
    """Make *ask*, a method of `CheckApi`, an answer of the centre, with its name and its words."""
    from linkrouter.central.models import Fault
    from linkrouter.central.problems import Refusal
    from linkrouter.checker.app import Refused

    @wraps(ask)
    async def answer(_: object, asked: Any) -> Any:
        result = await ask(api, asked) if api is not None else Refused(501)
        if isinstance(result, Refused):
            return Refusal(result.status, Fault(result.reason) if result.reason else None)
        return result

    return answer

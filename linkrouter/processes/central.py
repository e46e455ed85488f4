"""The process of central: the ingest API, the statistics, the checks and the pages.

Promise: SIGTERM ends it within ten seconds with every accepted request answered; SIGHUP reads the tokens again, and a
bad file keeps the old ones. What keeps it from starting is one line with the setting and the cure.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any

from linkrouter.central.app import Addition, create_app, serving
from linkrouter.central.models import Fault
from linkrouter.central.routes import ROUTES, Route
from linkrouter.central.store.interface import open_central_store
from linkrouter.checker.api import models
from linkrouter.checker.api.checks import CheckApi, Refused
from linkrouter.checker.api.jobs import CheckJobs
from linkrouter.checker.api.page import page_files
from linkrouter.checker.compose import is_installed, open_checker
from linkrouter.errors import SettingsError
from linkrouter.log import log, quiet_exception_handler
from linkrouter.processes.hangup import reload_on_hangup
from linkrouter.settings import CentralSettings
from linkrouter.web.files import StaticFile
from linkrouter.web.problems import Refusal
from linkrouter.web.serving import TOKENS, TokenBox
from linkrouter.web.tokens import Tokens

__all__ = ["run_central", "with_checks"]


async def run_central(settings: CentralSettings, addition: Addition | None = None) -> None:
    """Serve until SIGTERM or SIGINT, with what *addition* holds.

    Raises:
        SettingsError: the tokens, the database or the port cannot be used.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(quiet_exception_handler)
    addition = addition or Addition()
    tokens = Tokens.load(settings.ingest_token_file, settings.api_token_file)
    store = open_central_store(settings.database)
    try:
        await store.open()
        app = create_app(store, tokens, (*ROUTES, *addition.routes), addition.files)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        reload_on_hangup(loop, partial(_reload_tokens, app[TOKENS], settings))
        async with serving(app, settings.listen) as port:
            log("central.started", host=settings.listen.host, port=port)
            await stop.wait()
            addition.stop()
        log("central.stopped")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        await store.close()


def _reload_tokens(box: TokenBox, settings: CentralSettings) -> None:
    try:
        box.tokens = Tokens.load(settings.ingest_token_file, settings.api_token_file)
    except SettingsError:
        log("tokens.kept")
    else:
        log("tokens.loaded")


@asynccontextmanager
async def with_checks(settings: CentralSettings) -> "AsyncIterator[Addition]":
    """Give what makes the centre check mails; without the extra `check` its paths answer 501.

    Raises:
        SettingsError: see `open_checker`.
        StoreError: likewise.
    """

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

    @wraps(ask)
    async def answer(_: object, asked: Any) -> Any:
        result = await ask(api, asked) if api is not None else Refused(501)
        if isinstance(result, Refused):
            return Refusal(result.status, Fault(result.reason) if result.reason else None)
        return result

    return answer

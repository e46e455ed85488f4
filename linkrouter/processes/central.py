"""The process of central: the ingest API, the statistics, the checks and the pages.

Promise: SIGTERM ends it within ten seconds with every accepted request answered; SIGHUP reads the tokens again, and a
bad file keeps the old ones. What keeps it from starting is one line with the setting and the cure.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from linkrouter import __version__
from linkrouter.central.api import central_routes
from linkrouter.central.labelling import label_forever
from linkrouter.central.labels import Insight
from linkrouter.central.store.interface import CentralStore, ClickLog, open_central_store
from linkrouter.checker.api.checks import CheckApi
from linkrouter.checker.api.jobs import CheckJobs
from linkrouter.checker.api.page import page_files
from linkrouter.checker.api.routes import check_routes
from linkrouter.checker.compose import is_installed, open_checker
from linkrouter.errors import SettingsError
from linkrouter.insight import Networks, Places, has_fast_agent_parser
from linkrouter.log import log, quiet_exception_handler
from linkrouter.processes.hangup import reload_on_hangup
from linkrouter.settings import CentralSettings
from linkrouter.web.files import StaticFile
from linkrouter.web.openapi import with_document
from linkrouter.web.routes import Route
from linkrouter.web.server import Application, create_app, serving
from linkrouter.web.serving import TOKENS, TokenBox
from linkrouter.web.tokens import Tokens

__all__ = ["Checks", "central_app", "labelling", "run_central", "with_checks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The check in central: its paths, its pages, and what must end before the server can."""

    routes: tuple[Route, ...] = ()
    files: tuple[StaticFile, ...] = ()
    stop: Callable[[], None] = lambda: None


def central_app(store: CentralStore, tokens: Tokens, checks: Checks) -> Application:
    """Make the application of central over an open *store*."""
    routes = (*central_routes(store), *checks.routes)
    return create_app(tokens, with_document(routes, "linkrouter central", __version__), checks.files)


async def run_central(settings: CentralSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: the tokens, the database or the port cannot be used.
        StoreError: the database, or the cache of the check, cannot be opened.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(quiet_exception_handler)
    tokens = Tokens.load(settings.ingest_token_file, settings.api_token_file)
    async with AsyncExitStack() as stack:
        checks = await stack.enter_async_context(with_checks(settings))
        store = open_central_store(settings.database)
        stack.push_async_callback(store.close)
        await store.open()
        await stack.enter_async_context(labelling(store, settings))
        app = central_app(store, tokens, checks)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        stack.callback(_restore_signals, loop)
        reload_on_hangup(loop, partial(_reload_tokens, app[TOKENS], settings))
        async with serving(app, settings.listen) as port:
            log("central.started", port=port)
            await stop.wait()
            checks.stop()
        log("central.stopped")


def _restore_signals(loop: asyncio.AbstractEventLoop) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.remove_signal_handler(number)


@asynccontextmanager
async def labelling(store: ClickLog, settings: CentralSettings) -> AsyncIterator[None]:
    """Label clicks while the block runs.

    Raises:
        SettingsError: GEOIP, CLOUD_RANGES or RELAY_RANGES cannot be used.
    """
    if not has_fast_agent_parser():
        log("central.slow_agents")
    networks = Networks.load(settings.cloud_ranges, settings.relay_ranges)
    insight = Insight(Places(settings.geoip), networks)
    task = asyncio.create_task(label_forever(store, insight, settings.settle_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        insight.places.close()


def _reload_tokens(box: TokenBox, settings: CentralSettings) -> None:
    try:
        box.tokens = Tokens.load(settings.ingest_token_file, settings.api_token_file)
    except SettingsError:
        log("tokens.kept")
    else:
        log("tokens.loaded")


@asynccontextmanager
async def with_checks(settings: CentralSettings) -> AsyncIterator[Checks]:
    """Give what makes central check mails; without the extra `check` its paths answer 501.

    Raises:
        SettingsError: see `open_checker`.
        StoreError: likewise.
    """
    local = bool(settings.allow_network)
    files = page_files(local=local)
    async with AsyncExitStack() as stack:
        if not is_installed():
            yield Checks(routes=check_routes(None), files=files)
            return
        checker = await stack.enter_async_context(open_checker(replace(settings, cache=_cache(settings))))
        jobs = await stack.enter_async_context(CheckJobs(checker, within_s=settings.total_timeout))
        yield Checks(routes=check_routes(CheckApi(checker, jobs, local=local)), files=files, stop=jobs.stop)


def _cache(settings: CentralSettings) -> Path | None:
    """Give where verdicts are kept: where central may write anyhow, unless told otherwise."""
    scheme, _, path = settings.database.partition(":///")
    return settings.cache or (Path(path).parent / "checks.db" if scheme == "sqlite" else None)

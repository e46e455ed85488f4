"""The process of central: the ingest API, the statistics, the checks and the pages.

Promise: SIGTERM ends it within ten seconds with every accepted request answered; SIGHUP reads the tokens again, and a
bad file keeps the old ones. What keeps it from starting is one line with the setting and the cure.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from linkrouter import __version__
from linkrouter.central.api import central_routes
from linkrouter.central.dashboard.check import CHECK_PATH
from linkrouter.central.dashboard.routes import dashboard_files, dashboard_pages
from linkrouter.central.labels import Insight
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.opening import open_central_store
from linkrouter.central.watch.routes import WatchApi
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.central.webhooks.posting import Poster
from linkrouter.checker.api.checks import CheckApi
from linkrouter.checker.api.jobs import CheckJobs
from linkrouter.checker.api.page import page_files
from linkrouter.checker.api.routes import check_routes
from linkrouter.checker.check import Checker
from linkrouter.checker.compose import is_installed, open_checker
from linkrouter.log import log, quiet_exception_handler
from linkrouter.metrics import Metrics
from linkrouter.processes.observing import observing
from linkrouter.processes.signals import reload_on_hangup, until_stopped
from linkrouter.processes.upkeep import central_admin_port, open_insight, upkeep
from linkrouter.processes.watching import make_watch
from linkrouter.settings import CentralSettings
from linkrouter.units import HOUR_S
from linkrouter.web.files import StaticFile
from linkrouter.web.openapi import with_document
from linkrouter.web.routes import Route
from linkrouter.web.server import Application, create_app, serving
from linkrouter.web.serving import TOKENS
from linkrouter.web.sessions import Sessions
from linkrouter.web.tokens import Tokens

__all__ = ["Checks", "central_app", "run_central", "with_checks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The check in central: its paths, its pages, and what must end before the server can."""

    routes: tuple[Route, ...] = ()
    files: tuple[StaticFile, ...] = ()
    stop: Callable[[], None] = lambda: None
    checker: Checker | None = None


def central_app(
    store: CentralStore,
    tokens: Tokens,
    checks: Checks,
    insight: Insight | None = None,
    min_cell: int = 0,
    metrics: Metrics | None = None,
    delivery: WebhookDelivery | None = None,
    watch: WatchApi | None = None,
) -> Application:
    """Make the application of central over an open *store*; see `central_routes` for the rest."""
    metrics, watch = metrics or Metrics(), watch or WatchApi(store)
    routes = (*central_routes(store, insight, min_cell, metrics, delivery, watch), *checks.routes)
    documented = with_document(routes, "linkrouter central", __version__)
    observe = observing(metrics, "linkrouter_central_request_seconds", "linkrouter_central_errors")
    sessions = Sessions()
    if find_spec("jinja2") is None:  # the extra "dashboard" is not installed
        return create_app(tokens, documented, checks.files, observe=observe)
    check_page = "".join(file.content.decode() for file in checks.files if file.path == CHECK_PATH)
    files = (*(file for file in checks.files if file.path != CHECK_PATH), *dashboard_files())
    pages = dashboard_pages(store, insight or Insight(), min_cell, sessions, watch, check_page, delivery)
    return create_app(tokens, documented, files, pages=pages, sessions=sessions, observe=observe)


async def run_central(settings: CentralSettings, *, hour_s: float = HOUR_S) -> None:
    """Serve until SIGTERM or SIGINT; *hour_s* is how long an hour takes between looks at what was sent.

    Raises:
        KeyringError: TAKEBACK_KEYS cannot be used.
        SettingsError: the tokens, the database or the port cannot be used.
        StoreError: the database, or the cache of the check, cannot be opened.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(quiet_exception_handler)
    tokens = _load_tokens(settings)
    async with AsyncExitStack() as stack:
        metrics = Metrics("central")
        checks = await stack.enter_async_context(with_checks(settings, metrics))
        store = open_central_store(settings.database)
        stack.push_async_callback(store.close)
        await store.open()
        insight = await stack.enter_async_context(open_insight(settings))
        watch, watcher = make_watch(store, checks.checker, settings, metrics, hour_s=hour_s)
        delivery = WebhookDelivery(store, Poster(settings.allow_network), metrics, watch)
        await stack.enter_async_context(upkeep(store, insight, settings, metrics, delivery, watcher))
        await stack.enter_async_context(central_admin_port(settings, metrics))
        app = central_app(store, tokens, checks, insight, settings.min_cell, metrics, delivery, watch)
        wait = stack.enter_context(until_stopped(loop))
        reload_on_hangup(loop, partial(app[TOKENS].reload, partial(_load_tokens, settings)))
        gc.freeze()  # what lives as long as the process is not walked over while requests wait
        async with serving(app, settings.listen) as port:
            log("central.started", port=port)
            await wait()
            checks.stop()
        log("central.stopped")


def _load_tokens(settings: CentralSettings) -> Tokens:
    files = settings.ingest_token_file, settings.api_token_file
    return Tokens.load(*files, accept_mounted=settings.mounted_secrets)


@asynccontextmanager
async def with_checks(settings: CentralSettings, metrics: Metrics | None = None) -> AsyncIterator[Checks]:
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
        jobs = await stack.enter_async_context(CheckJobs(checker, within_s=settings.total_timeout, metrics=metrics))
        routes = check_routes(CheckApi(checker, jobs, local=local))
        yield Checks(routes=routes, files=files, stop=jobs.stop, checker=checker)


def _cache(settings: CentralSettings) -> Path | None:
    """Give where verdicts are kept: where central may write anyhow, unless told otherwise."""
    scheme, _, path = settings.database.partition(":///")
    return settings.cache or (Path(path).parent / "checks.db" if scheme == "sqlite" else None)

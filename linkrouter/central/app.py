"""The centre's server: the application, and the process around it.

Promise: SIGTERM ends it within ten seconds with every accepted request answered; SIGHUP reads the tokens again, and a
bad file keeps the old ones. What keeps it from starting is one line with the setting and the cure.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from linkrouter import __version__
from linkrouter.central.files import StaticFile, serve_file
from linkrouter.central.openapi import with_document
from linkrouter.central.problems import MAX_BODY_BYTES
from linkrouter.central.routes import ROUTES, Route
from linkrouter.central.serving import BODY_DEADLINE_S, STORE, TOKENS, QuietRunner, TokenBox, refuse_plainly, serve
from linkrouter.central.store import CentralStore, open_central_store
from linkrouter.central.tokens import Tokens
from linkrouter.errors import SettingsError
from linkrouter.observe import log, quiet_exception_handler
from linkrouter.settings import Address, CentralSettings

__all__ = ["Addition", "create_app", "run_central", "serving"]

SHUTDOWN_S = 8  # for requests in flight; systemd and HAProxy are told ten
BODY_S = 30.0  # for a body to arrive
LINGER_S = 2  # a client that is still sending when it is refused must get to read why


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What the composition adds to the centre: paths, files, and what must end before the server can."""

    routes: tuple[Route, ...] = ()
    files: tuple[StaticFile, ...] = ()
    stop: Callable[[], None] = lambda: None


def create_app(
    store: CentralStore,
    tokens: Tokens,
    routes: Sequence[Route] = ROUTES,
    files: Sequence[StaticFile] = (),
    *,
    body_deadline_s: float = BODY_S,
) -> web.Application:
    """Make the application over an open *store*."""
    app = web.Application(middlewares=[refuse_plainly], client_max_size=MAX_BODY_BYTES)
    app[STORE] = store
    app[TOKENS] = TokenBox(tokens)
    app[BODY_DEADLINE_S] = body_deadline_s
    app.add_routes([serve(route) for route in with_document(routes, __version__)])
    app.add_routes([serve_file(file) for file in files])
    return app


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
        loop.add_signal_handler(signal.SIGHUP, _reload_tokens, app[TOKENS], settings)
        async with serving(app, settings.listen) as port:
            log("central.started", host=settings.listen.host, port=port)
            await stop.wait()
            addition.stop()
        log("central.stopped")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        await store.close()


@asynccontextmanager
async def serving(app: web.Application, listen: Address) -> AsyncIterator[int]:
    """Serve *app* at *listen* while the block runs, and give the port; requests in flight are answered at its end.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    runner = QuietRunner(
        app, access_log=None, shutdown_timeout=SHUTDOWN_S, lingering_time=LINGER_S, handle_signals=False
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as exc:
            raise SettingsError(
                f"LISTEN: {str(listen)!r} cannot be listened on ({exc.strerror}); "
                "stop what uses it, or give another HOST:PORT"
            ) from exc
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _reload_tokens(box: TokenBox, settings: CentralSettings) -> None:
    try:
        box.tokens = Tokens.load(settings.ingest_token_file, settings.api_token_file)
    except SettingsError:
        log("tokens.kept")
    else:
        log("tokens.loaded")

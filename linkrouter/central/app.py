"""The application of central, and how it is served.

Promise: every accepted request is answered before the server ends.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from linkrouter import __version__
from linkrouter.central.routes import ROUTES, Route
from linkrouter.central.store.interface import CentralStore
from linkrouter.errors import SettingsError
from linkrouter.settings import Address
from linkrouter.web.files import StaticFile, serve_file
from linkrouter.web.openapi import with_document
from linkrouter.web.problems import MAX_BODY_BYTES
from linkrouter.web.serving import BODY_DEADLINE_S, STORE, TOKENS, QuietRunner, TokenBox, refuse_plainly, serve
from linkrouter.web.tokens import Tokens

__all__ = ["Addition", "create_app", "serving"]

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

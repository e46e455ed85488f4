"""The application made of a route table, and how it is served.

Promise: every accepted request is answered before the server ends.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from linkrouter.settings import Address, listen_error
from linkrouter.web.files import StaticFile, serve_file
from linkrouter.web.pages import SESSIONS, Page, serve_page, signed_in_to_call
from linkrouter.web.routes import DEFAULT_MAX_BODY_BYTES, Route
from linkrouter.web.serving import (
    BODY_DEADLINE_S,
    OBSERVE,
    SIGNED_IN,
    TOKENS,
    Observe,
    QuietRunner,
    TokenBox,
    refuse_plainly,
    serve_route,
)
from linkrouter.web.sessions import Sessions
from linkrouter.web.tokens import Tokens

__all__ = ["Application", "create_app", "serving"]

Application = web.Application

ANSWERS_WITHIN_S = 8  # for requests in flight; systemd and HAProxy are told ten
BODY_WITHIN_S = 30.0  # for a body to arrive
LINGER_S = 2  # a client that is still sending when it is refused must get to read why


def create_app(
    tokens: Tokens,
    routes: Sequence[Route],
    files: Sequence[StaticFile] = (),
    *,
    pages: Callable[[TokenBox], Sequence[Page]] = lambda box: (),
    sessions: Sessions | None = None,
    body_deadline_s: float = BODY_WITHIN_S,
    observe: Observe = lambda operation, status, seconds: None,
) -> web.Application:
    """Make the application that answers *routes* and serves *files*; *observe* hears of each answer.

    *pages* gives the pages for the tokens of the moment, and *sessions* holds who is signed in to them.
    """
    app = web.Application(middlewares=[refuse_plainly], client_max_size=DEFAULT_MAX_BODY_BYTES)
    app[TOKENS] = TokenBox(tokens)
    app[BODY_DEADLINE_S] = body_deadline_s
    app[OBSERVE] = observe
    app[SIGNED_IN] = signed_in_to_call
    app.add_routes([serve_route(route) for route in routes])
    app.add_routes([serve_file(file) for file in files])
    if sessions is not None:
        app[SESSIONS] = sessions
        app.add_routes([serve_page(page) for page in pages(app[TOKENS])])
    return app


@asynccontextmanager
async def serving(app: web.Application, listen: Address) -> AsyncIterator[int]:
    """Serve *app* at *listen* while the block runs, and give the port; requests in flight are answered at its end.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    runner = QuietRunner(
        app, access_log=None, shutdown_timeout=ANSWERS_WITHIN_S, lingering_time=LINGER_S, handle_signals=False
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as exc:
            raise listen_error("LISTEN", listen, exc) from exc
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()

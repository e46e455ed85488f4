"""The redirect service on aiohttp.

Promise: a redirect is answered from memory, before its click is durable, and costs little more than
parsing the request.

aiohttp's parser stays in front of every request. When a connection owes no answer and the parser yields a plain GET or
HEAD, the answer is written at once (the direct answer); everything else (bodies, upgrades, closing connections,
HTTP/1.0, a client that does not read, a draining server) goes through aiohttp's own task, queue and timers. Both write
what `Responder.answer` gives, so they cannot differ.
"""

import asyncio
import time
from typing import Any

from aiohttp import web
from aiohttp.http_writer import HttpVersion11

from linkrouter.log import log
from linkrouter.router.aiohttp_parts import find_missing_parts
from linkrouter.router.connection import AnswerBatch, DirectConnection, PlainConnection, WrittenAnswer
from linkrouter.router.responder import Responder

__all__ = ["RouterServer"]

SHUTDOWN_S = 3.0  # for requests in flight; they take microseconds


class _Server(web.Server):
    """aiohttp's low-level server, making our connections."""

    def __init__(self, responder: Responder, direct_answers: bool) -> None:
        super().__init__(self._handle)
        self.responder = responder
        missing = find_missing_parts()
        self._connection = PlainConnection if missing else DirectConnection
        self.batch = AnswerBatch(self._loop, responder) if direct_answers and not missing else None
        if missing:
            log("router.ordinary", missing=len(missing))

    def __call__(self) -> PlainConnection:
        return self._connection(self, loop=self._loop)

    async def _handle(self, request: web.BaseRequest) -> Any:
        """Answer the ordinary way."""
        began_at = time.perf_counter()
        close = not request.keep_alive or request.version != HttpVersion11 or request.body_exists
        close = close or self.responder.draining
        peer = request.protocol.peer  # type: ignore[attr-defined]  # every connection of ours knows it
        content = self.responder.answer(request.method, request.raw_path, request.headers, peer, close)
        self.responder.record()
        self.responder.times.observe(time.perf_counter() - began_at)
        return WrittenAnswer(content, keep_alive=not close)


class RouterServer:
    """The traffic port, where *responder* answers."""

    def __init__(self, responder: Responder, *, direct_answers: bool = True) -> None:
        self._responder = responder
        self._direct_answers = direct_answers
        self._runner: web.ServerRunner | None = None
        self._date_timer: asyncio.TimerHandle | None = None
        self.port = 0

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> None:
        """Listen on *host* and *port* (0 for a free one, then in `port`).

        Raises:
            OSError: the address is taken or is not this machine's.
        """
        self._runner = web.ServerRunner(_Server(self._responder, self._direct_answers), shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, reuse_port=reuse_port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._keep_date()

    def drain(self) -> None:
        """Stop being ready and close every connection after its next answer, but go on answering."""
        self._responder.draining = True

    async def stop(self) -> None:
        """Stop listening, let requests in flight finish, close."""
        if self._date_timer is not None:
            self._date_timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    def _keep_date(self) -> None:
        now_s = time.time()
        self._responder.answers.refresh(now_s)
        self._date_timer = asyncio.get_running_loop().call_later(1.0 - now_s % 1.0 + 0.001, self._keep_date)

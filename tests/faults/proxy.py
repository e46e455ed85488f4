"""A proxy between routers and the real centre that can be told to misbehave."""

import asyncio
import contextlib
import gzip
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from processes import free_port


@dataclass
class Exchange:
    """One request on its way to the centre."""

    head: bytes
    body: bytes
    writer: asyncio.StreamWriter
    centre_port: int

    async def ask(self) -> bytes:
        """Let the centre answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.centre_port)
        try:
            writer.write(self.head + self.body)
            head = await reader.readuntil(b"\r\n\r\n")
            return head + await reader.readexactly(_content_length(head))
        finally:
            writer.transport.abort()

    def answer(self, status: str, body: bytes = b"", *headers: str) -> None:
        lines = "".join(f"{header}\r\n" for header in headers)
        self.writer.write(f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)


Behaviour = Callable[[Exchange], Awaitable[None]]


async def pass_on(exchange: Exchange) -> None:
    """Do what a proxy should."""
    exchange.writer.write(await exchange.ask())


async def hold(exchange: Exchange) -> None:
    """Accept and never answer."""
    await asyncio.sleep(3600)


async def delay(exchange: Exchange) -> None:
    """Take a second for each answer."""
    answer = await exchange.ask()
    await asyncio.sleep(1.0)
    exchange.writer.write(answer)


async def drip(exchange: Exchange) -> None:
    """Answer byte by byte, for longer than anybody should wait."""
    for byte in await exchange.ask():
        exchange.writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


async def lose_the_reply(exchange: Exchange) -> None:
    """Let the centre commit, and cut the connection."""
    await exchange.ask()
    exchange.writer.transport.abort()


async def cut(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


async def answer_rubbish(exchange: Exchange) -> None:
    exchange.writer.write(bytes(range(256)) * 20)
    exchange.writer.transport.abort()


async def answer_for_somebody_else(exchange: Exchange) -> None:
    exchange.answer("200 OK", b"<html>Sign in to the network</html>")


async def answer_too_much(exchange: Exchange) -> None:
    """Answer 200 with a body that does not end, for as long as anybody reads."""
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        exchange.writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await exchange.writer.drain()


def refuse(status: str, *headers: str) -> Behaviour:
    """Answer *status* and let nothing through."""

    async def behave(exchange: Exchange) -> None:
        exchange.answer(status, b"", *headers)

    return behave


def refuse_large(max_bytes: int) -> Behaviour:
    """Be a proxy that takes no body larger than *max_bytes*."""

    async def behave(exchange: Exchange) -> None:
        if len(exchange.body) > max_bytes:
            exchange.answer("413 Content Too Large")
        else:
            await pass_on(exchange)

    return behave


def refuse_click(click_id: str) -> Behaviour:
    """Be a centre to which one click is poison."""

    async def behave(exchange: Exchange) -> None:
        if any(click["id"] == click_id for click in json.loads(gzip.decompress(exchange.body))["clicks"]):
            exchange.answer("422 Unprocessable Content", b"{}")
        else:
            await pass_on(exchange)

    return behave


@dataclass
class Proxy:
    """Serves *port* from `start` to `stop`, by a thread; assign another to `behave` at any time."""

    centre_port: int
    port: int = field(default_factory=free_port)
    behave: Behaviour = pass_on
    requests: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _tasks: set = field(default_factory=set)

    def start(self) -> None:
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_content_length(head))
                self.requests += 1
                await self.behave(Exchange(head, body, writer, self.centre_port))
                await writer.drain()
        writer.transport.abort()
        self._tasks.discard(task)


def _content_length(head: bytes) -> int:
    lines = head.decode("latin-1").lower().split("\r\n")
    return next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)

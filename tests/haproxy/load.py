"""An open-loop client that never retries: requests leave when they are due, whatever became of those before.

Three kinds of recipients take turns: one with a fresh connection for each request, one that keeps connections alive,
one that speaks HTTP/2. Every request is noted with its outcome. A connection that the other side has visibly closed, or
said it will, is not used again, as any client does; a request that was sent and not answered is lost.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset

HOST = "click.example.com"
GIVE_UP_S = 5.0
STREAMS = 50  # on one HTTP/2 connection before another is opened


@dataclass(slots=True)
class Outcome:
    """What became of one request; `status` is 0 when no answer came, and `fault` then says why."""

    number: int
    kind: str
    due_s: float  # when it was to leave, on the loop's clock
    latency_s: float = 0.0
    status: int = 0
    fault: str = ""

    @property
    def is_good(self) -> bool:
        return self.status == 302 and not self.fault


class Load:
    """Requests to the HAProxy at *address* over TLS; `run` until *stop* is set."""

    def __init__(self, address: tuple[str, int], ca: Path, rate: float, link: Callable[[], tuple[str, str]]) -> None:
        self.outcomes: list[Outcome] = []
        self._address = address
        self._rate = rate
        self._link = link
        self._tls = {name: _client_tls(ca, alpn) for name, alpn in (("h1", "http/1.1"), ("h2", "h2"))}
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._multiplexed: asyncio.Task[_Multiplexed] | None = None
        self._opened: list[_Multiplexed] = []  # each of them is closed in the end, also those that were going
        self._kinds = {"fresh": self._fresh, "keep-alive": self._keep_alive, "h2": self._h2}

    async def run(self, stop: asyncio.Event, longest_s: float) -> list[Outcome]:
        """Send `rate` requests a second until *stop*, or for *longest_s*; give all outcomes."""
        loop = asyncio.get_running_loop()
        start, number, kinds = loop.time(), 0, list(self._kinds)
        async with asyncio.TaskGroup() as requests:
            while not stop.is_set() and loop.time() < start + longest_s:
                due = start + number / self._rate
                await asyncio.sleep(max(0.0, due - loop.time()))
                requests.create_task(self._one(kinds[number % len(kinds)], due))
                number += 1
        for _, writer in self._idle:
            writer.transport.abort()
        if self._multiplexed is not None:
            self._multiplexed.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._multiplexed
        for connection in self._opened:
            connection.close()
        return self.outcomes

    async def _one(self, kind: str, due: float) -> None:
        path, destination = self._link()
        number = int(destination.split("/")[3].split("?")[0])
        outcome = Outcome(number, kind, due)
        try:
            async with asyncio.timeout(GIVE_UP_S):
                outcome.status, headers = await self._kinds[kind](path)
            if outcome.status == 302 and headers.get("location") != destination:
                outcome.fault = "another Location"
            elif "strict-transport-security" not in headers:
                outcome.fault = "no HSTS"
        except (OSError, EOFError, TimeoutError, ssl.SSLError) as exc:
            outcome.fault = type(exc).__name__
        outcome.latency_s = asyncio.get_running_loop().time() - due
        self.outcomes.append(outcome)

    async def _connect(self, protocol: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._address, ssl=self._tls[protocol], server_hostname=HOST)

    async def _fresh(self, path: str) -> tuple[int, dict[str, str]]:
        reader, writer = await self._connect("h1")
        try:
            return await _exchange(reader, writer, path)
        finally:
            writer.transport.abort()

    async def _keep_alive(self, path: str) -> tuple[int, dict[str, str]]:
        while self._idle:
            reader, writer = self._idle.popleft()
            if not reader.at_eof() and not writer.is_closing():
                break
            writer.transport.abort()
        else:
            reader, writer = await self._connect("h1")
        try:
            status, headers = await _exchange(reader, writer, path)
        except BaseException:
            writer.transport.abort()
            raise
        if headers.get("connection") == "close":
            writer.transport.abort()
        else:
            self._idle.append((reader, writer))
        return status, headers

    async def _h2(self, path: str) -> tuple[int, dict[str, str]]:
        # No await between the look and the task: two requests never open two connections where one will do.
        open_one = self._multiplexed
        if open_one is None or (open_one.done() and (open_one.exception() or not open_one.result().takes_more)):
            open_one = self._multiplexed = asyncio.create_task(self._open_multiplexed())
        return await (await asyncio.shield(open_one)).get(path)

    async def _open_multiplexed(self) -> "_Multiplexed":
        opened = _Multiplexed(*await self._connect("h2"))
        self._opened.append(opened)
        return opened


class _Graceful(H2Connection):
    """The library takes GOAWAY for the end; in RFC 9113 §6.8 streams that were sent before it are still answered."""

    def _receive_goaway_frame(self, frame):
        return [], [ConnectionTerminated()]


class _Multiplexed:
    """One HTTP/2 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = _Graceful(H2Configuration(client_side=True, header_encoding="ascii"))
        self._h2.initiate_connection()
        self._flush()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._headers: dict[int, dict[str, str]] = {}
        self._is_going = False
        self._reading = asyncio.create_task(self._read())

    @property
    def takes_more(self) -> bool:
        return not self._is_going and not self._writer.is_closing() and len(self._waiting) < STREAMS

    async def get(self, path: str) -> tuple[int, dict[str, str]]:
        if self._is_going:
            raise ConnectionResetError  # it ended between its opening and this request
        stream = self._h2.get_next_available_stream_id()
        request = {":method": "GET", ":authority": HOST, ":scheme": "https", ":path": path, "user-agent": "load/1"}
        self._h2.send_headers(stream, list(request.items()), end_stream=True)
        self._flush()
        self._waiting[stream] = done = asyncio.get_running_loop().create_future()
        try:
            await done
        finally:
            self._waiting.pop(stream, None)
            self._close_when_done()
        headers = self._headers.pop(stream)
        return int(headers[":status"]), headers

    def close(self) -> None:
        self._reading.cancel()
        self._writer.transport.abort()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
        finally:
            self._is_going = True
            for done in self._waiting.values():
                if not done.done():
                    done.set_exception(ConnectionResetError("closed before the answer"))

    def _take(self, event: object) -> None:
        if isinstance(event, ResponseReceived):
            self._headers[event.stream_id] = dict(event.headers)
        elif isinstance(event, StreamEnded):
            if not self._waiting[event.stream_id].done():
                self._waiting[event.stream_id].set_result(None)
        elif isinstance(event, StreamReset):
            if event.stream_id in self._waiting and not self._waiting[event.stream_id].done():
                self._waiting[event.stream_id].set_exception(ConnectionResetError(f"stream reset {event.error_code}"))
        elif isinstance(event, ConnectionTerminated):
            self._is_going = True  # GOAWAY: what was sent before is still answered
            self._close_when_done()

    def _close_when_done(self) -> None:
        if self._is_going and not self._waiting:
            self.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str
) -> tuple[int, dict[str, str]]:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: load/1\r\n\r\n".encode("ascii"))
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers


def _client_tls(ca: Path, alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols([alpn])
    return context

"""HTTP/2 for requests without a body, on one connection, as many at once as the server allows.

Promise: a request that the server says it did not process is told apart from one that it refused, and what it has begun
when it says that it will go is waited for. A server that sends frames without end is left. The protocol itself is h2's,
but for GOAWAY, after which h2 reads nothing more of what is still answered.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.fetch.faults import HungUp, NotProcessed, ProtocolFault, RequestFault
from linkrouter.checker.fetch.http1 import MAX_PAGE_BYTES, BodyLimit
from linkrouter.dial.dialer import Connection

__all__ = ["MAX_IDLE_EVENTS", "Headers", "Http2Connection"]

MAX_IDLE_EVENTS = 1000  # frames in a row that belong to no request
_FRAME_HEAD = 9  # length (3 bytes), type, flags, stream (4)
_MAX_FRAME = 16_384  # what we allow, by saying nothing else
_GOAWAY = 7
_SETTINGS = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.INITIAL_WINDOW_SIZE: MAX_PAGE_BYTES,
    SettingCodes.MAX_HEADER_LIST_SIZE: 256 * 1024,
}

Headers = Sequence[tuple[str, str]]


class Http2Connection:
    """HTTP/2 over *connection*; `start` it before the first request."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.local_settings = Settings(client=True, initial_values=_SETTINGS)
        self._streams: dict[int, _Stream] = {}
        self._reader: asyncio.Task[None] | None = None
        self._received = bytearray()
        self._idle_events = 0
        self.was_idle = False  # when it was looked at last
        self.is_over = False  # no further request may be made on it

    async def start(self) -> None:
        """Greet the server, and begin to read what it sends."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(16 * MAX_PAGE_BYTES)
        await self._flush()
        self._reader = asyncio.create_task(self._read())

    def close(self) -> None:
        """Close at once."""
        self.is_over = True
        if self._reader is not None:
            self._reader.cancel()
        self._connection.close()

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._streams

    async def ask(self, method: str, headers: Headers, limit: BodyLimit) -> HttpAnswer:
        """Send a request with *headers*, pseudo-headers first, and give its answer.

        Raises:
            RequestFault: there is no answer.
            OSError: the connection was cut.
        """
        if self.is_over or len(self._streams) >= self._h2.remote_settings.max_concurrent_streams:
            raise NotProcessed
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = _Stream(limit.max_bytes if method == "GET" else 0)
        try:
            self._h2.send_headers(number, [(":method", method), *headers], end_stream=True)
            await self._flush()
            await stream.headed
            with suppress(TimeoutError, RequestFault):  # the status is known, so a body cut short is still an answer
                async with asyncio.timeout(limit.within_s):
                    await stream.ended
            return stream.answer()
        except ProtocolError as exc:
            raise ProtocolFault from exc
        except asyncio.CancelledError:
            self.is_over = True  # nobody knows whether it still lives, so the next request finds another
            raise
        finally:
            del self._streams[number]
            stream.drop()
            self._cancel(number)
            if self.is_over and not self._streams:
                self.close()

    def _cancel(self, number: int) -> None:
        """Tell the server that no more is wanted of a stream that it has not ended."""
        with suppress(ProtocolError):
            self._h2.reset_stream(number, ErrorCodes.CANCEL)
            self._connection.write_soon(self._h2.data_to_send())

    async def _flush(self) -> None:
        await self._connection.write(self._h2.data_to_send())

    async def _read(self) -> None:
        fault: RequestFault = HungUp()
        try:
            while data := await self._connection.read():
                self._received += data
                for event in self._h2.receive_data(self._without_goaway()):
                    self._handle(event)
                await self._flush()
                if self._idle_events > MAX_IDLE_EVENTS:
                    fault = ProtocolFault()
                    break
        except ProtocolError:
            fault = ProtocolFault()
        except OSError:
            pass
        finally:
            self._end(NotProcessed() if self.is_over else fault)  # what it had begun before it went is asked again

    def _without_goaway(self) -> bytes:
        """Take the whole frames of what was received, and act on those that say that the server goes."""
        frames = bytearray()
        while len(self._received) >= _FRAME_HEAD:
            length = int.from_bytes(self._received[:3], "big")
            if length > _MAX_FRAME:
                raise ProtocolError
            if len(self._received) < _FRAME_HEAD + length:
                break
            frame = self._received[: _FRAME_HEAD + length]
            del self._received[: _FRAME_HEAD + length]
            if frame[3] == _GOAWAY and length >= 8:
                payload = frame[_FRAME_HEAD:]
                self._go_away(int.from_bytes(payload[:4], "big") & 0x7FFFFFFF, int.from_bytes(payload[4:8], "big"))
            else:
                frames += frame
        return bytes(frames)

    def _handle(self, event: Event) -> None:
        stream = self._streams.get(getattr(event, "stream_id", 0) or 0)
        self._idle_events = 0 if stream else self._idle_events + 1
        if isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if stream is not None:
            stream.handle(event)

    def _go_away(self, last: int, code: int) -> None:
        self.is_over = True
        self._idle_events += 1
        for number, stream in self._streams.items():
            if number > last:
                stream.fail(NotProcessed())
            elif code != ErrorCodes.NO_ERROR:
                stream.fail(ProtocolFault())

    def _end(self, fault: RequestFault) -> None:
        self.is_over = True
        for stream in self._streams.values():
            stream.fail(fault)
        self._connection.close()


class _Stream:
    """One request's answer, as it comes."""

    def __init__(self, max_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self.headed: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._max_bytes = max_bytes
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    def handle(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            self._headers = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            _settle(self.headed)
            if not self._max_bytes:
                _settle(self.ended)
        elif isinstance(event, DataReceived):
            self._body += event.data or b""
            if len(self._body) >= self._max_bytes:
                _settle(self.ended)
        elif isinstance(event, StreamEnded):
            _settle(self.ended)
        elif isinstance(event, StreamReset):
            refused = event.error_code == ErrorCodes.REFUSED_STREAM
            self.fail(NotProcessed() if refused else ProtocolFault())

    def fail(self, fault: RequestFault) -> None:
        for future in (self.headed, self.ended):
            if not future.done():
                future.set_exception(fault)

    def drop(self) -> None:
        """Want no more of it."""
        for future in (self.headed, self.ended):
            if not future.cancel() and not future.cancelled():
                future.exception()  # looked at, so that asyncio does not complain

    def answer(self) -> HttpAnswer:
        status = 0
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name == ":status":
                status = int(value) if value.isascii() and value.isdigit() else 0
            else:
                headers[name] = f"{headers[name]}\n{value}" if name in headers else value
        return HttpAnswer(status, headers, bytes(self._body[: self._max_bytes]))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

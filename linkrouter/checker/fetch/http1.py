"""HTTP/1.1 as browsers read it.

Promise: what Chromium and Firefox show is read, and as they read it: lines that are no headers, a second status line,
blanks before and after, missing reasons, folded and Latin-1 headers, chunk sizes with blanks. An answer costs 256 KB of
headers and its `BodyLimit` at most. A body cut short is still an answer, since the status is known.
"""

import asyncio
import re
from typing import NamedTuple

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.fetch.faults import HungUp, NotHttp, ProtocolFault
from linkrouter.dial.dialer import Connection

__all__ = ["MAX_HEADER_BYTES", "MAX_INTERIM", "MAX_PAGE_BYTES", "BodyLimit", "ask_http1"]

MAX_HEADER_BYTES = 256 * 1024  # Chromium's
MAX_PAGE_BYTES = 64 * 1024
MAX_INTERIM = 50  # 1xx answers before the real one


class BodyLimit(NamedTuple):
    """How much of a body is read, and for how long."""

    max_bytes: int
    within_s: float


_END = re.compile(rb"\n\r?\n")
# Chromium takes up to four bytes of rubbish before the status line, "ICY" for HTTP, and no status for 200.
_STATUS_LINE = re.compile(
    rb"(?s:.{0,4}?)(?:HTTP|ICY)(?:/[0-9]+(?:\.([0-9]+))?)?(?:[ \t]+([0-9]*))?(?![0-9])", re.IGNORECASE
)
_BEGINS_HTTP = re.compile(rb"(?s:.{0,4}?)(?:HTTP|ICY)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})(?![0-9a-fA-F])")


async def ask_http1(connection: Connection, method: str, request: bytes, limit: BodyLimit) -> tuple[HttpAnswer, bool]:
    """Send *request* and give its answer, and whether *connection* may be used again.

    Raises:
        RequestFault: there is no answer.
        OSError: the connection was cut.
    """
    await connection.write(request)
    reader = _Reader(connection, limit.max_bytes)
    for _ in range(MAX_INTERIM):
        minor, status, headers = _parse(await reader.head())
        if status >= 200 or status == 101:
            break
    else:
        raise ProtocolFault
    keep = _keeps_alive(minor, headers)
    if method == "HEAD" or status in (101, 204, 304):
        return HttpAnswer(status, headers), keep and status != 101 and not reader.has_more
    body = bytearray()
    try:
        async with asyncio.timeout(limit.within_s):
            complete = await reader.body(headers, body)
    except (TimeoutError, OSError):
        complete = False
    return HttpAnswer(status, headers, bytes(body[: limit.max_bytes])), keep and complete and not reader.has_more


class _Reader:
    def __init__(self, connection: Connection, max_bytes: int) -> None:
        self._connection = connection
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    @property
    def has_more(self) -> bool:
        return bool(self._buffer)

    async def head(self) -> bytes:
        """Give what stands before the blank line."""
        looked_at = 0
        while True:
            if not looked_at:
                self._buffer = self._buffer.lstrip(b" \t\r\n")  # the line ends of an earlier answer, too
            if len(self._buffer) > 8 and not _BEGINS_HTTP.match(self._buffer):
                raise NotHttp
            match = _END.search(self._buffer, max(0, looked_at - 3))
            if match:
                head = bytes(self._buffer[: match.start()])
                del self._buffer[: match.end()]
                return head
            looked_at = len(self._buffer)
            if looked_at > MAX_HEADER_BYTES:
                raise ProtocolFault
            if not await self._more():
                raise ProtocolFault if self._buffer else HungUp

    async def body(self, headers: dict[str, str], into: bytearray) -> bool:
        """Read the body up to the limit; give whether that was all of it."""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return await self._chunks(into)
        length = re.match(r"\s*([0-9]{1,15})(?![0-9])", headers.get("content-length", ""))
        if length is None or "transfer-encoding" in headers:
            while len(self._buffer) < self._max_bytes and await self._more():
                pass
            into += self._buffer
            return False
        return await self._take(int(length[1]), into)

    async def _chunks(self, into: bytearray) -> bool:
        while len(into) < self._max_bytes:
            size = _CHUNK_SIZE.match(await self._line())
            if size is None:
                return False
            if int(size[1], 16) == 0:
                for _ in range(MAX_INTERIM):  # trailers
                    if not (await self._line()).strip():
                        return True
                return False
            if not await self._take(int(size[1], 16), into) or (await self._line()).strip():
                return False
        return False

    async def _take(self, size: int, into: bytearray) -> bool:
        wanted = min(size, self._max_bytes - len(into))
        while len(self._buffer) < wanted and await self._more():
            pass
        into += self._buffer[:wanted]
        del self._buffer[:wanted]
        return wanted == size

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_PAGE_BYTES or not await self._more():
                return b"?"
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    async def _more(self) -> bool:
        data = await self._connection.read()
        self._buffer += data
        return bool(data)


def _parse(head: bytes) -> tuple[int, int, dict[str, str]]:
    """Give the minor version, the status and the headers."""
    match = _STATUS_LINE.match(head)
    if match is None:
        raise NotHttp
    status = int(match[2] or b"200") if len(match[2] or b"") < 5 else 0
    if not 100 <= status <= 999:
        raise NotHttp
    lines = head[match.end() :].decode("latin-1").split("\n")
    return int((match[1] or b"0")[:3]), status, _headers(lines[1:])


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    last = ""
    for line in lines:
        if line[:1] in (" ", "\t"):
            if last:
                headers[last] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        last = name.strip().lower() if colon else ""
        if last:
            headers[last] = f"{headers[last]}\n{value.strip()}" if last in headers else value.strip()
    return headers


def _keeps_alive(minor: int, headers: dict[str, str]) -> bool:
    connection = headers.get("connection", "").lower()
    return "close" not in connection if minor >= 1 else "keep-alive" in connection

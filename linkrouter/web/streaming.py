"""Answers that come piece by piece: events as they happen, tables as they are read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from linkrouter.log import quiet_exception_handler
from linkrouter.web.csv_stream import CSV_TYPE, csv_line
from linkrouter.web.headers import SAFE_HEADERS

__all__ = ["send_events", "send_table"]

GONE_EVERY_S = 1.0


async def send_events(request: web.Request, events: AsyncIterator[tuple[int, str, Any] | None]) -> web.StreamResponse:
    """Send *events* as they come (WHATWG HTML, section 9.2), and close them, whoever hangs up."""
    watching = asyncio.create_task(_stop_when_gone(request, asyncio.current_task()))
    try:
        return await _send_events(request, events)
    finally:
        watching.cancel()
        if close := getattr(events, "aclose", None):
            await close()


async def _stop_when_gone(request: web.Request, answering: "asyncio.Task[Any] | None") -> None:
    """End *answering* soon after the client has hung up, which a stream would only see when it writes."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(GONE_EVERY_S)
    if answering is not None:
        answering.cancel()


async def _send_events(request: web.Request, events: AsyncIterator[tuple[int, str, Any] | None]) -> web.StreamResponse:
    """Send *events*, and a comment instead of silence, which proxies cut."""
    response = web.StreamResponse(headers=SAFE_HEADERS | {"X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    try:
        async for event in events:
            await response.write(_event_bytes(*event) if event else b":\n\n")
    except ConnectionError:
        pass  # nobody listens any more
    except Exception as exc:  # the border: too late for a problem document, so the stream ends without its last event
        quiet_exception_handler(asyncio.get_running_loop(), {"exception": exc})
        response.force_close()
    return response


async def send_table(request: web.Request, rows: AsyncIterator[Sequence[str | int | None]]) -> web.StreamResponse:
    """Send a table as it is read; when it breaks off, so does the connection."""
    response = web.StreamResponse(headers=SAFE_HEADERS | {"Content-Disposition": "attachment"})
    response.content_type, response.charset = CSV_TYPE, "utf-8"
    await response.prepare(request)
    async for row in rows:
        await response.write(csv_line(row))
    await response.write_eof()
    return response


def _event_bytes(number: int, name: str, value: Any) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name.encode("ascii"), to_json(value))

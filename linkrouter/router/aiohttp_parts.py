"""aiohttp's private parts that the direct answer stands on, all named here.

Promise: a release of aiohttp that lacks one of them costs speed, not redirects: `find_missing_parts` names it at the
start, and the router then answers every request the ordinary way. Release 3.14.3 lacks `_buffer_paused`, and a router
that did not look started there and answered nothing.
"""

from typing import Any

from aiohttp import web_protocol
from aiohttp.http import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

__all__ = ["EMPTY_PAYLOAD", "HANDLER_PARTS", "PARSER_PARTS", "ErrInfo", "find_missing_parts"]

HANDLER_PARTS = (
    "_buffer_paused",
    "_drain_helper",
    "_keepalive",
    "_keepalive_handle",
    "_messages",
    "_next_keepalive_close_time",
    "_parser",
    "_paused",
    "_process_keepalive",
    "_waiter",
)
PARSER_PARTS = ("message_consumed",)

# What aiohttp queues in place of a message that it could not parse.
ErrInfo: Any = getattr(web_protocol, "_ErrInfo", None)


def find_missing_parts(handler: type = RequestHandler, parser: type = HttpRequestParser) -> tuple[str, ...]:
    """Give the names that *handler* and *parser*, aiohttp's own by default, do not have."""
    missing = [name for name in HANDLER_PARTS if not hasattr(handler, name)]
    missing += [name for name in PARSER_PARTS if not hasattr(parser, name)]
    return (*missing, *(("_ErrInfo",) if ErrInfo is None else ()))

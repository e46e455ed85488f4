"""The fields of central's API: what each may hold, in one place.

Promise: nothing is coerced. `false` is not a number, `"1"` is not 1, and every text has a limit. The words in `RULES`
are both the sentence of a refusal and the description in `/openapi.json`, so that the two cannot differ.
"""

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from linkrouter.central.store.records import Position
from linkrouter.clicks.click import MAX_USER_AGENT_BYTES, iso_utc
from linkrouter.errors import BadLink
from linkrouter.link.codec import MAX_TENANT, decode_base64url, encode_base64url

__all__ = [
    "MAX_CLICKS",
    "MAX_LINKS",
    "MAX_LOSSES",
    "MAX_METADATA",
    "MAX_PAGE",
    "MAX_SEQ",
    "RULES",
    "Count",
    "Country",
    "Cursor",
    "DimensionName",
    "Id",
    "IntervalName",
    "Ip",
    "Kind",
    "LinkId",
    "Measure",
    "MessageHtml",
    "MessageId",
    "MetadataName",
    "MetadataText",
    "Part",
    "PlatformName",
    "PositionNumber",
    "Recipient",
    "RobotsMode",
    "RuleId",
    "Tag",
    "Tenant",
    "Time",
    "Url",
    "UserAgent",
    "Value",
    "Word",
    "WorkerNumber",
    "ZoneName",
    "about",
    "from_text",
    "number_in_query",
    "parse_cursor",
    "write_cursor",
    "write_time",
]

MAX_CLICKS = 1000
MAX_LOSSES = 1000
MAX_LINKS = 10_000
MAX_METADATA = 50
MAX_COUNT = 10**12  # of clicks lost; a sum of a million of these still fits a database's integer
MAX_POSITION = 1_000_000
MAX_PAGE = 1000
MAX_WORKERS = 256
MAX_SEQ = 9_999_999_999
MAX_HTML = 2 * 1024**2

_TIME_RULE = "an RFC 3339 time in UTC from 1970 on, such as 2026-11-21T17:33:38.123456Z"
_VALUE_RULE = "1 to 128 characters without control characters, as statistics give it"
_READING_RULE = "a number from 0 to 1e15"
_WORD_RULE = "1 to 64 letters, digits, dots, hyphens and underscores"

RULES = {
    "browser": _VALUE_RULE,
    "clicked_at": _TIME_RULE,
    "clicks": f"a list of at most {MAX_CLICKS} clicks",
    "country": "two letters (ISO 3166-1), or unknown",
    "count": f"a whole number from 1 to {MAX_COUNT}",
    "dropped": _READING_RULE,
    "html": f"the HTML part of the mail, at most {MAX_HTML} characters",
    "oldest_seconds": _READING_RULE,
    "pending": _READING_RULE,
    "state": "an object of version, pending, oldest_seconds and dropped",
    "version": _WORD_RULE,
    "worker": f"a whole number from 0 to {MAX_WORKERS - 1}",
    "dimension": "part, browser, os, platform, country, tag, url or robot_reason",
    "cursor": "the next_cursor of an earlier page",
    "id": "1 to 128 printable ASCII characters without a space",
    "interval": "hour, day, week or month",
    "ip": "an IPv4 or IPv6 address, or null",
    "keys": "a list of at most 15 keys, each with id and state (sign, verify or revoked)",
    "kind": "click, head or prefetch",
    "last_event_id": "the id of the last event that was seen",
    "limit": f"a whole number from 1 to {MAX_PAGE}",
    "link_id": "1 to 16 bytes in canonical base64url without padding",
    "links": f"a list of at most {MAX_LINKS} links",
    "losses": f"a list of at most {MAX_LOSSES} losses",
    "message_id": "1 to 998 characters without control characters",
    "message_key": "8 bytes in canonical base64url without padding",
    "metadata": f"an object of at most {MAX_METADATA} names (1 to 64 characters) with texts (at most 1024 characters)",
    "os": _VALUE_RULE,
    "part": "html or text",
    "platform": "desktop, mobile, tablet or unknown",
    "position": f"a whole number from 0 to {MAX_POSITION}",
    "reason": _WORD_RULE,
    "recipient": "1 to 320 characters without control characters",
    "robots": "exclude, include or only",
    "router": _WORD_RULE,
    "sent_at": _TIME_RULE,
    "since": _TIME_RULE,
    "takeback": "16 bytes in canonical base64url without padding, or null",
    "take_backs": "an object of rules and seq, both whole numbers",
    "tag": "1 to 256 characters without control characters",
    "tenant": f"a whole number from 0 to {MAX_TENANT}",
    "timezone": "a name of the IANA time zone database, such as Europe/Berlin",
    "trap": "true or false",
    "until": _TIME_RULE,
    "url": "an http(s) URL of at most 4096 printable ASCII characters",
    "user_agent": f"text of at most {MAX_USER_AGENT_BYTES} bytes without NUL, or null",
}

_PLAIN_TEXT = r"^[^\x00-\x1f\x7f]+$"
_LINK_ID = r"^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$"
_UTC_TIME = (
    r"^(?:19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|\+00:00)$"
)
_CURSOR = r"^[A-Za-z0-9_-]+$"  # only a cursor that was given is taken; this tells no more than its letters
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def about(name: str) -> Any:
    """Give the field *name* its rule as its description."""
    return Field(description=RULES[name])


def write_cursor(position: Position) -> str:
    """Write where a page ended, for the caller to hand back; only `parse_cursor` knows what is in it."""
    return encode_base64url(f"{position.clicked_at}:{position.id}".encode("ascii"))


def write_time(time_us: int | None) -> str | None:
    """Write a time, microseconds since the epoch, as every answer gives it; None where there is none."""
    return None if time_us is None else iso_utc(time_us)


def parse_cursor(text: str) -> Position:
    """Read where a page ended.

    Raises:
        ValueError: it is not what `write_cursor` gave.
    """
    try:
        time_text, _, click_id = decode_base64url(text).decode("ascii").partition(":")
        position = Position(int(time_text), click_id)
    except BadLink:
        raise ValueError("not base64url") from None
    if write_cursor(position) != text or not 0 <= position.clicked_at < 2**63 or not click_id:
        raise ValueError("not a cursor")
    return position


def _parse_time(text: str) -> int:
    """Read a time that has the shape of `_UTC_TIME`, in microseconds since the epoch."""
    time_us = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    if time_us < 0:
        raise ValueError("before 1970")
    return time_us


def _check_ip(text: str) -> str:
    """Check an address with `inet_pton`: as strict as `ipaddress`, which takes many times as long."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:
        raise ValueError("not an address") from None
    return text


def _check_agent(text: str) -> str:
    if len(text) * 4 > MAX_USER_AGENT_BYTES and len(text.encode()) > MAX_USER_AGENT_BYTES:
        raise ValueError("too long")
    return text


def from_text(parse: Callable[[str], Any], in_json: dict[str, Any], **limits: Any) -> tuple[Any, Any]:
    """Mark a type whose values come as text within *limits* and are what *parse* makes of it; it raises ValueError."""

    def schema(_: object, __: object) -> CoreSchema:
        return core_schema.no_info_after_validator_function(parse, core_schema.str_schema(strict=True, **limits))

    return GetPydanticSchema(schema), WithJsonSchema(in_json)


def number_in_query(least: int, most: int) -> Any:
    """Mark a number that comes as text, in its one spelling; `int` alone would take `+1`, ` 1` and `1_0` too."""

    def parse(text: str) -> int:
        if not least <= int(text) <= most:
            raise ValueError("out of range")
        return int(text)

    in_json = {"type": "integer", "minimum": least, "maximum": most}
    return from_text(parse, in_json, pattern=r"^(?:0|[1-9][0-9]{0,9})$")


def _parse_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not a time zone") from None


_TIME_MARKS = from_text(
    _parse_time, {"type": "string", "format": "date-time", "pattern": _UTC_TIME}, pattern=_UTC_TIME, max_length=32
)
_CURSOR_MARKS = from_text(parse_cursor, {"type": "string", "maxLength": 256, "pattern": _CURSOR}, max_length=256)

_ZONE_MARKS = from_text(_parse_zone, {"type": "string", "maxLength": 64}, pattern=r"^[A-Za-z0-9_+/-]+$", max_length=64)

ZoneName = Annotated[ZoneInfo, *_ZONE_MARKS]
Time = Annotated[int, *_TIME_MARKS]  # text outside, microseconds since the epoch inside
Cursor = Annotated[Position, *_CURSOR_MARKS]
LinkId = Annotated[str, Field(min_length=2, max_length=22, pattern=_LINK_ID)]
Id = Annotated[str, Field(max_length=128, pattern=r"^[!-~]+$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Tenant = Annotated[int, Field(ge=0, le=MAX_TENANT)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
PositionNumber = Annotated[int, Field(ge=0, le=MAX_POSITION)]
Part = Literal["html", "text"]
Value = Annotated[str, Field(max_length=128, pattern=_PLAIN_TEXT)]
Country = Annotated[str, Field(pattern=r"^(?:[A-Z]{2}|unknown)$")]
PlatformName = Literal["desktop", "mobile", "tablet", "unknown"]
RobotsMode = Literal["exclude", "include", "only"]
IntervalName = Literal["hour", "day", "week", "month"]
DimensionName = Literal["part", "browser", "os", "platform", "country", "tag", "url", "robot_reason"]
Kind = Literal["click", "head", "prefetch"]
MessageId = Annotated[str, Field(max_length=998, pattern=_PLAIN_TEXT)]
MessageHtml = Annotated[str, Field(max_length=MAX_HTML)]
WorkerNumber = Annotated[int, Field(ge=0, lt=MAX_WORKERS)]
Measure = Annotated[float, Field(ge=0, le=1e15, strict=False)]
MessageKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
RuleId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{21}[AQgw]$")]
Tag = Annotated[str, Field(max_length=256, pattern=_PLAIN_TEXT)]
Recipient = Annotated[str, Field(max_length=320, pattern=_PLAIN_TEXT)]
MetadataName = Annotated[str, Field(max_length=64, pattern=_PLAIN_TEXT)]
MetadataText = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")]
Url = Annotated[str, Field(max_length=4096, pattern=r"^https?://[!-~]+$")]
Ip = Annotated[
    str,
    Field(max_length=45, pattern=r"^[0-9A-Fa-f:.]+$"),
    AfterValidator(_check_ip),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]
UserAgent = Annotated[str, Field(max_length=MAX_USER_AGENT_BYTES, pattern=r"^[^\x00]*$"), AfterValidator(_check_agent)]

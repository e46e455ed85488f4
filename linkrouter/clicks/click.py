"""The click: what a router keeps of a request, and how it is written down.

Promise: a click is written once, as the very JSON the ingest API takes, and carried unchanged from the router's memory
to central. It holds no destination and nothing that tells one.
"""

import time
from collections.abc import Callable
from datetime import datetime
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

__all__ = [
    "KINDS",
    "MAX_USER_AGENT_BYTES",
    "OVERHEAD_BYTES",
    "Click",
    "clicked_at",
    "iso_utc",
    "mint_click_ids",
    "write_click",
]

KINDS = ("click", "head", "prefetch")
OVERHEAD_BYTES = 48  # of a record in memory, besides its characters
MAX_USER_AGENT_BYTES = 512


class Click(NamedTuple):
    """One request for a valid link.

    A tuple and not a dataclass: one is made on every redirect, and a frozen dataclass takes four times as long.
    """

    id: str  # one identity for life: HAProxy's X-Request-Id (letters, digits, . _ -), else minted here
    link_id: str  # base64url, as it stands in the link
    tenant: int
    part: str  # "html" or "text": the part of the mail the link stood in
    clicked_at: int  # microseconds since the epoch, UTC
    ip: str | None  # None for a count-only click
    user_agent: str | None  # at most 512 bytes; None for a count-only click or when the client sent none
    kind: str  # "click", "head" or "prefetch"
    takeback: str | None = None  # id of the rule that changed where the link leads, in base64url

    def __repr__(self) -> str:
        return f"<Click {self.kind} {self.part} tenant={self.tenant}>"


def write_click(click: Click) -> bytes:
    """Write *click* as the ingest API takes it: a record, one JSON object in pure ASCII without spaces.

    Written by hand because the standard encoder takes three times as long and every click pays for it.
    """
    click_id, link_id, tenant, part, clicked_at, ip, agent, kind, takeback = click
    rule_json = "" if takeback is None else f',"takeback":"{takeback}"'
    ip_json = "null" if ip is None else encode_basestring_ascii(ip)
    agent_json = "null" if agent is None else encode_basestring_ascii(agent)
    return (
        f'{{"id":{encode_basestring_ascii(click_id)},"link_id":"{link_id}","tenant":{tenant},"part":"{part}","clicked_at":"{iso_utc(clicked_at)}",'
        f'"ip":{ip_json},"user_agent":{agent_json},"kind":"{kind}"{rule_json}}}'
    ).encode("ascii")


def clicked_at(record: bytes) -> int:
    """Read the time of a record: microseconds since the epoch."""
    text = record.partition(b'"clicked_at":"')[2][:27].decode("ascii")
    time_s = datetime.fromisoformat(text)
    return int(time_s.timestamp()) * 1_000_000 + time_s.microsecond


_second = (0, "1970-01-01T00:00:00")  # microseconds since the epoch, and its text


def iso_utc(time_us: int) -> str:
    """Write microseconds since the epoch as RFC 3339 UTC with six decimals.

    The text of the last second is kept: clicks come many to a second.
    """
    global _second
    second_at, text = _second
    micros = time_us - second_at
    if not 0 <= micros < 1_000_000:
        seconds, micros = divmod(time_us, 1_000_000)
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = (time_us - micros, text)  # at once, for other threads
    return f"{text}.{micros:06d}Z"


def mint_click_ids(random_bytes: bytes) -> Callable[[int], str]:
    """Give a function from a time in microseconds to a fresh UUID of version 7 (RFC 9562 §5.7).

    The time is that of the second's first id, the 58 random bits are drawn once a process (*random_bytes*, 8 of them)
    and a counter stands at the end: unique is all that a click id must be, and a system call a click is not free. Ids
    never repeat when the clock steps back, since the time part only grows.
    """
    drawn = int.from_bytes(random_bytes)
    drawn_text = f"7{drawn & 0xFFF:03x}-{0x8000 | drawn >> 12 & 0x3FFF:04x}-{drawn >> 26 & 0xFFFFFFFF:08x}"
    prefix, last_ms, renew_at, count = "", 0, 0, 0  # what stands before the counter, and until when

    def mint(time_us: int) -> str:
        nonlocal prefix, last_ms, renew_at, count
        count += 1
        if time_us >= renew_at or count > 0x1FFFF:
            last_ms = max(last_ms + 1, time_us // 1000)
            digits = f"{last_ms:012x}"
            prefix = f"{digits[:8]}-{digits[8:]}-{drawn_text}"
            renew_at, count = max(renew_at, time_us + 1_000_000), 0x10000
        return prefix + hex(count)[3:]  # four digits, behind 0x1

    return mint

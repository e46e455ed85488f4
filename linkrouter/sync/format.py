"""What is said to the centre, and how its answers are understood. Pure.

Promise: clicks count as taken only when the centre says, in so many words, that it has exactly as many as it was sent.
Whatever else comes back, from it or from anything that stands before it, takes nothing.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

__all__ = ["Answer", "Loss", "read_answer", "read_retry_after", "write_body"]

GZIP_LEVEL = 1  # records are much alike: higher levels take thrice the time for a tenth of the bytes
GZIP_WBITS = 31  # zlib's way to say gzip
PIECE_CLICKS = 125  # packed at a time
MAX_RETRY_AFTER_S = 900.0  # longer waits are asked for again then; a wrong clock must not silence a router for days

Loss = Mapping[str, str | int]  # id, reason, count, since, until: clicks that a router had to drop
Outcome = Literal["taken", "poison", "too_large", "denied", "wrong_address", "failed"]

_OUTCOMES: dict[int, Outcome] = {
    400: "poison",
    401: "denied",
    403: "denied",
    404: "wrong_address",
    405: "wrong_address",
    410: "wrong_address",
    413: "too_large",
    422: "poison",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a post came to; `reason` is a status or one word, `retry_after_s` what the centre asked for."""

    outcome: Outcome
    reason: str
    stored: int = 0
    duplicates: int = 0
    retry_after_s: float = 0.0
    reached: bool = True  # False when nothing took the connection


def write_body(router_id: str, records: Sequence[bytes], losses: Sequence[Loss] = ()) -> Iterator[bytes]:
    """Yield a gzipped ingest request, a tenth of a millisecond's work at a time.

    Each record is the JSON of a click already and is not looked into.
    """
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WBITS)
    yield packer.compress(b'{"router":%b,"clicks":[' % json.dumps(router_id).encode("ascii"))
    for at in range(0, len(records), PIECE_CLICKS):
        yield packer.compress((b"," if at else b"") + b",".join(records[at : at + PIECE_CLICKS]))
    told = b',"losses":' + json.dumps([dict(loss) for loss in losses]).encode("ascii") if losses else b""
    yield packer.compress(b"]%b}" % told) + packer.flush()


def read_answer(status: int, retry_after: str | None, body: bytes, sent: int, now: float) -> Answer:
    """Understand the centre's answer to *sent* clicks; *now* is the time since the epoch in seconds."""
    if status == 200:
        return _read_receipt(body, sent)
    outcome = "wrong_address" if 300 <= status < 400 else _OUTCOMES.get(status, "failed")
    return Answer(outcome, str(status), retry_after_s=read_retry_after(retry_after, now))


def _read_receipt(body: bytes, sent: int) -> Answer:
    try:
        receipt = json.loads(body)
        stored, duplicates = receipt["stored"], receipt["duplicates"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Answer("failed", "garbage")
    if type(stored) is not int or type(duplicates) is not int or min(stored, duplicates) < 0:
        return Answer("failed", "garbage")
    if stored + duplicates != sent:
        return Answer("failed", "miscounted")
    return Answer("taken", "200", stored, duplicates)


def read_retry_after(text: str | None, now: float) -> float:
    """Read Retry-After (RFC 9110 §10.2.3), seconds or a date, as seconds from *now*; 0 when it is absent or neither."""
    if text is None:
        return 0.0
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return min(max(until.replace(tzinfo=until.tzinfo or UTC).timestamp() - now, 0.0), MAX_RETRY_AFTER_S)

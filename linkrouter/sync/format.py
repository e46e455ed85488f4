"""The format of what is sent to central, and of its answers. Pure.

Promise: clicks count as taken only when central says that it has exactly as many as it was sent. No other answer, from
central or from a proxy before it, takes any.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from linkrouter.clicks.store import Loss
from linkrouter.retry import find_retry_after

try:
    from isal import isal_zlib as packing  # gzip for a fifth of the time; the extra "fast"
except ImportError:
    import zlib as packing  # type: ignore[no-redef]

__all__ = ["IngestAnswer", "IngestOutcome", "read_answer", "write_batch"]

GZIP_LEVEL = 1  # records are much alike: higher levels take thrice the time for a tenth of the bytes
GZIP_WBITS = 31  # zlib's way to say gzip
PACKED_CLICKS = 125  # at a time
MAX_RETRY_AFTER_S = 900.0  # longer waits are asked for again then; a wrong clock must not silence a router for days

IngestOutcome = Literal["taken", "poison", "too_large", "denied", "wrong_address", "failed"]

_OUTCOMES: dict[int, IngestOutcome] = {
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
class IngestAnswer:
    """What a post came to; `reason` is a status or one word, `retry_after_s` what central asked for."""

    outcome: IngestOutcome
    reason: str
    stored: int = 0
    duplicates: int = 0
    retry_after_s: float = 0.0
    reached: bool = True  # False when nothing took the connection


def write_batch(
    router_id: str,
    records: Sequence[bytes],
    losses: Sequence[Loss] = (),
    state: Mapping[str, object] | None = None,
) -> Iterator[bytes]:
    """Yield a gzipped ingest request, a tenth of a millisecond's work at a time.

    Each record is the JSON of a click already and is not looked into.
    """
    packer = packing.compressobj(GZIP_LEVEL, packing.DEFLATED, GZIP_WBITS)
    yield packer.compress(b'{"router":%b,"clicks":[' % json.dumps(router_id).encode("ascii"))
    for at in range(0, len(records), PACKED_CLICKS):
        yield packer.compress((b"," if at else b"") + b",".join(records[at : at + PACKED_CLICKS]))
    told = b',"losses":' + json.dumps([loss.to_wire() for loss in losses]).encode("ascii") if losses else b""
    said = b',"state":' + json.dumps(state).encode("ascii") if state else b""
    yield packer.compress(b"]%b%b}" % (told, said)) + packer.flush()


def read_answer(status: int, retry_after: str | None, body: bytes, sent: int, now: float) -> IngestAnswer:
    """Understand central's answer to *sent* clicks; *now* is the time since the epoch in seconds."""
    if status == 200:
        return _read_receipt(body, sent)
    outcome = "wrong_address" if 300 <= status < 400 else _OUTCOMES.get(status, "failed")
    asked_s = min(find_retry_after(retry_after, now) or 0.0, MAX_RETRY_AFTER_S)
    return IngestAnswer(outcome, str(status), retry_after_s=asked_s)


def _read_receipt(body: bytes, sent: int) -> IngestAnswer:
    try:
        receipt = json.loads(body)
        stored, duplicates = receipt["stored"], receipt["duplicates"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return IngestAnswer("failed", "garbage")
    if type(stored) is not int or type(duplicates) is not int or min(stored, duplicates) < 0:
        return IngestAnswer("failed", "garbage")
    if stored + duplicates != sent:
        return IngestAnswer("failed", "miscounted")
    return IngestAnswer("taken", "200", stored, duplicates)

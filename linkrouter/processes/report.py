"""What a router process tells central of itself with each post.

Promise: numbers and words, and no link, address or secret; of a key its number and state.
"""

import time
from typing import TYPE_CHECKING

from linkrouter import __version__
from linkrouter.clicks.store import OwnShare

if TYPE_CHECKING:
    from linkrouter.clicks.ring.reader import RingReader
    from linkrouter.processes.answering import Answering

__all__ = ["NOTE_S", "age_of_share", "describe_answering", "describe_carried", "describe_router"]


NOTE_S = 1.0  # between two notes that worker and carrier leave for each other in the ring


def describe_router(worker: int | None, share: OwnShare, dropped: float, answering: "Answering") -> dict[str, object]:
    """Give the report of a process that does everything itself; *share* is what waits, *dropped* how many clicks."""
    return {
        "version": __version__,
        "worker": worker or 0,
        "pending": share.pending,
        "oldest_seconds": round(age_of_share(share), 3),
        "dropped": dropped,
        **describe_answering(answering),
    }


def describe_answering(answering: "Answering") -> dict[str, object]:
    """Give the part of a report that only the process knows which answers."""
    rules, seq = answering.take_backs.in_force
    return {
        "keys": [{"id": key.id, "state": key.state} for key in answering.keyring.keys],
        "take_backs": {"rules": rules, "seq": seq},
    }


def describe_carried(reader: "RingReader", share: OwnShare) -> dict[str, object] | None:
    """Give the report of the worker that writes the ring of *reader*, or None before it has said anything.

    What waits in the store, *share*, is told with worker 0, so that the sum over all workers is true.
    """
    said = reader.heard()
    if not isinstance(said, dict):
        return None
    share = share if reader.page.worker == 0 else OwnShare()
    return {
        **said,
        "pending": reader.page.waiting + share.pending,
        "oldest_seconds": round(age_of_share(share), 3),
        "dropped": reader.page.dropped,
    }


def age_of_share(share: OwnShare) -> float:
    """Give the age of the oldest click that waits, in seconds."""
    return 0.0 if share.oldest_at is None else max(0.0, time.time() - share.oldest_at / 1e6)

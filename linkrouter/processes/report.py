"""What a router process tells central of itself with each post.

Promise: numbers and words, and no link, address or secret; of a key its number and state.
"""

import time

from linkrouter import __version__
from linkrouter.clicks.store import OwnShare
from linkrouter.link.keyring import Keyring

__all__ = ["age_of_share", "describe_router"]


def describe_router(
    worker: int | None, share: OwnShare, dropped: float, keyring: Keyring, take_backs: tuple[int, int]
) -> dict[str, object]:
    """Give the report of one worker; *take_backs* is how many rules are in force, and up to which number."""
    rules, seq = take_backs
    return {
        "version": __version__,
        "worker": worker or 0,
        "pending": share.pending,
        "oldest_seconds": round(age_of_share(share), 3),
        "dropped": dropped,
        "keys": [{"id": key.id, "state": key.state} for key in keyring.keys],
        "take_backs": {"rules": rules, "seq": seq},
    }


def age_of_share(share: OwnShare) -> float:
    """Give the age of the oldest click that waits, in seconds."""
    return 0.0 if share.oldest_at is None else max(0.0, time.time() - share.oldest_at / 1e6)

"""How long what was learnt may be used.

Promise: pure. A link and an author that have been good get longer, up to a day; what is broken is looked at again in
minutes; a transient error is never taken from the cache; nothing is used longer than its source allows.
"""

from typing import NamedTuple

from linkrouter.checker.verdict import CHECK_REASONS, Opinion
from linkrouter.units import DAY_S

__all__ = [
    "BROKEN_S",
    "CLEAN_S",
    "FINE_S",
    "LOOK_S",
    "MOMENT_S",
    "PROVEN_VERDICTS",
    "Lifetime",
    "fetch_lifetime",
    "opinion_holds_s",
    "trust",
]

FINE_S = 3600.0
CLEAN_S = 1800.0
LOOK_S = 3600.0  # a wall or a login stays for a while
BROKEN_S = 300.0
MOMENT_S = 600.0  # a verdict that is not cached is still good enough to send on for so long
PROVEN_VERDICTS = 50  # an author's, in a month, none of them flagged


class Lifetime(NamedTuple):
    """In seconds: how long a verdict is taken from the cache, and how long the gate lets a mail go on it."""

    reuse_s: float
    holds_s: float


def trust(streak: int, author_good: int, author_flagged: int) -> int:
    """Give how often a lifetime is doubled, for a link good *streak* times in a row and the record of who asks."""
    proven = author_good >= PROVEN_VERDICTS and author_flagged == 0
    return min(streak, 4) + (2 if proven else 0)


def fetch_lifetime(reason: str, doublings: int) -> Lifetime:
    """Give the lifetime of a fetch that ended with *reason*."""
    verdict, lasts, _ = CHECK_REASONS[reason]
    if lasts == "not":
        return Lifetime(0.0, 0.0)
    if lasts == "moment":
        return Lifetime(0.0, MOMENT_S)
    if lasts == "short":
        return Lifetime(BROKEN_S, BROKEN_S)
    seconds = min(DAY_S, FINE_S * (1 << doublings)) if verdict == "fine" else LOOK_S
    return Lifetime(seconds, seconds)


def opinion_holds_s(opinion: Opinion, doublings: int) -> float:
    """Give how long *opinion* is believed, to send on and to answer the next check with."""
    if opinion.answer == "unknown":
        return 0.0
    if opinion.answer == "listed":
        return CLEAN_S if opinion.holds_s is None else opinion.holds_s
    own_s = min(DAY_S, CLEAN_S * (1 << doublings))
    return own_s if opinion.holds_s is None else min(own_s, opinion.holds_s)

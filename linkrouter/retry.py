"""Trying again: how long to wait after a failure, and how long a server asked us to.

Promise: pure, and no text of a server breaks it. Whoever sends, checks or delivers caps what is asked for as it needs.
"""

import random
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["Uniform", "find_retry_after", "full_jitter"]

Uniform = Callable[[float, float], float]  # a number between two, by chance

MAX_DOUBLINGS = 16


def full_jitter(failures: int, first_s: float, longest_s: float, uniform: Uniform = random.uniform) -> float:
    """Give the seconds to wait after *failures* in a row: anything up to *first_s*, doubled each time, or *longest_s*.

    Full jitter spreads those who failed together better than any part of it does
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    return uniform(0.0, min(first_s * 2 ** min(max(failures - 1, 0), MAX_DOUBLINGS), longest_s))


def find_retry_after(text: str | None, now: float) -> float | None:
    """Read Retry-After (RFC 9110 §10.2.3), seconds or a date, as seconds from *now* (since the epoch, UTC).

    A time that has passed is 0; None when *text* is absent or neither, or a number that no clock means.
    """
    text = (text or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        return max(until.replace(tzinfo=until.tzinfo or UTC).timestamp() - now, 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # no date, or one that no calendar holds

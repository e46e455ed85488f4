"""Work beside the redirects: in a thread, a piece at a time.

Promise: whoever else wants the core gets it between two pieces. On a core of its own a thread needs no such manners;
where it shares the loop's, the kernel lets it run on for its whole slice of milliseconds while redirects wait.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["gently"]

Piece = TypeVar("Piece")

_never = threading.Event()


def gently(pieces: Iterable[Piece], pause_s: float) -> Iterator[Piece]:
    """Pass *pieces* on with a pause of *pause_s* seconds after each; a thread that waits takes no time from others."""
    for piece in pieces:
        yield piece
        _never.wait(pause_s)  # time.sleep raises under libfaketime, whose clock the tests step

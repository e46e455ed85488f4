"""What one fetch has done so far, and may still do: its requests, its time, and how each walk along a link ended.

Promise: nothing here asks anybody; what was asked, by which method and for how long, is kept as it happened.
"""

import asyncio
from typing import NamedTuple

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.verdict import CHECK_REASONS, Hop

__all__ = ["Trace", "Walk", "WalkEnd"]

# What HEAD ends with where GET could only end with the same.
_FINAL_STATUSES = frozenset({401, 410, 429})
_FINAL_REASONS = frozenset({"leaves the web", "not opened", "not a genuine tracked link", "rate limited", "busy"})
_CUT_SHORT = frozenset({"connection reset", "timed out", "protocol error", "not HTTP"})


class WalkEnd(NamedTuple):
    """How following a link with one method ended: a reason with its detail, and the answer, where one came."""

    reason: str
    detail: str = ""
    answer: HttpAnswer | None = None
    redirected: bool = False
    connected: bool = True

    @property
    def is_fine(self) -> bool:
        """Whether a recipient would see a page."""
        return CHECK_REASONS[self.reason].verdict == "fine"

    @property
    def may_differ_for_get(self) -> bool:
        """Whether `HEAD` may be all that was minded.

        A network that fails does so for every method; but where `HEAD` was led astray, `GET` may not be.
        """
        if self.reason in _FINAL_REASONS:
            return False
        if self.answer is not None:
            return self.answer.status not in _FINAL_STATUSES
        return self.redirected or (self.connected and self.reason in _CUT_SHORT)


class Walk:
    """One way along a link, from its first URL, by one method."""

    def __init__(self, url: str, method: str, left_s: float, *, ranged: bool = False) -> None:
        self.url = url
        self.method = method
        self.left_s = left_s
        self.ranged = ranged  # the first kilobytes are all that is asked for
        self.seen: list[str] = []
        self.cookies = False
        self.redirected = False

    def end(
        self, reason: str, detail: str = "", answer: HttpAnswer | None = None, *, connected: bool = True
    ) -> WalkEnd:
        """End here."""
        return WalkEnd(reason, detail, answer, self.redirected, connected)


class Trace:
    """All walks along a link; *left_s* is for requests, waiting for a turn does not count."""

    def __init__(self, left_s: float, deadline: float) -> None:
        self.hops: list[Hop] = []
        self.left_s = left_s
        self.deadline = deadline
        self.holds = 0
        self.gateway_errors = 0
        self._heard: WalkEnd | None = None  # what `HEAD` said, should nothing better be had
        self._heard_hops = 0

    def reach(self, url: str) -> None:
        """Keep *url*, which is part of the way even where it was not requested: its host is asked about, too."""
        if not self.hops or self.hops[-1].url != url:
            self.hops.append(Hop(url, "", None, "not requested"))

    def hear(self, head: WalkEnd) -> None:
        """Keep what `HEAD` ended with, before `GET` is asked."""
        self._heard, self._heard_hops = head, len(self.hops)

    def fall_back(self) -> WalkEnd:
        """Give what `HEAD` said, where `GET` could not be had, or else that there was no time."""
        if self._heard is None:
            return WalkEnd("not reached in time")
        del self.hops[self._heard_hops :]
        return self._heard

    def forget_head(self) -> None:
        """Leave the hops of `GET` alone as evidence."""
        del self.hops[: self._heard_hops]

    def spend(self, walk: Walk, seconds: float) -> None:
        """Take the time of a request from what is left."""
        self.left_s = max(0.05, self.left_s - seconds)
        walk.left_s = max(0.05, walk.left_s - seconds)

    def has_time(self, wait_s: float) -> bool:
        """Whether there is time left after *wait_s*."""
        return asyncio.get_running_loop().time() + wait_s < self.deadline

"""The recorder of a worker that has a ring: each turn's clicks go into shared memory, and that is all.

Promise: `record` never waits and never fails; what it took survives this process. What finds no room is dropped, the
newest, and counted in the ring, where the carrier sees it even when this process is gone.
"""

import time
from collections.abc import Callable, Sequence

from linkrouter.clicks.click import Click, clicked_at, write_click
from linkrouter.clicks.ring.page import DROP_REASONS
from linkrouter.clicks.ring.writer import RingWriter
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.router.recorder import TELL_DROPS_S

__all__ = ["RingRecorder"]

GROUP_CLICKS = 32  # at most in one group: the largest takes a small part of the smallest ring
BEAT_S = 5.0  # without a word from the carrier this long, a router is not ready


class RingRecorder:
    """Writes clicks into *ring*; *clock_us* stands for time."""

    def __init__(
        self, ring: RingWriter, metrics: Metrics, clock_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._ring = ring
        self._clock_us = clock_us
        self._told_at = float("-inf")
        self._dropped = metrics.counter("linkrouter_clicks_dropped", DROP_REASONS)
        metrics.gauge("linkrouter_queue_clicks", lambda: ring.page.waiting)
        metrics.gauge("linkrouter_queue_oldest_seconds", self._oldest_age_s)

    @property
    def accepting(self) -> bool:
        """Whether a carrier is there, and its store takes clicks."""
        return self._ring.is_carried(BEAT_S)

    def record(self, clicks: Sequence[Click]) -> None:
        """Write *clicks*, or drop and count them when the ring is full."""
        records = [write_click(click) for click in clicks]
        for at in range(0, len(records), GROUP_CLICKS):
            group = records[at : at + GROUP_CLICKS]
            if not self._ring.append(group):
                self._drop(len(group))

    def _drop(self, count: int) -> None:
        reason = self._ring.page.trouble or "queue_full"
        self._dropped[reason] += count
        self._ring.page.count_drops(reason, count, self._clock_us())
        if time.monotonic() - self._told_at >= TELL_DROPS_S:
            self._told_at = time.monotonic()
            log("recorder.dropped", reason=reason)

    def _oldest_age_s(self) -> float:
        record = self._ring.oldest()
        return 0.0 if record is None else max(0.0, (self._clock_us() - clicked_at(record)) / 1e6)

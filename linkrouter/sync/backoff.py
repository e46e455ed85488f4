"""Back-off: how long sync waits after trouble, how long the trouble has lasted, and the one log line that tells of it.

Promise: central is found again soon after it is back, measured by how long it was away, and a central that is only slow
is not hammered.
"""

import random
import time
from collections.abc import Callable

from linkrouter.log import log
from linkrouter.retry import Uniform, full_jitter
from linkrouter.sync.format import IngestAnswer

__all__ = ["LONGEST_WAIT_S", "Backoff"]

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
# The longest wait while nothing takes the connection, since trying that costs nobody anything; and in the first 80
# seconds of any other trouble: a wait is at most a tenth of the time that the trouble has lasted.
SOON_S = 8.0
SYNC_EVENTS = ("sync.refused", "sync.retry", "sync.caught_up")


class Backoff:
    """The failures in a row. *clock* and *uniform* stand for time and chance; *events* tell of trouble and its end."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        uniform: Uniform = random.uniform,
        events: tuple[str, str, str] = SYNC_EVENTS,
    ) -> None:
        self.clock = clock
        self._refused, self._retry, self._caught_up = events
        self._uniform = uniform
        self._failures = 0
        self._failing_since: float | None = None
        self._told = ""  # the event that told of the trouble, so that it is told once

    def failing_s(self) -> float:
        """Give how long the trouble has lasted; 0 when all is well."""
        return 0.0 if self._failing_since is None else self.clock() - self._failing_since

    def start_over(self) -> None:
        """Forget the failures: central took something."""
        self._failures, self._failing_since = 0, None

    def tell_caught_up(self) -> None:
        """Log that the trouble is over, if there was any."""
        if self._failing_since is None and self._told:
            log(self._caught_up)
            self._told = ""

    def wait_s(self, answer: IngestAnswer) -> float:
        """Give the seconds to wait after *answer*: full jitter, what central asked for, long when it denies us."""
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = self.clock()
        event = self._refused if answer.outcome in ("denied", "wrong_address") else self._retry
        if event != self._told:
            self._told = event
            log(event, reason=answer.reason)
        most_s = min(max(SOON_S, self.failing_s() / 10), LONGEST_WAIT_S) if answer.reached else SOON_S
        if answer.outcome == "denied":
            return self._uniform(most_s / 2, most_s)
        wait_s = full_jitter(self._failures, FIRST_WAIT_S, most_s, self._uniform)
        if not answer.retry_after_s:
            return wait_s
        return max(wait_s, answer.retry_after_s + self._uniform(0.0, FIRST_WAIT_S))

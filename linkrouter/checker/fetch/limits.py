"""How fast a check may ask: limits per host and over all, and a not-before clock per host.

Promise: no host gets more than its share of requests at a time, and none before the time that its `Retry-After` named,
however many other answers of it were good meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from linkrouter.checker.shares import ASKER, FairShares

__all__ = [
    "MAX_HOLD_S",
    "MAX_REQUESTS",
    "OPINIONS_PER_S",
    "REQUESTS_PER_HOST",
    "SECOND_OPINIONS",
    "Clock",
    "HostLimits",
    "Sleep",
]

REQUESTS_PER_HOST = 10
MAX_REQUESTS = 200  # of one asker alone; one that hangs keeps its place for seconds
MAX_HOLD_S = 3600.0  # a host may not keep every later check away for a year
SECOND_OPINIONS = 500  # of one host at once; a mail of hundreds of links is looked at whole
OPINIONS_PER_S = 10.0  # how fast they come back

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class HostLimits:
    """Shared by every check of a process. `not_before` maps a host to seconds since the epoch."""

    def __init__(
        self,
        *,
        per_host: int = REQUESTS_PER_HOST,
        overall: int = MAX_REQUESTS,
        clock: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.not_before: dict[str, float] = {}
        self._per_host = per_host
        self._overall = FairShares(overall)
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._opinions: dict[str, tuple[float, float]] = {}  # host → how many are left, and when that was so
        self._clock = clock
        self._sleep = sleep

    def take_second_opinion(self, host: str) -> bool:
        """Whether *host* may be asked once more about a link that it called fine; counts it."""
        now = self._clock()
        left, at = self._opinions.get(host, (SECOND_OPINIONS, now))
        left = min(SECOND_OPINIONS, left + (now - at) * OPINIONS_PER_S)
        self._opinions[host] = (max(0.0, left - 1), now)
        return left >= 1

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask *host* for *seconds*; a longer hold stays."""
        until = self._clock() + min(seconds, MAX_HOLD_S)
        self.not_before[host] = max(until, self.not_before.get(host, 0.0))

    def wait_s(self, host: str) -> float:
        """Give how long *host* may not be asked yet, 0 when it may."""
        return max(0.0, self.not_before.get(host, 0.0) - self._clock())

    def holds(self) -> dict[str, float]:
        """Give the hosts that may not be asked yet, and forget the others."""
        now = self._clock()
        self.not_before = {host: when for host, when in self.not_before.items() if when > now}
        full_s = SECOND_OPINIONS / OPINIONS_PER_S
        self._opinions = {host: row for host, row in self._opinions.items() if now - row[1] < full_s}
        return dict(self.not_before)

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Wait until *host* may be asked, and count as one of its requests meanwhile."""
        semaphore = self._hosts.get(host)
        if semaphore is None:
            semaphore = self._hosts[host] = asyncio.Semaphore(self._per_host)
        async with semaphore:
            while wait := self.wait_s(host):
                await self._sleep(wait)
            async with self._overall.place(ASKER.get()):
                yield

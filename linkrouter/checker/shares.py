"""Places that several askers share: running checks, requests under way, open streams.

Promise: nobody holds more than half of what the others leave free, so whoever asks next finds a place, however long
another's hosts hang. With one asker alone, half of all places is all that are used; that is how they are counted.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

__all__ = ["ASKER", "FairShares"]

ASKER: ContextVar[str] = ContextVar("ASKER", default="")  # on whose behalf a task runs: a token


class FairShares:
    """Places of which one asker alone may hold *alone*, and all together at most twice that."""

    def __init__(self, alone: int) -> None:
        self._total = 2 * alone - 1
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def take(self, who: str, number: int = 1) -> bool:
        """Hold *number* more places for *who*; False when that is more than its share."""
        if not self._may(who, number):
            return False
        self._held[who] += number
        return True

    def give_back(self, who: str, number: int = 1) -> None:
        """Let *number* places of *who* go, to those who have the fewest."""
        self._held[who] -= number
        if not self._held[who]:
            del self._held[who]
        while waiting := [name for name in self._waiting if self._may(name, 1)]:
            self._wake(min(waiting, key=lambda name: self._held[name]))

    @asynccontextmanager
    async def place(self, who: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it meanwhile."""
        if who in self._waiting or not self.take(who):
            await self._wait(who)
        try:
            yield
        finally:
            self.give_back(who)

    def _may(self, who: str, number: int) -> bool:
        others = self._held.total() - self._held[who]
        return self._held[who] + number <= (self._total - others + 1) // 2

    async def _wait(self, who: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place came and nobody is here to use it
                self.give_back(who)
            raise

    def _wake(self, who: str) -> None:
        queue = self._waiting[who]
        turn = queue.popleft()
        if not queue:
            del self._waiting[who]
        if not turn.done():
            self._held[who] += 1
            turn.set_result(None)

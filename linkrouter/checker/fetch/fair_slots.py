"""A number of slots that several share.

Promise: whoever comes finds some free, as long as those before keep to their share, and else waits for a turn among
those who wait, not behind all that somebody else has asked for.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

__all__ = ["FairSlots"]


class FairSlots:
    """*total* slots. One of n who are here may hold an (n+1)th of them, so that there is room for the next."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._held: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()  # whose turn it is, first

    @asynccontextmanager
    async def slot(self, who: Hashable) -> AsyncIterator[None]:
        """Hold a slot, for *who*."""
        await self._take(who)
        try:
            yield
        finally:
            self._release(who)

    async def _take(self, who: Hashable) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(turn)
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was granted in the same moment
                self._release(who)
            else:
                self._forget(who, turn)
            raise

    def _release(self, who: Hashable) -> None:
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        self._grant()

    def _forget(self, who: Hashable, turn: asyncio.Future[None]) -> None:
        self._waiting[who].remove(turn)
        if not self._waiting[who]:
            del self._waiting[who]

    def _grant(self) -> None:
        """Give what is free, one at a time by turns."""
        while self._held.total() < self._total:
            share = max(1, self._total // (len(self._held.keys() | self._waiting.keys()) + 1))
            may_take = [who for who in self._waiting if self._held[who] < share]
            if not may_take:
                return
            who = may_take[0]
            turns = self._waiting.pop(who)
            turns.popleft().set_result(None)
            self._held[who] += 1
            if turns:
                self._waiting[who] = turns  # behind everybody else

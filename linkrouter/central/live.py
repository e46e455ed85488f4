"""Clicks as they are labelled, for whoever watches: a stream of server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from linkrouter.central.answers import FoundClickRecord
from linkrouter.central.clicks import click_record
from linkrouter.central.models import LiveQuery
from linkrouter.central.store.interface import CentralStore
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller

__all__ = ["Live", "LiveEvent"]

LIVE_LOOK_S = 1.0
QUIET_LOOKS = 15  # after so many without a click, a line that says nothing keeps the connection
AT_ONCE = 100
MAX_LIVE_STREAMS = 50

LiveEvent = tuple[int, str, FoundClickRecord]


@dataclass(slots=True)
class Live:
    """All streams; there are a bounded number of them."""

    store: CentralStore
    streams: int = 0

    async def follow(self, query: LiveQuery, caller: Caller) -> AsyncIterator[LiveEvent | None] | Refusal:
        """Give each click when it has its label, from now on, or from the last event that was seen."""
        if not caller.sees(query.get("tenant")):
            return Refusal(403)
        if self.streams >= MAX_LIVE_STREAMS:
            return Refusal(429)
        last = query.get("last_event_id")
        after = await self.store.latest_labelled() if last is None else last
        return self._events(after, caller.narrow(query.get("tenant")))

    async def _events(self, after: int, tenant: int | None) -> AsyncIterator[LiveEvent | None]:
        self.streams += 1
        quiet = QUIET_LOOKS  # say at once that the stream stands
        try:
            while True:
                found = await self.store.labelled_after(after, tenant, AT_ONCE)
                for seq, one in found:
                    yield seq, "click", click_record(one)
                    after = seq
                quiet = 0 if found else quiet + 1
                if quiet > QUIET_LOOKS:
                    yield None
                    quiet = 0
                if len(found) < AT_ONCE:
                    await asyncio.sleep(LIVE_LOOK_S)
        finally:
            self.streams -= 1

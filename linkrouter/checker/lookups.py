"""Finding things out: a link's page, a host's reputation. Each once at a time, remembered, and stored.

Promise: a look-up ends by the deadline of whoever waits for it, with a value; what is found is stored before it is
given; two who want to know the same thing at once share one look-up. Whatever a fetch or a source raises is a link that
stays pending, or an opinion that is unknown.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from linkrouter.checker.fetch.limits import Clock
from linkrouter.checker.fetch.single_flight import SingleFlight
from linkrouter.checker.lifetimes import fetch_lifetime, opinion_holds_s, trust
from linkrouter.checker.reputation.interface import Source
from linkrouter.checker.states import AuthorRecord, LinkStates
from linkrouter.checker.verdict import FetchResult, LinkState, Opinion, OpinionState
from linkrouter.errors import StoreError

__all__ = ["ASK_GRACE_S", "MAX_KEPT", "Asker", "Fetch", "Lookups", "SourceQuery", "find_reusable"]

MAX_KEPT = 20_000
ASK_GRACE_S = 1.0  # for the sources, when the links have used up the time

Fetch = Callable[[str, float], Awaitable[FetchResult]]  # the canonical URL and a deadline in the loop's time
SourceQuery = tuple[str, str]  # the name of a source, and what it is asked


class Asker(NamedTuple):
    """Who wants to know, and by when, in the loop's time."""

    author: str
    record: AuthorRecord
    deadline: float


class Lookups:
    """What every check of a process shares."""

    def __init__(
        self, fetch: Fetch, states: LinkStates, sources: Sequence[Source], *, clock: Clock = time.time
    ) -> None:
        self._fetch = fetch
        self._states = states
        self._sources = {source.name: source for source in sources}
        self._clock = clock
        self._kept: dict[str, LinkState] = {}  # stored since a check that is still running read the store
        self._fetches: SingleFlight[str, FetchResult] = SingleFlight()
        self._asks: SingleFlight[SourceQuery, Opinion] = SingleFlight()

    async def close(self) -> None:
        """Stop all look-ups; links that were being fetched stay pending."""
        await self._fetches.close()
        await self._asks.close()

    def forget(self, key: str) -> None:
        """Take nothing that was learnt of *key* so far for an answer."""
        self._kept.pop(key, None)

    async def fetch(self, key: str, before: LinkState | None, asker: Asker) -> tuple[FetchResult, bool]:
        """Give how fetching *key* ends, and whether that was known; *before* is its state as *asker* read it."""
        known = find_reusable(self._kept.get(key, before), self._clock())
        if known is not None:
            return known, True
        fetched = FetchResult("not reached in time")
        try:
            async with asyncio.timeout_at(asker.deadline):
                for _ in range(2):  # whoever began it may have had less time
                    fetched = await self._fetches.join(key, lambda: self._fetch_and_store(key, before, asker))
                    if fetched.reason != "not reached in time":
                        break
        except TimeoutError:
            pass
        return fetched, False

    async def ask(self, query: SourceQuery, asker: Asker) -> Opinion:
        """Give what a source answers to a query."""
        try:
            async with asyncio.timeout_at(asker.deadline + ASK_GRACE_S):
                return await self._asks.join(query, lambda: self._ask_and_store(query, asker))
        except TimeoutError:
            return Opinion("unknown", why="it did not answer in time")

    async def _fetch_and_store(self, key: str, before: LinkState | None, asker: Asker) -> FetchResult:
        try:
            fetched = await self._fetch(key, asker.deadline)
        except Exception:
            fetched = FetchResult("check failed")
        streak = before.streak if before is not None else 0
        lifetime = fetch_lifetime(fetched.reason, trust(streak, *asker.record))
        if lifetime.holds_s:
            now = self._clock()
            streak = streak + 1 if fetched.verdict == "fine" else 0
            state = LinkState(fetched, now, now + lifetime.reuse_s, now + lifetime.holds_s, streak)
            with suppress(StoreError):  # a verdict that could not be stored leaves the link pending
                await self._states.save_link(key, state, asker.author)
                self._keep(key, state)
        return fetched

    def _keep(self, key: str, state: LinkState) -> None:
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[key] = state

    async def _ask_and_store(self, query: SourceQuery, asker: Asker) -> Opinion:
        name, text = query
        try:
            stored = (await self._states.opinions([query])).get(query)
            if stored is not None and stored.holds_until > self._clock():
                return stored.opinion
            opinion = await self._sources[name].ask(text)
        except Exception:
            return Opinion("unknown", why="asking failed")
        if opinion.answer != "unknown":
            until = self._clock() + opinion_holds_s(opinion, trust(0, *asker.record))
            with suppress(StoreError):
                await self._states.save_opinion(*query, OpinionState(opinion, until), asker.author)
        return opinion


def find_reusable(state: LinkState | None, now: float) -> FetchResult | None:
    """Give what *state* holds, when it may be taken from the cache."""
    return state.fetched if state is not None and state.reuse_until > now else None

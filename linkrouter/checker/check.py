"""The check: every link of a mail to its verdict, as they come.

Promise: a check ends, with a report for every link, soon after its deadline whatever the links and the providers do; no
link is asked for twice at once, whoever asks; and a verdict is stored before it is reported, so that the gate, which
reads only what is stored, never knows less than the author was shown.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from linkrouter.checker.extract import Subject
from linkrouter.checker.flights import Flights
from linkrouter.checker.gate import Decision, asked_about, decide
from linkrouter.checker.lifetimes import fetch_lifetime, opinion_holds_s, trust
from linkrouter.checker.pace import Clock, Pace
from linkrouter.checker.parts import split_url
from linkrouter.checker.reputation.interface import Source
from linkrouter.checker.states import AuthorRecord, LinkStates
from linkrouter.checker.verdict import Fetched, LinkReport, LinkState, Opinion, OpinionState
from linkrouter.errors import StoreError

__all__ = ["CHECK_TIMEOUT_S", "Checker", "Fetch"]

CHECK_TIMEOUT_S = 20.0
LANES_PER_HOST = 10  # links of one host under way at once, in one check
MAX_KEPT = 20_000
ASK_GRACE_S = 1.0  # for the providers, when the links have used up the time

Fetch = Callable[[str, float], Awaitable[Fetched]]  # the canonical URL and a deadline in the loop's time
Asked = tuple[str, str]  # source and subject


@dataclass(slots=True)
class _Check:
    """What one check knows. `links` and `opinions` are what was stored and is still fresh."""

    author: str
    record: AuthorRecord
    deadline: float
    links: dict[str, LinkState]
    opinions: dict[Asked, Opinion] = field(default_factory=dict)


class Checker:
    """Checks mails with one *fetch* function, any number of *sources*, and one store; shared by all authors.

    Open and close it with `async with`; it opens and closes *states* and *sources* with it.
    """

    def __init__(
        self,
        fetch: Fetch,
        states: LinkStates,
        *,
        sources: Sequence[Source] = (),
        pace: Pace | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.sources = tuple(sources)
        self._fetch = fetch
        self._states = states
        self._pace = pace
        self._clock = clock
        self._kept: dict[str, LinkState] = {}  # what was stored since a check that is still running read the store
        self._fetches: Flights[str, tuple[Fetched, bool]] = Flights()
        self._asks: Flights[Asked, Opinion] = Flights()

    async def __aenter__(self) -> "Checker":
        await self._states.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._fetches.close()
        await self._asks.close()
        for source in self.sources:
            await source.close()
        await self._states.close()

    async def gate(self, subjects: Sequence[Subject]) -> Decision:
        """Decide, from fresh stored verdicts alone, whether a mail with these links may be sent now.

        Raises:
            StoreError: the store cannot be read.
        """
        links = await self._states.links({subject.key for subject in subjects if subject.key})
        asked = asked_about(_ways(subjects, links), self.sources)
        return decide(subjects, links, await self._states.opinions(asked), self.sources, self._clock())

    async def check(
        self, subjects: Sequence[Subject], *, author: str = "", within_s: float = CHECK_TIMEOUT_S
    ) -> AsyncIterator[LinkReport]:
        """Give the report of every link, the ones that are known already first; *author* is who asks.

        Raises:
            StoreError: the store cannot be read.
        """
        check = await self._begin(subjects, author, asyncio.get_running_loop().time() + within_s)
        unknown: dict[str, list[Subject]] = {}
        for subject in subjects:
            report = self._known(check, subject)
            if report is not None:
                yield report
            else:
                unknown.setdefault(split_url(subject.key)[0] if subject.key else "", []).append(subject)
        done: asyncio.Queue[LinkReport] = asyncio.Queue()
        lanes = [
            asyncio.create_task(self._lane(check, lane, done))
            for links in unknown.values()
            for lane in [iter(links)] * min(len(links), LANES_PER_HOST)
        ]
        try:
            for _ in range(sum(map(len, unknown.values()))):
                yield await done.get()
            await self._keep_holds()
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _begin(self, subjects: Sequence[Subject], author: str, deadline: float) -> _Check:
        keys = {subject.key for subject in subjects if subject.key}
        links = await self._states.links(keys)
        now = self._clock()
        fresh = {key: state for key, state in links.items() if state.fetched and state.reuse_until > now}
        if self._pace is not None:
            for host, when in (await self._states.not_before()).items():
                self._pace.not_before[host] = max(when, self._pace.not_before.get(host, 0.0))
        check = _Check(author, await self._states.author(author), deadline, links)
        stored = await self._states.opinions(asked_about(_ways(subjects, fresh), self.sources))
        check.opinions = {asked: state.opinion for asked, state in stored.items() if state.holds_until > now}
        pending = {subject.key for subject in subjects if subject.settled is None and subject.key not in fresh}
        with suppress(StoreError):
            await self._states.begin(pending)
        return check

    def _known(self, check: _Check, subject: Subject) -> LinkReport | None:
        """Give the report that needs nobody to be asked, if there is one."""
        fetched = None
        if subject.settled is None:
            state = check.links.get(subject.key)
            if state is None or state.fetched is None or state.reuse_until <= self._clock():
                return None
            fetched = state.fetched
        asked = asked_about(_way(subject, fetched), self.sources)
        if any(each not in check.opinions for each in asked):
            return None
        return _report(subject, fetched, [(*each, check.opinions[each]) for each in asked], cached=fetched is not None)

    async def _lane(self, check: _Check, subjects: Iterable[Subject], done: "asyncio.Queue[LinkReport]") -> None:
        for subject in subjects:
            done.put_nowait(await self._one(check, subject))

    async def _one(self, check: _Check, subject: Subject) -> LinkReport:
        """Fetch and ask at once; then ask about what the fetch met on its way."""
        if subject.settled is not None:
            return _report(subject, None, await self._opinions(check, _way(subject, None)))
        (fetched, cached), _ = await asyncio.gather(
            self._fetched(check, subject.key), self._opinions(check, (subject.key,))
        )
        return _report(subject, fetched, await self._opinions(check, _way(subject, fetched)), cached=cached)

    async def _fetched(self, check: _Check, key: str) -> tuple[Fetched, bool]:
        for state in (check.links.get(key), self._kept.get(key)):
            if state is not None and state.fetched is not None and state.reuse_until > self._clock():
                return state.fetched, True
        try:
            async with asyncio.timeout_at(check.deadline):
                return await self._fetches.join(key, lambda: self._fetch_and_keep(check, key))
        except TimeoutError:
            return Fetched("not reached in time"), False

    async def _fetch_and_keep(self, check: _Check, key: str) -> tuple[Fetched, bool]:
        try:
            fetched = await self._fetch(key, check.deadline)
        except Exception:  # one link's accident; it stays pending, and so holds the mail
            fetched = Fetched("check failed")
        before = check.links.get(key)
        streak = before.streak if before is not None else 0
        lifetime = fetch_lifetime(fetched.reason, trust(streak, *check.record))
        now = self._clock()
        if lifetime.holds_s:
            streak = streak + 1 if fetched.verdict == "fine" else 0
            state = LinkState(fetched, now, now + lifetime.reuse_s, now + lifetime.holds_s, streak)
            with suppress(StoreError):  # a verdict that could not be stored leaves the link pending
                await self._states.save_link(key, state, check.author)
                if len(self._kept) >= MAX_KEPT:
                    self._kept.clear()
                self._kept[key] = state
        return fetched, False

    async def _opinions(self, check: _Check, urls: Iterable[str]) -> list[tuple[str, str, Opinion]]:
        asked = asked_about(urls, self.sources)
        missing = [each for each in asked if each not in check.opinions]
        found = await asyncio.gather(*(self._opinion(check, each) for each in missing))
        check.opinions.update(zip(missing, found, strict=True))
        return [(*each, check.opinions[each]) for each in asked]

    async def _opinion(self, check: _Check, asked: Asked) -> Opinion:
        try:
            async with asyncio.timeout_at(check.deadline + ASK_GRACE_S):
                return await self._asks.join(asked, lambda: self._ask_and_keep(check, asked))
        except TimeoutError:
            return Opinion("unknown", why="it did not answer in time")

    async def _ask_and_keep(self, check: _Check, asked: Asked) -> Opinion:
        name, subject = asked
        stored = (await self._states.opinions([asked])).get(asked)
        if stored is not None and stored.holds_until > self._clock():
            return stored.opinion
        source = next(source for source in self.sources if source.name == name)
        try:
            opinion = await source.ask(subject)
        except Exception:  # a provider's accident is an unknown, and holds the mail
            return Opinion("unknown", why="asking failed")
        link = check.links.get(subject)
        holds_s = opinion_holds_s(opinion, trust(link.streak if link else 0, *check.record))
        if opinion.answer != "unknown":
            with suppress(StoreError):
                await self._states.save_opinion(*asked, OpinionState(opinion, self._clock() + holds_s), check.author)
        return opinion

    async def _keep_holds(self) -> None:
        if self._pace is not None:
            now = self._clock()
            holds = {host: when for host, when in self._pace.not_before.items() if when > now}
            if holds:
                with suppress(StoreError):
                    await self._states.save_not_before(holds)


def _way(subject: Subject, fetched: Fetched | None) -> tuple[str, ...]:
    """Give every URL that a reader of *subject* comes through."""
    if not subject.key:
        return ()
    return (subject.key, *(hop.url for hop in fetched.hops)) if fetched else (subject.key,)


def _ways(subjects: Iterable[Subject], links: dict[str, LinkState]) -> list[str]:
    urls: dict[str, None] = {}
    for subject in subjects:
        state = links.get(subject.key)
        urls.update(dict.fromkeys(_way(subject, state.fetched if state is not None else None)))
    return list(urls)


def _report(
    subject: Subject, fetched: Fetched | None, opinions: list[tuple[str, str, Opinion]], *, cached: bool = False
) -> LinkReport:
    """Put together what is known of a link: a listing weighs more than anything that was fetched."""
    if subject.settled is not None:
        verdict, reason, detail = subject.settled
    else:
        assert fetched is not None
        verdict, reason, detail = fetched.verdict, fetched.reason, fetched.detail
    listed = [opinion for _, _, opinion in opinions if opinion.answer == "listed"]
    names = ", ".join(dict.fromkeys(name for opinion in listed for name in opinion.lists))
    if any(opinion.blocks for opinion in listed):
        verdict, reason, detail = "flagged", "listed", names
    elif listed and verdict == "fine":
        verdict, reason, detail = "unverifiable", "listed for review", names
    hops = fetched.hops if fetched else ()
    return LinkReport(subject.url, verdict, reason, detail, subject.places, hops, tuple(opinions), cached)

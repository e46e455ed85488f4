"""The check: every link of a mail to its verdict, as they come.

Promise: a check ends, with a report for every link, soon after its deadline whatever the links and the providers do.
Fetching never waits for reputation: a link is reported when it is fetched, and again when every source has answered.
The gate reads what is stored and nothing else, so it never knows more than the author was shown.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any

from linkrouter.checker.fetch.limits import Clock, Pace
from linkrouter.checker.gate import Decision, asked_about, decide
from linkrouter.checker.lookups import Asked, Asker, Fetch, Lookups, fetched_before
from linkrouter.checker.mail.extract import Subject
from linkrouter.checker.reputation.interface import Source
from linkrouter.checker.states import LinkStates
from linkrouter.checker.urls import split_url
from linkrouter.checker.verdict import Fetched, LinkReport, LinkState, Opinion
from linkrouter.errors import StoreError

__all__ = ["CHECK_TIMEOUT_S", "Checker"]

CHECK_TIMEOUT_S = 20.0
LANES_PER_HOST = 10  # links of one host under way at once, in one check


class Checker:
    """Checks mails with one *fetch* function, any number of *sources*, and one store; shared by all authors.

    Open and close it with `async with`; it opens and closes *states* and closes *sources* with it.
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
        self._states = states
        self._pace = pace
        self._clock = clock
        self._lookups = Lookups(fetch, states, sources, clock=clock)

    async def __aenter__(self) -> "Checker":
        await self._states.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lookups.close()
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
        """Give the reports of every link, the ones that are known already first; *author* is who asks.

        A link that is fetched before every source has answered is reported twice; only the last report of a link is
        `complete`.

        Raises:
            StoreError: the store cannot be read.
        """
        run = await self._begin(author, subjects, asyncio.get_running_loop().time() + within_s)
        unknown = []
        for subject in subjects:
            report = run.known(subject, self._clock())
            if report is not None:
                yield report
            else:
                unknown.append(subject)
        try:
            run.start_all(unknown)
            waiting = len(unknown)
            while waiting:
                report = await run.reports.get()
                waiting -= report.complete
                yield report
            await self._keep_holds()
        finally:
            await run.stop()

    async def _begin(self, author: str, subjects: Sequence[Subject], deadline: float) -> "_Run":
        links = await self._states.links({subject.key for subject in subjects if subject.key})
        now = self._clock()
        fresh = {key: state for key, state in links.items() if fetched_before(state, now)}
        stored = await self._states.opinions(asked_about(_ways(subjects, fresh), self.sources))
        opinions = {asked: state.opinion for asked, state in stored.items() if state.holds_until > now}
        if self._pace is not None:
            for host, when in (await self._states.not_before()).items():
                self._pace.not_before[host] = max(when, self._pace.not_before.get(host, 0.0))
        asker = Asker(author, await self._states.author(author), deadline)
        with suppress(StoreError):  # what is not stored as pending has expired, or does so soon
            await self._states.begin(
                {subject.key for subject in subjects if subject.settled is None and subject.key not in fresh}
            )
        return _Run(self._lookups, self.sources, asker, links, opinions)

    async def _keep_holds(self) -> None:
        holds = self._pace.holds() if self._pace is not None else {}
        if holds:
            with suppress(StoreError):
                await self._states.save_not_before(holds)


class _Run:
    """One check under way: its tasks, and what it knows. *links* and *opinions* are what was stored."""

    def __init__(
        self,
        lookups: Lookups,
        sources: Sequence[Source],
        asker: Asker,
        links: dict[str, LinkState],
        opinions: dict[Asked, Opinion],
    ) -> None:
        self.reports: asyncio.Queue[LinkReport] = asyncio.Queue()
        self._lookups = lookups
        self._sources = sources
        self._asker = asker
        self._links = links
        self._opinions = opinions
        self._tasks: set[asyncio.Task[Any]] = set()

    def known(self, subject: Subject, now: float) -> LinkReport | None:
        """Give the report that needs nobody to be asked, if there is one."""
        fetched = fetched_before(self._links.get(subject.key), now)
        if subject.settled is None and fetched is None:
            return None
        report = self._report(subject, None if subject.settled else fetched, cached=subject.settled is None)
        return report if report.complete else None

    def start_all(self, subjects: Iterable[Subject]) -> None:
        """Begin, with a few lanes for each host, so that a slow one holds up nobody else."""
        hosts: dict[str, list[Subject]] = {}
        for subject in subjects:
            hosts.setdefault(split_url(subject.key)[0], []).append(subject)
        for links in hosts.values():
            lane = iter(links)
            for _ in range(min(len(links), LANES_PER_HOST)):
                self._start(self._lane(lane))

    async def stop(self) -> None:
        """Stop whatever still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lane(self, subjects: Iterable[Subject]) -> None:
        for subject in subjects:
            fetched, cached = None, False
            if subject.settled is None:
                if self._sources:
                    self._start(self._ask((subject.key,)))
                fetched, cached = await self._lookups.fetch(subject.key, self._links.get(subject.key), self._asker)
            report = self._report(subject, fetched, cached=cached)
            self.reports.put_nowait(report)
            if not report.complete:
                self._start(self._complete(subject, fetched, cached))

    async def _complete(self, subject: Subject, fetched: Fetched | None, cached: bool) -> None:
        await self._ask(_way(subject, fetched))
        self.reports.put_nowait(self._report(subject, fetched, cached=cached))

    async def _ask(self, urls: Sequence[str]) -> None:
        missing = [asked for asked in asked_about(urls, self._sources) if asked not in self._opinions]
        found = await asyncio.gather(*(self._lookups.ask(asked, self._asker) for asked in missing))
        self._opinions.update(zip(missing, found, strict=True))

    def _report(self, subject: Subject, fetched: Fetched | None, *, cached: bool) -> LinkReport:
        """Put together what is known of a link: a listing weighs more than anything that was fetched."""
        asked = asked_about(_way(subject, fetched), self._sources)
        opinions = [(*each, self._opinions[each]) for each in asked if each in self._opinions]
        if fetched is not None:
            verdict, reason, detail = fetched.verdict, fetched.reason, fetched.detail
        else:
            assert subject.settled is not None
            verdict, reason, detail = subject.settled
        listed = [opinion for _, _, opinion in opinions if opinion.answer == "listed"]
        names = ", ".join(dict.fromkeys(name for opinion in listed for name in opinion.lists))
        if any(opinion.blocks for opinion in listed):
            verdict, reason, detail = "flagged", "listed", names
        elif listed and verdict == "fine":
            verdict, reason, detail = "unverifiable", "listed for review", names
        return LinkReport(
            subject.url,
            verdict,
            reason,
            detail,
            subject.places,
            fetched.hops if fetched else (),
            tuple(opinions),
            cached,
            complete=len(opinions) == len(asked),
        )


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

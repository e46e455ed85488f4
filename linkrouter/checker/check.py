"""The check: every link of a mail to its verdict, as they come.

Promise: a check ends, with a report for every link, soon after its deadline whatever the links and the providers do.
Fetching never waits for reputation: a link is reported when it is fetched, and again when every source has answered.
The gate reads what is stored and nothing else, so it never knows more than the author was shown.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from linkrouter.checker.fetch.limits import Clock, HostLimits
from linkrouter.checker.gate import Decision, decide, queries_about
from linkrouter.checker.lookups import Asker, Fetch, Lookups, SourceQuery, find_reusable
from linkrouter.checker.mail.extract import LinkToCheck
from linkrouter.checker.reputation.interface import Source
from linkrouter.checker.states import LinkStates
from linkrouter.checker.tenant_states import TenantStates
from linkrouter.checker.urls import split_url
from linkrouter.checker.verdict import FetchResult, LinkReport, LinkState, Opinion
from linkrouter.errors import StoreError

__all__ = ["CHECK_TIMEOUT_S", "MAX_LINK_WORKERS", "WORKERS_PER_HOST", "Checker", "Fresh"]

CHECK_TIMEOUT_S = 20.0
WORKERS_PER_HOST = 10  # links of one host under way at once, in one check
MAX_LINK_WORKERS = 1000  # of one check: more than may ask at once, since some wait for a host's Retry-After


Fresh = Literal["", "all", "findings"]


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
        limits: HostLimits | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.sources = tuple(sources)
        self._fetch = fetch
        self._tenants: dict[int, Checker] = {}
        self._states = states
        self._limits = limits
        self._clock = clock
        self._lookups = Lookups(fetch, states, sources, clock=clock)

    async def __aenter__(self) -> "Checker":
        await self._states.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        for checker in (self, *self._tenants.values()):
            await checker._lookups.close()
        for source in self.sources:
            await source.close()
        await self._states.close()

    def for_tenant(self, tenant: int | None) -> "Checker":
        """Give the checker that tells *tenant* nothing of what others' checks learnt of links; None is itself."""
        if tenant is None:
            return self
        if tenant not in self._tenants:
            states = TenantStates(self._states, tenant)
            self._tenants[tenant] = Checker(
                self._fetch, states, sources=self.sources, limits=self._limits, clock=self._clock
            )
        return self._tenants[tenant]

    async def gate(self, links: Sequence[LinkToCheck]) -> Decision:
        """Decide, from fresh stored verdicts alone, whether a mail with these links may be sent now.

        Raises:
            StoreError: the store cannot be read.
        """
        states = await self._states.links({link.key for link in links if link.key})
        queries = queries_about(_ways(links, states), self.sources)
        return decide(links, states, await self._states.opinions(queries), self.sources, self._clock())

    async def was_fine(self, link: LinkToCheck) -> bool:
        """Whether *link* answered when it was fetched last, and no list had anything against it.

        Raises:
            StoreError: the store cannot be read.
        """
        states = await self._states.links({link.key})
        state = states.get(link.key)
        if state is None or state.fetched is None or state.fetched.verdict != "fine":
            return False
        stored = await self._states.opinions(queries_about(_ways([link], states), self.sources))
        return not any(each.opinion.answer == "listed" for each in stored.values())

    async def check(
        self, links: Sequence[LinkToCheck], *, author: str = "", within_s: float = CHECK_TIMEOUT_S, fresh: Fresh = ""
    ) -> AsyncIterator[LinkReport]:
        """Give the reports of every link, the ones that are known already first; *author* is who asks.

        What is known is asked anew with *fresh*: of "all" links, or of those with "findings" alone.

        A link that is fetched before every source has answered is reported twice; only the last report of a link is
        `complete`.

        Raises:
            StoreError: the store cannot be read.
        """
        run = await self._begin(author, links, asyncio.get_running_loop().time() + within_s, fresh)
        unknown = []
        for link in links:
            report = run.known(link, self._clock())
            if report is not None:
                yield report
            else:
                unknown.append(link)
        try:
            await run.start_all(unknown)
            waiting = len(unknown)
            while waiting:
                report = await run.reports.get()
                waiting -= report.complete
                yield report
            await self._keep_holds()
        finally:
            await run.stop()

    async def _begin(self, author: str, links: Sequence[LinkToCheck], deadline: float, refresh: Fresh) -> "_Run":
        states = await self._states.links({link.key for link in links if link.key})
        for key, state in states.items():
            if refresh == "all" or (refresh and state.fetched is not None and state.fetched.verdict != "fine"):
                states[key] = replace(state, reuse_until=0.0)
                self._lookups.forget(key)
        now = self._clock()
        fresh = {key: state for key, state in states.items() if find_reusable(state, now)}
        stored = await self._states.opinions(queries_about(_ways(links, fresh), self.sources))
        opinions = {query: state.opinion for query, state in stored.items() if state.holds_until > now}
        if self._limits is not None:
            for host, when in (await self._states.not_before()).items():
                self._limits.not_before[host] = max(when, self._limits.not_before.get(host, 0.0))
        asker = Asker(author, await self._states.author(author), deadline)
        with suppress(StoreError):  # what is not stored as pending has expired, or does so soon
            await self._states.begin({link.key for link in links if link.settled is None and link.key not in fresh})
        return _Run(self._lookups, self.sources, asker, states, opinions)

    async def _keep_holds(self) -> None:
        holds = self._limits.holds() if self._limits is not None else {}
        if holds:
            with suppress(StoreError):
                await self._states.save_not_before(holds)


class _Run:
    """One check under way: its tasks, and what it knows. *states* and *opinions* are what was stored."""

    def __init__(
        self,
        lookups: Lookups,
        sources: Sequence[Source],
        asker: Asker,
        states: dict[str, LinkState],
        opinions: dict[SourceQuery, Opinion],
    ) -> None:
        self.reports: asyncio.Queue[LinkReport] = asyncio.Queue()
        self._lookups = lookups
        self._sources = sources
        self._asker = asker
        self._states = states
        self._opinions = opinions
        self._tasks: set[asyncio.Task[Any]] = set()

    def known(self, link: LinkToCheck, now: float) -> LinkReport | None:
        """Give the report that needs nobody to be asked, if there is one."""
        fetched = find_reusable(self._states.get(link.key), now)
        if link.settled is None and fetched is None:
            return None
        report = self._report(link, None if link.settled else fetched, cached=link.settled is None)
        return report if report.complete else None

    async def start_all(self, links: Iterable[LinkToCheck]) -> None:
        """Begin, with a few workers for each host by turns, so that a slow one holds up nobody else.

        Between them others have their turn: a check of thousands begins as smoothly as it goes on.
        """
        links_by_host: dict[str, list[LinkToCheck]] = {}
        for link in links:
            links_by_host.setdefault(split_url(link.key)[0], []).append(link)
        await asyncio.sleep(0)
        queues = [(len(of_host), iter(of_host)) for of_host in links_by_host.values()]
        turns = [queue for turn in range(WORKERS_PER_HOST) for length, queue in queues if turn < length]
        waiting = iter(turns)
        for number in range(min(len(turns), MAX_LINK_WORKERS)):
            self._start(self._work(waiting))
            if number % 50 == 49:
                await asyncio.sleep(0)

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

    async def _work(self, turns: Iterable[Iterable[LinkToCheck]]) -> None:
        """Take one turn after another, each to the end of its host's links; *turns* and they are shared by all."""
        for links in turns:
            for link in links:
                await self._look_at(link)

    async def _look_at(self, link: LinkToCheck) -> None:
        fetched, cached = None, False
        if link.settled is None:
            if self._sources:
                self._start(self._ask((link.key,)))
            fetched, cached = await self._lookups.fetch(link.key, self._states.get(link.key), self._asker)
        report = self._report(link, fetched, cached=cached)
        self.reports.put_nowait(report)
        if not report.complete:
            self._start(self._complete(link, fetched, cached))

    async def _complete(self, link: LinkToCheck, fetched: FetchResult | None, cached: bool) -> None:
        await self._ask(_way(link, fetched))
        self.reports.put_nowait(self._report(link, fetched, cached=cached))

    async def _ask(self, urls: Sequence[str]) -> None:
        missing = [query for query in queries_about(urls, self._sources) if query not in self._opinions]
        found = await asyncio.gather(*(self._lookups.ask(query, self._asker) for query in missing))
        self._opinions.update(zip(missing, found, strict=True))

    def _report(self, link: LinkToCheck, fetched: FetchResult | None, *, cached: bool) -> LinkReport:
        """Put together what is known of a link: a listing weighs more than anything that was fetched."""
        queries = queries_about(_way(link, fetched), self._sources)
        opinions = [(*each, self._opinions[each]) for each in queries if each in self._opinions]
        if fetched is not None:
            verdict, reason, detail = fetched.verdict, fetched.reason, fetched.detail
        else:
            assert link.settled is not None
            verdict, reason, detail = link.settled
        listed = [opinion for _, _, opinion in opinions if opinion.answer == "listed"]
        names = ", ".join(dict.fromkeys(name for opinion in listed for name in opinion.lists))
        if any(opinion.blocks for opinion in listed):
            verdict, reason, detail = "flagged", "listed", names
        elif listed and verdict == "fine":
            verdict, reason, detail = "unverifiable", "listed for review", names
        return LinkReport(
            link.url,
            verdict,
            reason,
            detail,
            link.places,
            fetched.hops if fetched else (),
            tuple(opinions),
            cached,
            complete=len(opinions) == len(queries),
            checked_at=self._states[link.key].checked_at if cached and link.key in self._states else None,
        )


def _way(link: LinkToCheck, fetched: FetchResult | None) -> tuple[str, ...]:
    """Give every URL that a reader of *link* comes through."""
    if not link.key:
        return ()
    return (link.key, *(hop.url for hop in fetched.hops)) if fetched else (link.key,)


def _ways(links: Iterable[LinkToCheck], states: dict[str, LinkState]) -> list[str]:
    urls: dict[str, None] = {}
    for link in links:
        state = states.get(link.key)
        urls.update(dict.fromkeys(_way(link, state.fetched if state is not None else None)))
    return list(urls)

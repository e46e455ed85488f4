"""Fetching one link: `HEAD`, at most one `GET`, redirects by hand, until there is a reason for a verdict.

Promise: a fetch ends, with a reason and the requests that led to it, within its deadline. Each hop is judged anew
before it is requested. What is requested is what a browser would request for the link, byte for byte.
"""

import asyncio
import random
import re
import time

import ada_url

from linkrouter.checker.fetch.classify import GET_AFTER_HEAD, REDIRECTS, HttpAnswer, classify_answer, retry_after_s
from linkrouter.checker.fetch.client import Failure, HttpClient
from linkrouter.checker.fetch.limits import HostLimits, Sleep
from linkrouter.checker.fetch.lying_hosts import LyingHosts, find_lie
from linkrouter.checker.fetch.own_links import OwnLinks, no_own_links
from linkrouter.checker.mail.rules import find_malformed
from linkrouter.checker.urls import find_browser_url, split_url
from linkrouter.checker.verdict import CHECK_REASONS, FetchResult, Hop
from linkrouter.errors import BadDestination, BadLink
from linkrouter.link import canonical_url

__all__ = ["BACKOFF_S", "HOLD_S", "LINK_TIMEOUT_S", "MAX_HOLDS", "MAX_REDIRECTS", "Fetcher"]

LINK_TIMEOUT_S = 8.0
MAX_REDIRECTS = 10
MAX_HOLDS = 3  # how often one link waits for a Retry-After
BACKOFF_S = 0.2  # before GET, so that the two are not taken for an attack
HOLD_S = 1.0  # after a 429 that does not say how long

# A GET of such a link has signed people off; HEAD is all that it gets.
_LETS_THE_READER_CHOOSE = re.compile(r"unsubscri|opt[-_]?out", re.IGNORECASE)

_OTHER_SCHEME = re.compile(r"\s*(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class Fetcher:
    """Fetches links over *client* within *limits*; *local* allows hosts that only a local network knows."""

    def __init__(
        self,
        client: HttpClient,
        limits: HostLimits,
        *,
        lying_hosts: LyingHosts,
        own_links: OwnLinks = no_own_links,
        local: bool = False,
        link_timeout_s: float = LINK_TIMEOUT_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._client = client
        self._limits = limits
        self._lying_hosts = lying_hosts
        self._own_links = own_links
        self._local = local
        self._link_timeout_s = link_timeout_s
        self._sleep = sleep

    async def fetch(self, url: str, deadline: float) -> FetchResult:
        """Fetch the canonical *url*; *deadline* is in the loop's time."""
        trace = _Trace(self._link_timeout_s, deadline)
        try:
            async with asyncio.timeout_at(deadline):
                reason, detail = await self._follow(url, trace)
        except TimeoutError:
            reason, detail = "not reached in time", ""
        if CHECK_REASONS[reason].verdict == "broken" and (lie := self._find_lie(url, trace)):
            reason, detail = "refuses robots", lie
        return FetchResult(reason, detail, tuple(trace.hops))

    def _find_lie(self, url: str, trace: "_Trace") -> str | None:
        last = trace.hops[-1].url if trace.hops else url
        return next((lie for each in (last, url) if (lie := find_lie(self._lying_hosts, split_url(each)[1]))), None)

    async def _follow(self, url: str, trace: "_Trace") -> tuple[str, str]:
        seen: set[str] = set()
        while len(seen) <= MAX_REDIRECTS:
            seen.add(url)
            try:
                location = self._own_links(url)
            except BadLink:
                return trace.end(url, "not a genuine tracked link")
            if location is not None:
                trace.hops.append(Hop(url, "", None, "own link"))
            else:
                answer = await self._ask(url, trace)
                if isinstance(answer, Failure):
                    return trace.end(url, answer.reason)
                if answer.status not in REDIRECTS or "location" not in answer.headers:
                    return classify_answer(answer)
                location = _read_location(answer)
                trace.cookies |= "set-cookie" in answer.headers
            next_url = self._next(url, location, trace)
            if isinstance(next_url, Failure):
                return next_url.reason, ""
            if next_url in seen:
                return ("needs cookies" if trace.cookies else "redirects in a circle"), ""
            url = next_url
        return trace.end(url, "too many redirects")

    def _next(self, url: str, location: str, trace: "_Trace") -> str | Failure:
        """Judge where *location* leads from *url*."""
        followed = find_browser_url(location, url)
        if followed is None:
            return Failure("leaves the web" if _OTHER_SCHEME.match(location) else "redirects to a malformed URL")
        try:
            joined = str(ada_url.URL(location, url).href)
            if find_malformed(joined, local=self._local) is None:
                return canonical_url(joined).partition("#")[0]
        except BadDestination:
            pass
        return Failure(trace.end(followed, "redirects to a malformed URL")[0])

    async def _ask(self, url: str, trace: "_Trace") -> HttpAnswer | Failure:
        """Request one hop: HEAD, then GET where HEAD may be all that it minds, waiting when it says so."""
        host = split_url(url)[0].partition("://")[2]
        while True:
            if trace.method == "GET" and _LETS_THE_READER_CHOOSE.search(url):
                return Failure("not opened")
            answer = await self._request(url, host, trace)
            if trace.wants_get(answer):
                trace.method = "GET"
                await self._sleep(BACKOFF_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                continue
            hold_s = _hold_s(answer)
            if hold_s is None:
                return answer
            self._limits.hold(host, hold_s)
            trace.holds += 1
            if trace.holds > MAX_HOLDS or not trace.has_time(self._limits.wait_s(host)):
                return answer

    async def _request(self, url: str, host: str, trace: "_Trace") -> HttpAnswer | Failure:
        if not trace.has_time(self._limits.wait_s(host)):
            return Failure("rate limited")
        origin, _, target = split_url(url)
        async with self._limits.slot(host):
            started = time.monotonic()
            answer = await self._client.request(trace.method, origin, target, trace.left_s)
            trace.left_s = max(0.05, trace.left_s - (time.monotonic() - started))
        if isinstance(answer, Failure):
            trace.hops.append(Hop(url, trace.method, None, answer.reason))
        else:
            trace.hops.append(Hop(url, trace.method, answer.status))
        return answer


class _Trace:
    """What one fetch has done so far, and may still do."""

    def __init__(self, left_s: float, deadline: float) -> None:
        self.hops: list[Hop] = []
        self.method = "HEAD"
        self.left_s = left_s  # for requests; waiting for a turn does not count
        self.deadline = deadline
        self.holds = 0
        self.cookies = False

    def end(self, url: str, reason: str) -> tuple[str, str]:
        """End at *url*, which is part of the way even where it was not requested: its host is asked about too."""
        if not self.hops or self.hops[-1].url != url:
            self.hops.append(Hop(url, "", None, "not requested"))
        return reason, ""

    def has_time(self, wait_s: float) -> bool:
        return asyncio.get_running_loop().time() + wait_s < self.deadline

    def wants_get(self, answer: HttpAnswer | Failure) -> bool:
        if self.method == "GET":
            return False
        if isinstance(answer, Failure):
            return answer.reason == "connection reset"
        asks_to_wait = answer.status == 503 and "retry-after" in answer.headers
        return answer.status in GET_AFTER_HEAD and not asks_to_wait


def _read_location(answer: HttpAnswer) -> str:
    """Read the header as browsers do: the first of several, and its bytes as UTF-8."""
    location = answer.headers["location"].split("\n")[0]
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def _hold_s(answer: HttpAnswer | Failure) -> float | None:
    """Give how long the host of *answer* wants to be left alone, or None when it did not say."""
    if isinstance(answer, Failure) or answer.status not in (429, 503):
        return None
    asked_s = retry_after_s(answer, time.time())
    return HOLD_S if asked_s is None and answer.status == 429 else asked_s

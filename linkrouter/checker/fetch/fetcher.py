"""Fetching one link: `HEAD` as a courtesy, `GET` to decide, redirects by hand, until there is a reason for a verdict.

Promise: a fetch ends, with a reason and the requests that led to it, within its deadline. Each hop is judged anew
before it is requested. What is requested is what a browser would request for the link, byte for byte. `HEAD` alone
calls nothing broken but what its network, 401, 410 or 429 says, and calls a page fine only where there is no time, no
budget or no leave for `GET`.
"""

import asyncio
import random
import re
import time
from typing import NamedTuple
from urllib.parse import unquote

import ada_url

from linkrouter.checker.fetch.classify import GATEWAY_ERRORS, REDIRECTS, HttpAnswer, classify_answer, retry_after_s
from linkrouter.checker.fetch.client import HttpClient
from linkrouter.checker.fetch.faults import Failure
from linkrouter.checker.fetch.head_hosts import HeadHosts, is_true_to_head
from linkrouter.checker.fetch.landing import judge_landing
from linkrouter.checker.fetch.limits import HostLimits, Sleep
from linkrouter.checker.fetch.lying_hosts import LyingHosts, find_lie
from linkrouter.checker.fetch.own_links import OwnLinks, no_own_links
from linkrouter.checker.fetch.refresh import find_refresh
from linkrouter.checker.fetch.walk import Trace, Walk, WalkEnd
from linkrouter.checker.mail.rules import find_malformed
from linkrouter.checker.urls import find_browser_url, split_url
from linkrouter.checker.verdict import CHECK_REASONS, FetchResult, Hop
from linkrouter.errors import BadDestination, BadLink
from linkrouter.link import canonical_url

__all__ = [
    "BACKOFF_S",
    "FETCH_RULES",
    "GATEWAY_PAUSE_S",
    "HEAD_SHARE",
    "HOLD_S",
    "LINK_TIMEOUT_S",
    "MAX_HOLDS",
    "MAX_REDIRECTS",
    "Fetcher",
    "may_sign_off",
]

FETCH_RULES = 1  # raised when the same answers get another verdict, so that no cache tells the old one
LINK_TIMEOUT_S = 8.0
HEAD_SHARE = 0.25  # of the link's time, once connected; GET has the rest where HEAD is never answered
MAX_REDIRECTS = 20  # as many as browsers follow
MAX_HOLDS = 3  # how often one link waits for a Retry-After
BACKOFF_S = 0.2  # after a HEAD that failed, so that it and GET are not taken for an attack
GATEWAY_PAUSE_S = 1.5  # before a gateway that failed is asked once more
HOLD_S = 1.0  # after a 429 that does not say how long

# A GET of such a link has signed people off; HEAD is all that it gets.
_LETS_THE_READER_CHOOSE = re.compile(
    r"unsubscri|opt[-_]?out|sign[-_]?off|abmeld|abbestell|d[e\u00e9]s(?:inscri|abonn|uscri)|disiscri|cancella[-_]iscri"
    r"|cancelar[-_]?(?:inscri|suscri)|afmeld|uitschrijv|avregistrer|avprenumer|wypisz",
    re.IGNORECASE,
)
# Where a second opinion could not be had, the first one stands.
_NO_OPINION = frozenset({"rate limited", "busy", "not opened", "not reached in time"})

_OTHER_SCHEME = re.compile(r"\s*(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class Fetcher:
    """Fetches links over *client* within *limits*; *local* allows hosts that only a local network knows."""

    def __init__(
        self,
        client: HttpClient,
        limits: HostLimits,
        *,
        lying_hosts: LyingHosts,
        head_hosts: HeadHosts = frozenset(),
        own_links: OwnLinks = no_own_links,
        local: bool = False,
        link_timeout_s: float = LINK_TIMEOUT_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._client = client
        self._limits = limits
        self._lying_hosts = lying_hosts
        self._head_hosts = head_hosts
        self._own_links = own_links
        self._local = local
        self._link_timeout_s = link_timeout_s
        self._sleep = sleep

    async def fetch(self, url: str, deadline: float) -> FetchResult:
        """Fetch the canonical *url*; *deadline* is in the loop's time."""
        trace = Trace(self._link_timeout_s, deadline)
        try:
            async with asyncio.timeout_at(deadline):
                end = await self._decide(url, trace)
        except TimeoutError:
            end = trace.fall_back()
        reason, detail = end.reason, end.detail
        if CHECK_REASONS[reason].verdict == "broken" and (lie := self._find_lie(url, trace)):
            reason, detail = "refuses robots", lie
        return FetchResult(reason, detail, tuple(trace.hops))

    def _find_lie(self, url: str, trace: Trace) -> str | None:
        last = trace.hops[-1].url if trace.hops else url
        return next((lie for each in (last, url) if (lie := find_lie(self._lying_hosts, split_url(each)[1]))), None)

    async def _decide(self, url: str, trace: Trace) -> WalkEnd:
        head = await self._follow(Walk(url, "HEAD", trace.left_s * HEAD_SHARE), trace)
        if not head.is_fine:
            if not head.may_differ_for_get:
                return head
            await self._sleep(BACKOFF_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            return await self._follow(Walk(url, "GET", trace.left_s), trace)
        if self._needs_no_second_opinion(head, trace):
            return head
        return await self._second_opinion(url, head, trace)

    async def _second_opinion(self, url: str, head: WalkEnd, trace: Trace) -> WalkEnd:
        """Ask `GET` about what `HEAD` called fine; where they agree, its way alone is the evidence."""
        trace.hear(head)
        opinion = await self._follow(Walk(url, "GET", trace.left_s, ranged=True), trace)
        if opinion.answer is not None and opinion.answer.status >= 400 and opinion.reason not in _NO_OPINION:
            opinion = await self._follow(Walk(url, "GET", trace.left_s), trace)  # it may have been the range
        if opinion.reason in _NO_OPINION:
            return trace.fall_back()
        if opinion.is_fine:
            trace.forget_head()
        return opinion

    def _needs_no_second_opinion(self, head: WalkEnd, trace: Trace) -> bool:
        if any(may_sign_off(hop.url) for hop in trace.hops):
            return True
        host = split_url(trace.hops[-1].url)[1]
        assert head.answer is not None
        return is_true_to_head(self._head_hosts, host, head.answer) or not self._limits.take_second_opinion(host)

    async def _follow(self, walk: Walk, trace: Trace) -> WalkEnd:
        url = walk.url
        while True:
            walk.seen.append(url)
            step = await self._step(url, walk, trace)
            if isinstance(step, WalkEnd):
                return step
            next_url = self._next(step.base, step.url, trace)
            if isinstance(next_url, Failure):
                return step.page if step.page and next_url.reason != "leaves the web" else walk.end(next_url.reason)
            if next_url in walk.seen or len(walk.seen) > MAX_REDIRECTS:
                return self._never_ends(next_url, step, walk, trace)
            url = next_url

    def _never_ends(self, next_url: str, step: "_Lead", walk: Walk, trace: Trace) -> WalkEnd:
        if walk.cookies and step.at_once:
            return walk.end("needs cookies")
        if step.page is not None:  # pages may lead to each other, or be read again
            return step.page
        if next_url in walk.seen:
            return walk.end("redirects in a circle")
        trace.reach(next_url)
        return walk.end("too many redirects")

    async def _step(self, url: str, walk: Walk, trace: Trace) -> "WalkEnd | _Lead":
        """Take one hop: give the end, or where it leads."""
        try:
            location = self._own_links(url)
        except BadLink:
            trace.reach(url)
            return walk.end("not a genuine tracked link")
        if location is not None:
            trace.hops.append(Hop(url, "", None, "own link"))
            return _Lead(location, url)
        answer = await self._ask(url, walk, trace)
        if isinstance(answer, Failure):
            trace.reach(url)
            return walk.end(answer.reason, connected=answer.connected)
        walk.cookies |= "set-cookie" in answer.headers
        if answer.status in REDIRECTS and "location" in answer.headers:
            walk.redirected = True
            return _Lead(_read_location(answer), url)
        reason, detail = classify_answer(answer)
        end = walk.end(*(judge_landing(walk.url, url, answer, reason) or (reason, detail)), answer)
        refresh = find_refresh(answer) if end.is_fine else None
        if refresh is None:
            return end
        trace.hops[-1] = trace.hops[-1]._replace(note="refresh")
        base = find_browser_url(refresh.base, url) or url
        return _Lead(refresh.url, base, end, at_once=refresh.delay_s == 0)

    def _next(self, base: str, location: str, trace: Trace) -> str | Failure:
        """Judge where *location* leads from *base*."""
        followed = find_browser_url(location, base)
        if followed is None:
            return Failure("leaves the web" if _OTHER_SCHEME.match(location) else "redirects to a malformed URL")
        try:
            joined = str(ada_url.URL(location, base).href)
            if find_malformed(joined, local=self._local) is None:
                return canonical_url(joined).partition("#")[0]
        except BadDestination:
            pass
        trace.reach(followed)
        return Failure("redirects to a malformed URL")

    async def _ask(self, url: str, walk: Walk, trace: Trace) -> HttpAnswer | Failure:
        """Request one hop, waiting when it says so, and once more where a gateway failed."""
        host = split_url(url)[0].partition("://")[2]
        while True:
            if walk.method == "GET" and may_sign_off(url):
                return Failure("not opened")
            answer = await self._request(url, host, walk, trace)
            hold_s = _hold_s(answer)
            if hold_s is not None:
                self._limits.hold(host, hold_s)
                trace.holds += 1
                if trace.holds > MAX_HOLDS or not trace.has_time(self._limits.wait_s(host)):
                    return answer
            elif isinstance(answer, HttpAnswer) and walk.method == "GET" and answer.status in GATEWAY_ERRORS:
                trace.gateway_errors += 1
                if trace.gateway_errors > 1 or not trace.has_time(GATEWAY_PAUSE_S):
                    return answer
                await self._sleep(GATEWAY_PAUSE_S * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
            else:
                return answer

    async def _request(self, url: str, host: str, walk: Walk, trace: Trace) -> HttpAnswer | Failure:
        if not trace.has_time(self._limits.wait_s(host)):
            return Failure("rate limited")
        origin, _, target = split_url(url)
        async with self._limits.slot(host):
            started = time.monotonic()
            answer = await self._client.request(
                walk.method, origin, target, trace.left_s, answer_s=walk.left_s, ranged=walk.ranged
            )
            trace.spend(walk, time.monotonic() - started)
        if isinstance(answer, Failure):
            trace.hops.append(Hop(url, walk.method, None, answer.reason))
        else:
            trace.hops.append(Hop(url, walk.method, answer.status))
        return answer


class _Lead(NamedTuple):
    """Where a hop leads, as it is written and on what base; `page` is what stands there where a refresh leads on."""

    url: str
    base: str
    page: WalkEnd | None = None
    at_once: bool = True


def may_sign_off(url: str) -> bool:
    """Whether a GET of *url* may sign somebody off."""
    return _LETS_THE_READER_CHOOSE.search(unquote(url)) is not None


def _read_location(answer: HttpAnswer) -> str:
    """Read the header as browsers do: the first of several, and its bytes as UTF-8."""
    location = answer.headers["location"].split("\n")[0]
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def _hold_s(answer: HttpAnswer | Failure) -> float | None:
    """Give how long the host of *answer* wants to be left alone, or None when it did not say.

    A 403 that says so is a rate limit, GitHub's for one.
    """
    if isinstance(answer, Failure) or answer.status not in (403, 429, 503):
        return None
    asked_s = retry_after_s(answer, time.time())
    return HOLD_S if asked_s is None and answer.status == 429 else asked_s

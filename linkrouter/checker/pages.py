"""Whole pages: an input that is a URL, and the page in which a fragment is looked for.

Promise: they come over the same dialer as every check, so nothing private is fetched; a page ends at a size and a time.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote

from linkrouter.checker.fetch.classify import REDIRECTS
from linkrouter.checker.fetch.client import HttpClient
from linkrouter.checker.fetch.faults import Failure
from linkrouter.checker.mail.markup import anchors_of
from linkrouter.checker.urls import find_browser_url, split_url
from linkrouter.checker.verdict import LinkReport
from linkrouter.errors import BadDestination
from linkrouter.link import canonical_url

__all__ = ["MAX_INPUT_BYTES", "PAGES_AT_ONCE", "Pages", "WebPage", "with_fragments"]

MAX_INPUT_BYTES = 10 * 1024**2
PAGES_AT_ONCE = 10
MAX_PAGE_HOPS = 10


class WebPage(NamedTuple):
    """A page: where it was found in the end, and what it holds; or `fault`, why there is none."""

    url: str
    content: bytes = b""
    content_type: str = ""
    fault: str = ""

    def __repr__(self) -> str:
        return f"<Page of {len(self.content)} bytes>"


class Pages:
    """Fetches pages over *client*, each *within_s* seconds."""

    def __init__(self, client: HttpClient, *, within_s: float) -> None:
        self._client = client
        self._within_s = within_s

    async def get(self, url: str) -> WebPage:
        """Fetch *url*, redirects followed."""
        try:
            url = canonical_url(url).partition("#")[0]
            for _ in range(MAX_PAGE_HOPS):
                origin, _, target = split_url(url)
                answer = await self._client.request("GET", origin, target, self._within_s, max_bytes=MAX_INPUT_BYTES)
                if isinstance(answer, Failure):
                    return WebPage(url, fault=answer.reason)
                if answer.status not in REDIRECTS or "location" not in answer.headers:
                    fault = "" if answer.status == 200 else f"the server answered {answer.status}"
                    return WebPage(url, answer.body, answer.headers.get("content-type", "").lower(), fault)
                followed = find_browser_url(answer.headers["location"].split("\n")[0], url)
                url = canonical_url(followed or "")
        except BadDestination:
            return WebPage(url, fault="it is malformed")
        return WebPage(url, fault="too many redirects")


async def with_fragments(pages: Pages, reports: Sequence[LinkReport]) -> list[LinkReport]:
    """Give *reports*, broken where the page is there and what the link's fragment names is not in it."""
    wanted: dict[str, list[int]] = {}
    for number, report in enumerate(reports):
        if report.verdict == "fine" and _names_an_element(report.url):
            wanted.setdefault(report.url.partition("#")[0], []).append(number)
    judged, turns = list(reports), asyncio.Semaphore(PAGES_AT_ONCE)

    async def look(url: str, numbers: list[int]) -> None:
        async with turns:
            page = await pages.get(url)
        if page.fault or "html" not in page.content_type:
            return
        anchors = anchors_of(page.content.decode("utf-8", "replace"))
        for number in numbers:
            if not _is_there(judged[number].url, anchors):
                judged[number] = replace(judged[number], verdict="broken", reason="no such fragment")

    await asyncio.gather(*(look(url, numbers) for url, numbers in wanted.items()))
    return judged


def _names_an_element(url: str) -> bool:
    """Whether the fragment of *url* is a name in a page, and neither a script's business nor the top."""
    fragment = url.partition("#")[2]
    return bool(fragment) and fragment != "top" and not fragment.startswith(("/", "!", ":~:")) and "=" not in fragment


def _is_there(url: str, anchors: frozenset[str]) -> bool:
    fragment = url.partition("#")[2].partition(":~:")[0]
    names = {fragment, unquote(fragment)}
    return bool(names & anchors or {f"user-content-{name}" for name in names} & anchors)  # GitHub adds the prefix

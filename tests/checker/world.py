"""A scripted web and scripted providers, at the two seams of a checker: its fetch function and its sources."""

from contextlib import asynccontextmanager

from linkrouter.checker.check import Checker
from linkrouter.checker.mail.extract import extract
from linkrouter.checker.states import LinkStates
from linkrouter.checker.urls import split_url
from linkrouter.checker.verdict import FetchResult, Hop, Opinion

CLEAN = Opinion("clean")
LISTED = Opinion("listed", ("DBL: phishing",), blocks=True, holds_s=600.0)
REVIEW = Opinion("listed", ("SURBL: CR",), blocks=False, holds_s=600.0)
UNKNOWN = Opinion("unknown", why="it is away")


class Clock:
    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


class Lists:
    """A source that answers from a dict of hosts; `answers` may be changed at any time."""

    def __init__(self, name="dbl", answers=None):
        self.name = name
        self.answers = answers or {}
        self.asked = []

    def query_for(self, url):
        return split_url(url)[1]

    async def ask(self, query):
        self.asked.append(query)
        answer = self.answers.get(query, CLEAN)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self):
        pass


class Web:
    """A fetch function that answers from a dict of URLs: a reason, or the URLs on the way and then a reason."""

    def __init__(self, pages=None):
        self.pages = pages or {}
        self.fetched = []

    async def __call__(self, url, deadline):
        self.fetched.append(url)
        page = self.pages.get(url, "answers")
        if isinstance(page, Exception):
            raise page
        *way, reason = [page] if isinstance(page, str) else page
        return FetchResult(reason, "", tuple(Hop(each, "HEAD", 200) for each in (url, *way)))


@asynccontextmanager
async def checking(web=None, *sources, path=":memory:", clock=None, rules=1):
    """Give a checker over *web* and *sources*."""
    clock = clock or Clock()
    states = LinkStates(path, rules=rules, clock=clock)
    async with Checker(web or Web(), states, sources=sources, clock=clock) as checker:
        yield checker


def mail(*urls):
    """Give the links of a mail with *urls*."""
    return extract("".join(f'<p><a href="{url}">x</a></p>' for url in urls), "html")


async def reports(checker, links, **options):
    """Check *links* to the end; gives the reports by URL."""
    return {report.url: report async for report in checker.check(links, **options)}

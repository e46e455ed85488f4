"""One run of `linkrouter check`: the checker opened, asked, asked again, and how far it has got."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from linkrouter.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from linkrouter.checker.check import Checker
    from linkrouter.checker.gate import Decision
    from linkrouter.checker.mail.extract import LinkToCheck
    from linkrouter.checker.verdict import LinkReport
    from linkrouter.settings import CheckCommandSettings

__all__ = ["LINES_OF_PROGRESS", "RETRY_PAUSE_S", "run_check"]

LINES_OF_PROGRESS = 10
RETRY_PAUSE_S = 1.0  # doubled from one try to the next


def run_check(settings: "CheckCommandSettings", links: "Sequence[LinkToCheck]") -> "tuple[list[LinkReport], Decision]":
    """Check *links*; the reports come back in their order.

    Raises:
        SettingsError: see `open_checker`; a cache that cannot be opened is one, too.
    """
    import uvloop

    from linkrouter.log import quiet_exception_handler, start_logging

    start_logging()  # libraries quote links in what they log

    async def run() -> "tuple[list[LinkReport], Decision]":
        asyncio.get_running_loop().set_exception_handler(quiet_exception_handler)
        return await _run(settings, links)

    return uvloop.run(run())


async def _run(settings: "CheckCommandSettings", links: "Sequence[LinkToCheck]") -> "tuple[list[LinkReport], Decision]":
    from linkrouter.checker.choosing import is_undecided
    from linkrouter.checker.compose import open_checker, open_pages
    from linkrouter.checker.pages import with_fragments

    within_s = max(settings.total_timeout, settings.timeout)
    async with AsyncExitStack() as stack:
        try:
            checker = await stack.enter_async_context(open_checker(settings))
        except StoreError as exc:
            raise SettingsError(str(exc)) from exc
        found = await _reports(checker, links, within_s)
        for number in range(settings.retries):
            undecided = [link for link, report in zip(links, found, strict=True) if is_undecided(report)]
            if not undecided:
                break
            await asyncio.sleep(RETRY_PAUSE_S * 2**number)
            again = dict(zip(map(_name, undecided), await _reports(checker, undecided, within_s), strict=True))
            found = [again.get(_name(link), report) for link, report in zip(links, found, strict=True)]
        if settings.fragments:
            pages = await stack.enter_async_context(open_pages(settings))
            found = await with_fragments(pages, found)
        return found, await checker.gate(links)


async def _reports(checker: "Checker", links: "Sequence[LinkToCheck]", within_s: float) -> "list[LinkReport]":
    found = {}
    with _Progress(len(links)) as progress:
        async for report in checker.check(links, within_s=within_s):
            found[report.url, report.places] = report
            progress.step(report.complete)
    return [found[_name(link)] for link in links]


def _name(link: "LinkToCheck") -> tuple[Any, ...]:
    return link.url, link.places


class _Progress:
    """A bar on a terminal, a few lines otherwise; both on standard error."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._bar: Any = None

    def __enter__(self) -> "_Progress":
        if sys.stderr.isatty() and self._total:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("checking links", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, done: int) -> None:
        if not done:
            return
        self._done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        elif self._done * LINES_OF_PROGRESS // self._total > (self._done - 1) * LINES_OF_PROGRESS // self._total:
            click.echo(f"checked {self._done} of {self._total} links", err=True)

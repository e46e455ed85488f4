"""Checks that run in the background, whether or not their authors watch.

Promise: a check runs to its end whoever listens; all who listen get every report once and in one order, also those who
lost the connection and come back. How many checks run, and how much is remembered for how long, is bounded.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from linkrouter.checker.check import CHECK_TIMEOUT_S, Checker
from linkrouter.checker.formats import InputRecord
from linkrouter.checker.mail.extract import LinkToCheck
from linkrouter.checker.verdict import LinkReport
from linkrouter.log import log

__all__ = ["KEEP_CHECKS_S", "MAX_LINKS_KEPT", "MAX_RUNNING_CHECKS", "QUIET_S", "Arrival", "CheckJob", "CheckJobs"]

MAX_RUNNING_CHECKS = 16
MAX_LINKS_KEPT = 50_000  # of all checks together, running ones included: about 100 MB at the worst
KEEP_CHECKS_S = 3600.0
QUIET_S = 15.0  # proxies hang up after half a minute of silence or more

Arrival = tuple[int, LinkReport]  # the link's index among the links of the check


@dataclass(slots=True, eq=False)
class CheckJob:
    """One check: `arrivals` has the reports in the order in which they came."""

    id: str = field(repr=False)  # who knows it may read the links
    links: tuple[LinkToCheck, ...] = field(repr=False)
    record: InputRecord
    state: Literal["running", "done", "failed"] = "running"
    arrivals: list[Arrival] = field(default_factory=list, repr=False)
    done: int = 0  # links whose report is complete
    news: asyncio.Event = field(default_factory=asyncio.Event, repr=False)  # set, and replaced, whenever it changes

    def wake(self) -> None:
        """Wake everybody who listens."""
        self.news.set()
        self.news = asyncio.Event()

    async def follow(self, after: int = 0, *, quiet_s: float = QUIET_S) -> AsyncIterator[Arrival | None]:
        """Give what arrived from number *after* on until the check ends, and None when nothing came for *quiet_s*."""
        while True:
            news = self.news
            while after < len(self.arrivals):
                yield self.arrivals[after]
                after += 1
            if self.state != "running":
                return
            try:
                async with asyncio.timeout(quiet_s):
                    await news.wait()
            except TimeoutError:
                yield None


class CheckJobs:
    """The checks of one central service, with one *checker*; close them, with `async with`, before it."""

    def __init__(
        self,
        checker: Checker,
        *,
        within_s: float = CHECK_TIMEOUT_S,
        max_running: int = MAX_RUNNING_CHECKS,
        max_links_kept: int = MAX_LINKS_KEPT,
        keep_s: float = KEEP_CHECKS_S,
    ) -> None:
        self._checker = checker
        self._within_s = within_s
        self._max_running = max_running
        self._max_links_kept = max_links_kept
        self._keep_s = keep_s
        self._jobs: dict[str, CheckJob] = {}  # the oldest first
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """End all checks; those who listen are told so."""
        for task in self._tasks:
            task.cancel()

    def start(
        self, links: Sequence[LinkToCheck], author: str = "", record: InputRecord | None = None
    ) -> CheckJob | None:
        """Begin a check; None when as many run as may. *record* says what the *links* were found in."""
        if len(self._tasks) >= self._max_running or not self._make_room(len(links)):
            return None
        job = CheckJob(secrets.token_urlsafe(16), tuple(links), record or InputRecord("-", "urls", len(links)))
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, author))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finish(job, done))
        return job

    def find(self, check_id: str) -> CheckJob | None:
        """Give the check with that id, unless it was forgotten."""
        return self._jobs.get(check_id)

    async def _run(self, job: CheckJob, author: str) -> None:
        index = {(link.url, link.places): number for number, link in enumerate(job.links)}
        try:
            async for report in self._checker.check(job.links, author=author, within_s=self._within_s):
                job.arrivals.append((index[report.url, report.places], report))
                job.done += report.complete
                job.wake()
            job.state = "done"
        except Exception as exc:  # the border of the task: its links stay pending, and so hold the mail
            log("check.failed", reason=type(exc).__name__)

    def _finish(self, job: CheckJob, task: "asyncio.Task[None]") -> None:
        """Do what follows a check, however it ended: it may have been cancelled before it began."""
        self._tasks.discard(task)
        if job.state == "running":
            job.state = "failed"
        job.wake()
        asyncio.get_running_loop().call_later(self._keep_s, self._jobs.pop, job.id, None)

    def _make_room(self, links: int) -> bool:
        """Forget the oldest checks that have ended, as far as *links* more need it."""
        kept = sum(len(job.links) for job in self._jobs.values())
        for job in list(self._jobs.values()):
            if kept + links <= self._max_links_kept:
                break
            if job.state != "running":
                kept -= len(self._jobs.pop(job.id).links)
        return kept + links <= self._max_links_kept

"""Checks that run in the background, whether or not their authors watch.

Promise: a check runs to its end whoever listens; all who listen get every report once and in one order, also those who
lost the connection and come back. How many checks run, and how much is remembered for how long, is bounded, and no
token takes more of it than its share; a tenant's token finds its own tenant's checks and no other.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

from linkrouter.checker.check import CHECK_TIMEOUT_S, Checker, Fresh
from linkrouter.checker.formats import InputRecord
from linkrouter.checker.mail.extract import LinkToCheck
from linkrouter.checker.shares import ASKER, FairShares
from linkrouter.checker.verdict import VERDICTS, LinkReport
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.web.tokens import ADMIN, Caller

__all__ = [
    "KEEP_CHECKS_S",
    "MAX_LINKS_KEPT",
    "MAX_RUNNING_CHECKS",
    "QUIET_S",
    "Arrival",
    "CheckJob",
    "CheckJobs",
    "JobState",
    "Snapshot",
]

MAX_RUNNING_CHECKS = 16  # of one token alone; all together at most twice as many
MAX_LINKS_KEPT = 25_000  # of one token's running checks; of all checks together twice as many, at the worst 100 MB
KEEP_CHECKS_S = 3600.0
QUIET_S = 15.0  # proxies hang up after half a minute of silence or more

JobState = Literal["running", "done", "failed"]
Arrival = tuple[int, LinkReport]  # the link's index among the links of the check


class Snapshot(NamedTuple):
    """A check at one moment: its state, what was known of each link by index, and how many links are complete."""

    state: JobState
    known: dict[int, LinkReport]
    done: int

    def __repr__(self) -> str:
        return f"<Snapshot {self.state}, {self.done} done>"


@dataclass(slots=True, eq=False)
class CheckJob:
    """One check: `arrivals` has the reports in the order in which they came."""

    id: str = field(repr=False)  # who knows it, and is of the tenant, may read the links
    links: tuple[LinkToCheck, ...] = field(repr=False)
    record: InputRecord
    owner: Caller
    checker: Checker = field(repr=False)
    state: JobState = "running"
    arrivals: list[Arrival] = field(default_factory=list, repr=False)
    done: int = 0  # links whose report is complete
    news: asyncio.Event = field(default_factory=asyncio.Event, repr=False)  # set, and replaced, whenever it changes

    def snapshot(self) -> Snapshot:
        """Give how it stands now; of a link with two reports, the later one."""
        return Snapshot(self.state, dict(self.arrivals), self.done)

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
        metrics: Metrics | None = None,
    ) -> None:
        self._checker = checker
        self._within_s = within_s
        self._running = FairShares(max_running)
        self._max_links_kept = max_links_kept
        self._keep_s = keep_s
        self._metrics = metrics or Metrics()
        self._metrics.counter("linkrouter_checked_links", VERDICTS)
        self._metrics.gauge("linkrouter_checks_running", lambda: len(self._tasks))
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

    def admit(self, caller: Caller = ADMIN) -> bool:
        """Take a place for a check of *caller* whose mail is still to be read; give it back before the `start`."""
        return self._running.take(caller.token_id)

    def give_back(self, caller: Caller = ADMIN) -> None:
        """Let the place go that `admit` took."""
        self._running.give_back(caller.token_id)

    def start(
        self,
        links: Sequence[LinkToCheck],
        author: str = "",
        record: InputRecord | None = None,
        caller: Caller = ADMIN,
        fresh: Fresh = "",
    ) -> CheckJob | None:
        """Begin a check; None when *caller* has its share of checks or links. *record* says what was read."""
        if not self._make_room(len(links), caller) or not self.admit(caller):
            return None
        record = record or InputRecord("-", "urls", len(links))
        checker = self._checker.for_tenant(caller.tenant)
        job = CheckJob(secrets.token_urlsafe(16), tuple(links), record, caller, checker)
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, author, fresh))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finish(job, done))
        return job

    def find(self, check_id: str, caller: Caller = ADMIN) -> CheckJob | None:
        """Give the check with that id, unless it was forgotten or is another tenant's."""
        job = self._jobs.get(check_id)
        return job if job is not None and caller.tenant in (None, job.owner.tenant) else None

    async def _run(self, job: CheckJob, author: str, fresh: Fresh) -> None:
        ASKER.set(job.owner.token_id)
        began = time.monotonic()
        index = {(link.url, link.places): number for number, link in enumerate(job.links)}
        try:
            async for report in job.checker.check(job.links, author=author, within_s=self._within_s, fresh=fresh):
                job.arrivals.append((index[report.url, report.places], report))
                job.done += report.complete
                if report.complete:
                    self._metrics.count("linkrouter_checked_links", report.verdict)
                job.wake()
            job.state = "done"
        except Exception as exc:  # the border of the task: its links stay pending, and so hold the mail
            log("check.failed", reason=type(exc).__name__)
        self._metrics.observe("linkrouter_check_seconds", "", time.monotonic() - began)

    def _finish(self, job: CheckJob, task: "asyncio.Task[None]") -> None:
        """Do what follows a check, however it ended: it may have been cancelled before it began."""
        self._tasks.discard(task)
        self.give_back(job.owner)
        if job.state == "running":
            job.state = "failed"
        job.wake()
        asyncio.get_running_loop().call_later(self._keep_s, self._jobs.pop, job.id, None)

    def _make_room(self, links: int, caller: Caller) -> bool:
        """Forget checks that have ended, the oldest of the token with the most links first, as far as it needs be.

        What runs is shared: no token's running checks have more than half of the links that others leave free.
        """
        most = 2 * self._max_links_kept
        running = [job for job in self._jobs.values() if job.state == "running"]
        own = sum(len(job.links) for job in running if job.owner.token_id == caller.token_id)
        others = sum(len(job.links) for job in running) - own
        if own + links > (most - others) // 2:
            return False
        while sum(len(job.links) for job in self._jobs.values()) + links > most:
            ended = [job for job in self._jobs.values() if job.state != "running"]
            if not ended:
                return False
            kept = Counter[str]()
            for job in ended:
                kept[job.owner.token_id] += len(job.links)
            [(largest, _)] = kept.most_common(1)
            self._jobs.pop(next(job.id for job in ended if job.owner.token_id == largest))
        return True

"""The check as an API: what is asked, in the words of `models`, to what is answered.

Promise: nothing here knows HTTP; central serves these answers like its own. A mail is read beside the event loop, so
that a large one holds nobody up; whether it may be sent is asked of the gate at every answer, never remembered.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from linkrouter.checker.api.jobs import QUIET_S, CheckJob, CheckJobs
from linkrouter.checker.api.models import CheckEnd, CheckEventsQuery, CheckQuery, CheckRequest, CheckResult
from linkrouter.checker.api.reading import read_links
from linkrouter.checker.check import Checker
from linkrouter.checker.formats import CheckOutcome, link_json, result_json
from linkrouter.checker.mail.extract import LinkToCheck
from linkrouter.checker.verdict import LinkReport
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller

__all__ = ["MAX_READING", "CheckApi", "Event"]

MAX_READING = 2  # mails at once: each may need ten times its size in memory

Event = tuple[int, str, Any]  # id, name, data


class CheckApi:
    """The answers of the API over *checker* and *jobs*; *local* allows hosts that only a local network knows."""

    def __init__(self, checker: Checker, jobs: CheckJobs, *, local: bool = False, quiet_s: float = QUIET_S) -> None:
        self._checker = checker
        self._jobs = jobs
        self._local = local
        self._quiet_s = quiet_s
        self._reading = asyncio.Semaphore(MAX_READING)

    async def start_check(self, request: CheckRequest, _: Caller) -> CheckResult | Refusal:
        """Begin to check the links of a mail.

        The answer has every link, those waiting for their verdict included. Ask for it again under its id, or follow
        its events. It is forgotten an hour after its end.
        """
        async with self._reading:
            read = await asyncio.to_thread(read_links, request, local=self._local)
        if isinstance(read, Refusal):
            return read
        job = self._jobs.start(read.links, request.get("author", ""), read.record)
        return Refusal(429) if job is None else await self._result(job)

    async def get_check(self, query: CheckQuery, _: Caller) -> CheckResult | Refusal:
        """Say how a check stands.

        This is what `linkrouter check --json` prints, with the id, the state and the progress. A link without a verdict
        is `waiting`. `may_send` is decided anew for each answer.
        """
        job = self._jobs.find(query["id"])
        return Refusal(404) if job is None else await self._result(job)

    async def follow_check(self, query: CheckEventsQuery, _: Caller) -> AsyncIterator[Event | None] | Refusal:
        """Send the verdicts of a check as they come, as server-sent events.

        Each `link` or `image` event has the index of a link or image and what is known of it now; one that is not
        `complete` is followed by another, when the reputation lists have answered. The last event is `done`, with all
        that the check's own path gives but links and images: close the connection then. With `Last-Event-ID` only what
        came after that event is sent.
        """
        job = self._jobs.find(query["id"])
        return Refusal(404) if job is None else self._events(job, int(query.get("last_event_id", 0)))

    async def _events(self, job: CheckJob, after: int) -> AsyncIterator[Event | None]:
        number = min(after, len(job.arrivals))
        async for arrival in job.follow(number, quiet_s=self._quiet_s):
            if arrival is None:
                yield None
            else:
                number += 1
                index, report = arrival
                name, index = ("link", index) if index < job.record.links else ("image", index - job.record.links)
                yield number, name, {"index": index, "link": link_json(report)}
        yield number + 1, "done", await self._end(job)

    async def _result(self, job: CheckJob) -> CheckResult:
        known = dict(job.arrivals)  # of a link with two reports, the later one
        links: list[Any] = [
            link_json(known[number]) if number in known else _waiting(link) for number, link in enumerate(job.links)
        ]
        number = job.record.links
        return {**await self._end(job), "links": links[:number], "images": links[number:]}

    async def _end(self, job: CheckJob) -> CheckEnd:
        gate = result_json(CheckOutcome((job.record,), (), (), await self._checker.gate(job.links)))
        return {
            "id": job.id,
            "state": job.state,
            "progress": {"done": job.done, "total": len(job.links)},
            "may_send": gate["may_send"],
            "gate": gate["gate"],
            "inputs": gate["inputs"],
        }


def _waiting(link: LinkToCheck) -> dict[str, Any]:
    report = LinkReport(link.url, "waiting", "not checked yet", places=link.places)
    return link_json(report) | {"advice": "", "complete": False}

"""The check as an API: what is asked, in the words of `models`, to what is answered.

Promise: nothing here knows HTTP; central serves these answers like its own. An answer is one snapshot: state, links and
gate of one moment, so that nothing is `done` and still waits. Whether a mail may be sent is asked of the gate at every
answer, never remembered; a large answer is made in pieces, between which others are served.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from linkrouter.checker.api.jobs import QUIET_S, CheckJob, CheckJobs, Snapshot
from linkrouter.checker.api.models import CheckEnd, CheckEventsQuery, CheckQuery, CheckRequest, CheckResult
from linkrouter.checker.api.reading import read_links
from linkrouter.checker.check import Checker
from linkrouter.checker.formats import CheckOutcome, link_json, result_json
from linkrouter.checker.gate import with_pending
from linkrouter.checker.mail.extract import LinkToCheck
from linkrouter.checker.shares import FairShares
from linkrouter.checker.verdict import LinkReport
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller

__all__ = ["LINKS_A_TURN", "MAX_READING", "MAX_STREAMS", "CheckApi", "Event", "EventStream"]

MAX_READING = 2  # mails of one token at once: each may need ten times its size in memory
MAX_STREAMS = 100  # of one token alone; all together at most twice as many
LINKS_A_TURN = 200  # written down before others have their turn

Event = tuple[int, str, Any]  # id, name, data


class CheckApi:
    """The answers of the API over *checker* and *jobs*; *local* allows hosts that only a local network knows."""

    def __init__(
        self,
        checker: Checker,
        jobs: CheckJobs,
        *,
        local: bool = False,
        quiet_s: float = QUIET_S,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._checker = checker
        self._jobs = jobs
        self._local = local
        self._quiet_s = quiet_s
        self._reading = FairShares(MAX_READING)
        self._streams = FairShares(max_streams)

    async def start_check(self, request: CheckRequest, caller: Caller) -> CheckResult | Refusal:
        """Begin to check the links of a mail.

        The answer has every link, those waiting for their verdict included. Ask for it again under its id, or follow
        its events. It is forgotten an hour after its end.
        """
        if not self._jobs.admit(caller):
            return Refusal(429)
        try:
            async with self._reading.place(caller.token_id):
                read = await read_links(request, local=self._local)
        finally:
            self._jobs.give_back(caller)
        if isinstance(read, Refusal):
            return read
        job = self._jobs.start(read.links, request.get("author", ""), read.record, caller, request.get("fresh", ""))
        return Refusal(429) if job is None else await self._result(job)

    async def get_check(self, query: CheckQuery, caller: Caller) -> CheckResult | Refusal:
        """Say how a check stands.

        This is what `linkrouter check --json` prints, with the id, the state and the progress. A link without a verdict
        is `waiting`. `may_send` is decided anew for each answer.
        """
        job = self._jobs.find(query["id"], caller)
        return Refusal(404) if job is None else await self._result(job)

    async def follow_check(self, query: CheckEventsQuery, caller: Caller) -> "EventStream | Refusal":
        """Send the verdicts of a check as they come, as server-sent events.

        Each `link` or `image` event has the index of a link or image and what is known of it now; one that is not
        `complete` is followed by another, when the reputation lists have answered. The last event is `done`, with all
        that the check's own path gives but links and images: close the connection then. With `Last-Event-ID` only what
        came after that event is sent.
        """
        job = self._jobs.find(query["id"], caller)
        if job is None:
            return Refusal(404)
        if not self._streams.take(caller.token_id):
            return Refusal(429)
        events = self._events(job, int(query.get("last_event_id", 0)))
        return EventStream(events, self._streams, caller.token_id)

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
        yield number + 1, "done", await self._end(job, job.snapshot())

    async def _result(self, job: CheckJob) -> CheckResult:
        snapshot = job.snapshot()
        end = await self._end(job, snapshot)
        links: list[Any] = []
        for number, link in enumerate(job.links):
            links.append(link_json(snapshot.known[number]) if number in snapshot.known else _waiting(link))
            if number % LINKS_A_TURN == 0:
                await asyncio.sleep(0)
        return {**end, "links": links[: job.record.links], "images": links[job.record.links :]}

    async def _end(self, job: CheckJob, snapshot: Snapshot) -> CheckEnd:
        complete = [number for number, report in snapshot.known.items() if report.complete]
        known = set(complete)
        pending = [link for number, link in enumerate(job.links) if number not in known]
        decision = await job.checker.gate([job.links[number] for number in complete])
        gate = result_json(CheckOutcome((job.record,), (), (), with_pending(decision, pending)))
        return {
            "id": job.id,
            "state": snapshot.state,
            "progress": {"done": snapshot.done, "total": len(job.links)},
            "may_send": gate["may_send"],
            "gate": gate["gate"],
            "inputs": gate["inputs"],
        }


class EventStream:
    """*events* that hold a place among *streams* until they are closed, whether or not anybody read one."""

    def __init__(self, events: AsyncIterator[Event | None], streams: FairShares, who: str) -> None:
        self._events = events
        self._streams = streams
        self._who = who

    def __aiter__(self) -> AsyncIterator[Event | None]:
        return self._events

    async def aclose(self) -> None:
        """End the stream."""
        self._streams.give_back(self._who)


def _waiting(link: LinkToCheck) -> dict[str, Any]:
    report = LinkReport(link.url, "waiting", "not checked yet", places=link.places)
    return link_json(report) | {"advice": "", "complete": False}

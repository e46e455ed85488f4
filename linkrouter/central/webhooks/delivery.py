"""Delivering to one endpoint: a round of events after another, while something waits and is taken.

Promise: an event is noted in the same transaction as how far the outbox was read, so that a kill loses none and what is
sent twice has the same id. Endpoints share nothing but the processor: one that hangs costs one connection, and holds up
no other.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.webhooks import (
    LOGS,
    Attempted,
    DeliveryState,
    Endpoint,
    EventKey,
    LogName,
    OutboxEvent,
)
from linkrouter.central.watch.routes import WatchApi
from linkrouter.central.webhooks.bodies import event_id_of, event_type_of, write_body
from linkrouter.central.webhooks.posting import Poster
from linkrouter.central.webhooks.schedule import Answer, health_after, next_attempt_us
from linkrouter.central.webhooks.signing import signature_headers
from linkrouter.log import log, quiet_exception_handler
from linkrouter.metrics import Metrics
from linkrouter.retry import Uniform
from linkrouter.units import SECOND_US

__all__ = ["WebhookDelivery"]

MAX_WINDOW = 16  # requests to one endpoint at once, when all goes well
EVENTS_PER_REQUEST = 8  # of a round, for each of those
READS_AT_ONCE = 2  # of the store, so that pages have their turn


class Job(NamedTuple):
    """An event that is sent, and how often it was before; a new one is next in its log."""

    key: EventKey
    attempts: int
    event: OutboxEvent | None
    is_new: bool = False


class Tried(NamedTuple):
    """What came of a job, and when (microseconds since the epoch)."""

    job: Job
    answer: Answer
    at: int


NOT_KEPT = Answer(None, "not kept any more")


@dataclass(slots=True)
class WebhookDelivery:
    """What all endpoints have in common: the store, the way out, and what is told of it."""

    store: CentralStore
    poster: Poster
    metrics: Metrics = field(default_factory=Metrics)
    watch: WatchApi | None = None  # how destinations are told of
    clock: Callable[[], float] = time.time
    uniform: Uniform = random.uniform
    pace: Callable[[int], Awaitable[object]] = lambda events: asyncio.sleep(0)  # asked before each round
    moves: dict[int, Mapping[LogName, int]] = field(default_factory=dict)  # that nothing was sent for, by endpoint
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS_AT_ONCE))
    _windows: dict[int, int] = field(default_factory=dict)

    async def serve(self, endpoint: Endpoint) -> None:
        """Send *endpoint* what waits for it, until nothing does, or it is to be left alone for a while.

        Raises:
            StoreError: the store cannot answer or write now; what was sent and not noted comes again.
        """
        current: Endpoint | None = endpoint
        while current is not None and current.health.state == "active":
            if current.health.paused_until > self._now_us():
                return
            jobs, after = await self._next_jobs(current)
            if jobs:
                current = await self._round(current, jobs, after)
            elif after == current.after:
                return
            else:
                self.moves[current.seq] = after
                current = replace(current, after=after)

    async def send_now(self, endpoint: Endpoint, event: OutboxEvent) -> Answer:
        """Send one event outside of the outbox."""
        at_s = int(self.clock())
        try:
            body = write_body(event, endpoint, at_s, self.watch or WatchApi(self.store))
            headers = signature_headers(endpoint, event_id_of(event), body, at_s)
        except Exception as exc:  # the border: one event must not hold up all that come behind it
            quiet_exception_handler(asyncio.get_running_loop(), {"exception": exc})
            return Answer(None, "cannot be written")
        return await self.poster.post(endpoint.url, headers, body)

    async def _next_jobs(self, endpoint: Endpoint) -> tuple[list[Job], Mapping[LogName, int]]:
        """Give what is sent next, and how far each log is read when all of it was."""
        limit = 1 if endpoint.health.failures else self._window(endpoint) * EVENTS_PER_REQUEST
        await self.pace(limit)
        async with self._reading:
            due = await self.store.due_events(endpoint, self._now_us(), limit)
            jobs = [Job(*one) for one in due]
            after = dict(endpoint.after)
            for name in LOGS:
                if len(jobs) < limit:
                    page = await self.store.next_events(endpoint, name, limit - len(jobs))
                    jobs += (Job(event.key, 0, event, True) for event in page.events)
                    after[name] = page.after
        return jobs, after

    async def _round(self, endpoint: Endpoint, jobs: list[Job], after: Mapping[LogName, int]) -> Endpoint | None:
        waiting, done = iter(jobs), list[Tried]()
        window = 1 if endpoint.health.failures else self._window(endpoint)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(window, len(jobs))):
                group.create_task(self._work(endpoint, waiting, done))
        answers = [tried.answer for tried in done if tried.job.event is not None]
        is_well = all(answer.is_taken for answer in answers)
        self._windows[endpoint.seq] = min(window * 2, MAX_WINDOW) if is_well else 1
        health = health_after(endpoint.health, answers, self._now_us(), self.uniform)
        if health.state == "disabled":
            log("webhooks.disabled", number=endpoint.seq, reason=health.reason)
        attempted = [self._attempted(endpoint, tried) for tried in done]
        for one in attempted:
            self.metrics.count("linkrouter_webhook_attempts", one.state)
        # They are begun in order, so what was not begun is the end of the list.
        reached = _reached(jobs[len(done) :], after)
        return await self.store.note_attempts(endpoint, attempted, reached, health)

    async def _work(self, endpoint: Endpoint, waiting: Iterator[Job], done: list[Tried]) -> None:
        """Send one event after another, until there is trouble that the next would only share."""
        for job in waiting:
            answer = NOT_KEPT if job.event is None else await self.send_now(endpoint, job.event)
            done.append(Tried(job, answer, self._now_us()))
            if job.event is not None and answer.is_trouble:
                for _ in waiting:  # nobody else begins another
                    pass

    def _attempted(self, endpoint: Endpoint, tried: Tried) -> Attempted:
        (key, attempts, event, _), answer, at_us = tried
        next_at = None
        state: DeliveryState = "delivered" if answer.is_taken else "failed"
        if event is not None and not answer.is_taken:
            next_at = next_attempt_us(attempts + 1, answer, at_us, self.uniform)
            state = "failed" if next_at is None else "pending"
        named = (event_id_of(event), event_type_of(event, endpoint)) if event is not None else ("", "")  # it has a row
        return Attempted(key, *named, state, attempts + 1, answer.status, answer.error, at_us, next_at)

    def _window(self, endpoint: Endpoint) -> int:
        return self._windows.get(endpoint.seq, 1)

    def _now_us(self) -> int:
        return int(self.clock() * SECOND_US)


def _reached(left: Sequence[Job], after: Mapping[LogName, int]) -> Mapping[LogName, int]:
    """Give how far each log is read when *left* were not begun."""
    reached = dict(after)
    for job in left:
        if job.is_new:
            reached[job.key.log] = min(reached[job.key.log], job.key.number - 1)
    return reached

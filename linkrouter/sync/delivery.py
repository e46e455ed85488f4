"""The sender: from a click store to the centre's ingest API, one batch after the other.

Promise: it never gives up and never drops. A batch leaves the store when central has said that it has it; a click that
central alone refuses becomes a dead letter; everything else waits and is tried again, and central, which knows clicks
by their id, stores each once.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import httpx

from linkrouter.clicks.store import Batch, ClickStore
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.sync.format import Answer, Loss, read_answer, write_body

__all__ = ["Sync", "open_client"]

MAX_CLICKS = 1000  # a batch, as the ingest API limits it
TIMEOUT_S = 10.0  # for one post, from connecting to the last byte of the answer
CONNECT_S = 3.0
MAX_ANSWER_BYTES = 64 * 1024
REFUSALS = ("poison", "too_large")  # of what was sent, and not of us
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
SOON_S = 8.0  # the longest wait until trouble has lasted ten times as long, and always while nothing listens there
IDLE_S = 0.25  # between looks at an empty store, and after a batch that was not full
GROWTH_CLICKS = 10  # how fast batches grow again after the centre, or a proxy, found one too large


def open_client() -> httpx.AsyncClient:
    """Give a client for `Sync`; the caller closes it."""
    patience = httpx.Timeout(TIMEOUT_S, connect=CONNECT_S)
    return httpx.AsyncClient(timeout=patience, limits=httpx.Limits(max_connections=2))


class Sync:
    """Sends what is in *store* to *url*, the address that takes `POST /v1/clicks`.

    *take_losses* gives the counts of clicks that were dropped before they reached the store, as the ingest API takes
    them; they are kept here until the centre has them. *clock*, *now*, *sleep* and *uniform* stand for time and chance.
    """

    def __init__(
        self,
        store: ClickStore,
        client: httpx.AsyncClient,
        *,
        url: str,
        token: str,
        router_id: str,
        metrics: Metrics,
        take_losses: Callable[[], Sequence[Loss]] = tuple,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._store = store
        self._client = client
        self._url = url
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # what is not unpacked cannot be a bomb
        }
        self._router_id = router_id
        self._metrics = metrics
        self._take_losses = take_losses
        self._timeout_s = timeout_s
        self._clock, self._now, self._sleep, self._uniform = clock, now, sleep, uniform
        self._losses: list[Loss] = []
        self._losses_at = 0.0  # not before: the centre did not understand them
        self._max_clicks = MAX_CLICKS
        self._failures = 0  # in a row
        self._failing_since: float | None = None
        self._trouble = ""  # the event that told of it, so that it is told once
        metrics.counter("linkrouter_sync_clicks", ("stored", "duplicate", "dead_letter"))
        metrics.counter("linkrouter_sync_batches", ("taken", "failed"))
        metrics.gauge("linkrouter_sync_failing_seconds", self._failing_s)

    async def run(self) -> None:
        """Send until cancelled. While the centre does not take clicks, one batch at a time probes it."""
        while True:
            try:
                wait_s = await self._step()
            except Exception as exc:
                # A store that cannot be read now, or a store of a third party that raises anything at all.
                wait_s = self._back_off(Answer("failed", type(exc).__name__))
            await self._sleep(wait_s)

    async def drain(self, within_s: float) -> None:
        """Send what the centre takes within *within_s* seconds, and return at the first sign of trouble.

        For the end of a process, when `run` has been cancelled. What was not sent stays in the store.
        """
        try:
            async with asyncio.timeout(within_s):
                while await self._store_has_more():
                    pass
        except TimeoutError:
            pass
        except Exception as exc:
            log("task.failed", task="sync", exception=type(exc).__name__)

    async def _store_has_more(self) -> bool:
        batch = await self._store.next_batch(self._max_clicks)
        failure = await (self._deliver(batch) if batch else self._tell_losses())
        return failure is None and batch is not None

    async def _step(self) -> float:
        """Send one batch; give the seconds to wait before the next."""
        batch = await self._store.next_batch(self._max_clicks)
        is_full = batch is not None and len(batch.records) >= self._max_clicks
        failure = await self._deliver(batch) if batch else None
        if failure is None and not is_full:
            failure = await self._tell_losses()
            if self._failing_since is None and self._trouble:
                log("sync.caught_up")
                self._trouble = ""
        if failure is not None:
            return self._back_off(failure)
        return 0.0 if is_full else IDLE_S

    async def _deliver(self, batch: Batch) -> Answer | None:
        """Send *batch* and acknowledge it, or give the answer that stopped it.

        A refused part is halved until the poison record stands alone, and that one becomes a dead letter.
        """
        parts, poison = [batch.records], []
        while parts:
            part = parts.pop()
            answer = await self._post(part)
            if answer.outcome in REFUSALS and len(part) == 1:
                answer = await self._ask_again(part)
                if answer.outcome in REFUSALS:
                    poison.append(part[0])
                    continue
            if answer.outcome == "taken":
                self._count(answer)
            elif answer.outcome in REFUSALS:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
                if answer.outcome == "too_large":
                    self._max_clicks = half
            else:
                return answer
        if poison:
            await self._store.add_dead_letters(poison, "refused")
            self._metrics.count("linkrouter_sync_clicks", "dead_letter", len(poison))
            log("sync.dead_letters", clicks=len(poison))
        await self._store.ack(batch)
        self._max_clicks = min(self._max_clicks + GROWTH_CLICKS, MAX_CLICKS)
        self._failures, self._failing_since = 0, None
        return None

    async def _ask_again(self, part: Sequence[bytes]) -> Answer:
        """Post a lone refused record once more, if an empty batch is taken before it.

        Something that refuses everything must not empty the store, and a moment's refusal must not cost a click.
        """
        probe = await self._post(())
        if probe.outcome != "taken":
            return replace(probe, outcome="failed") if probe.outcome in REFUSALS else probe
        return await self._post(part)

    def _count(self, answer: Answer) -> None:
        self._metrics.count("linkrouter_sync_clicks", "stored", answer.stored)
        self._metrics.count("linkrouter_sync_clicks", "duplicate", answer.duplicates)

    async def _tell_losses(self) -> Answer | None:
        """Tell the centre what was dropped, apart from clicks: were it refused, no click would be taken for poison."""
        self._losses = self._losses or list(self._take_losses())
        if not self._losses or self._clock() < self._losses_at:
            return None
        answer = await self._post((), self._losses)
        if answer.outcome in REFUSALS:
            self._losses_at = self._clock() + LONGEST_WAIT_S
            return None
        if answer.outcome != "taken":
            return answer
        self._losses = []
        self._failures, self._failing_since = 0, None
        return None

    async def _post(self, records: Sequence[bytes], losses: Sequence[Loss] = ()) -> Answer:
        body = b""
        for piece in write_body(self._router_id, records, losses):
            body += piece
            await asyncio.sleep(0)  # redirects come first; in a thread this costs them more, and costs more
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(
                    "POST", self._url, content=body, headers=self._headers, follow_redirects=False
                ) as reply,
            ):
                said = await _read_bounded(reply)
            answer = read_answer(reply.status_code, reply.headers.get("Retry-After"), said, len(records), self._now())
        except TimeoutError:
            answer = Answer("failed", "timeout")
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            answer = Answer("failed", type(exc).__name__, reached=False)
        except (httpx.HTTPError, httpx.StreamError, OSError) as exc:
            answer = Answer("failed", type(exc).__name__)
        self._metrics.count("linkrouter_sync_batches", answer.outcome)
        return answer

    def _back_off(self, answer: Answer) -> float:
        """Give the seconds to wait after *answer*: full jitter, what the centre asked for, long when it denies us."""
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = self._clock()
        event = "sync.refused" if answer.outcome in ("denied", "wrong_address") else "sync.retry"
        if event != self._trouble:
            self._trouble = event
            log(event, reason=answer.reason)
        # A centre that is back is found soon, measured by how long it was away; at a closed door a knock is no burden.
        most_s = min(max(SOON_S, self._failing_s() / 10), LONGEST_WAIT_S) if answer.reached else SOON_S
        if answer.outcome == "denied":
            return self._uniform(most_s / 2, most_s)
        wait_s = self._uniform(0.0, min(FIRST_WAIT_S * 2 ** min(self._failures - 1, 16), most_s))
        return max(wait_s, answer.retry_after_s + self._uniform(0.0, FIRST_WAIT_S)) if answer.retry_after_s else wait_s

    def _failing_s(self) -> float:
        return 0.0 if self._failing_since is None else self._clock() - self._failing_since


async def _read_bounded(reply: httpx.Response) -> bytes:
    """Read an answer, or as much of it as any answer of a centre can have; nothing of one that must be unpacked."""
    said = b""
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        return said
    async for chunk in reply.aiter_bytes():
        said += chunk
        if len(said) > MAX_ANSWER_BYTES:
            break
    return said

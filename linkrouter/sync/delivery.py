"""Delivery: from a click store to central's ingest API, one batch after the other.

Promise: it never gives up and never drops. A batch leaves the store when central has said that it has it; a click that
central alone refuses becomes a dead letter; everything else waits and is tried again, and central, which knows clicks
by their id, stores each once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import httpx

from linkrouter.clicks.store import Batch, ClickStore, Loss
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.sync.backoff import LONGEST_WAIT_S, Backoff
from linkrouter.sync.format import IngestAnswer, read_answer, write_batch

__all__ = ["POST_TIMEOUT_S", "Sync", "open_client"]

BATCH_CLICKS = 1000  # at most, as the ingest API limits it
POST_TIMEOUT_S = 10.0  # for one post, from connecting to the last byte of the answer
CONNECT_S = 3.0
MAX_RECEIPT_BYTES = 64 * 1024
REFUSALS = ("poison", "too_large")  # of what was sent, and not of us
REPORT_S = 30.0  # between two words of a router that has no clicks
IDLE_S = 0.25  # between looks at an empty store, and after a batch that was not full
GROWTH_CLICKS = 10  # how fast batches grow again after central, or a proxy, found one too large


def open_client() -> httpx.AsyncClient:
    """Give a client for `Sync`; the caller closes it."""
    patience = httpx.Timeout(POST_TIMEOUT_S, connect=CONNECT_S)
    return httpx.AsyncClient(timeout=patience, limits=httpx.Limits(max_connections=2))


class Sync:
    """Sends what is in *store* to *url*, the address that takes `POST /v1/clicks`.

    *take_losses* gives what was dropped since it was last called; it is kept here until central has it. *tell_state*
    gives what each post says of this router. *now*, *sleep* and the clock of *backoff* stand for time.
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
        tell_state: Callable[[], Mapping[str, object] | None] = lambda: None,
        timeout_s: float = POST_TIMEOUT_S,
        backoff: Backoff | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
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
        self._tell_state = tell_state
        self._timeout_s = timeout_s
        self._backoff = backoff or Backoff()
        self._told_at = self._backoff.clock()
        self._now, self._sleep = now, sleep
        self._losses: list[Loss] = []
        self._losses_at = 0.0  # not before: central did not understand them
        self._max_clicks = BATCH_CLICKS
        metrics.counter("linkrouter_sync_clicks", ("stored", "duplicate", "dead_letter"))
        metrics.counter("linkrouter_sync_batches", ("taken", "failed"))
        metrics.gauge("linkrouter_sync_failing_seconds", self._backoff.failing_s)

    def use_token(self, token: str) -> None:
        """Show the centre *token* from the next post on."""
        self._headers["Authorization"] = f"Bearer {token}"

    async def run(self) -> None:
        """Send until cancelled. While central does not take clicks, one batch at a time probes it."""
        while True:
            try:
                wait_s = await self._step()
            except Exception as exc:
                # A store that cannot be read now, or a store of a third party that raises anything at all.
                wait_s = self._backoff.wait_s(IngestAnswer("failed", type(exc).__name__))
            await self._sleep(wait_s)

    async def drain(self, within_s: float) -> None:
        """Send what central takes within *within_s* seconds, and return at the first sign of trouble.

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
            failure = await self._tell_losses() or await self._report()
            self._backoff.tell_caught_up()
        if failure is not None:
            return self._backoff.wait_s(failure)
        return 0.0 if is_full else IDLE_S

    async def _deliver(self, batch: Batch) -> IngestAnswer | None:
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
        self._max_clicks = min(self._max_clicks + GROWTH_CLICKS, BATCH_CLICKS)
        self._backoff.start_over()
        return None

    async def _ask_again(self, part: Sequence[bytes]) -> IngestAnswer:
        """Post a lone refused record once more, if an empty batch is taken before it.

        Something that refuses everything must not empty the store, and a moment's refusal must not cost a click.
        """
        probe = await self._post(())
        if probe.outcome != "taken":
            return replace(probe, outcome="failed") if probe.outcome in REFUSALS else probe
        return await self._post(part)

    def _count(self, answer: IngestAnswer) -> None:
        self._metrics.count("linkrouter_sync_clicks", "stored", answer.stored)
        self._metrics.count("linkrouter_sync_clicks", "duplicate", answer.duplicates)

    async def _tell_losses(self) -> IngestAnswer | None:
        """Tell central what was dropped, apart from clicks: were it refused, a click could be taken for poison."""
        self._losses = self._losses or list(self._take_losses())
        if not self._losses or self._backoff.clock() < self._losses_at:
            return None
        answer = await self._post((), self._losses)
        if answer.outcome in REFUSALS:
            self._losses_at = self._backoff.clock() + LONGEST_WAIT_S
            return None
        if answer.outcome != "taken":
            return answer
        self._losses = []
        self._backoff.start_over()
        return None

    async def _report(self) -> IngestAnswer | None:
        """Say how this router is when nothing was sent for a while, so that central sees which ones are silent."""
        if self._backoff.clock() < self._told_at + REPORT_S or self._tell_state() is None:
            return None
        answer = await self._post(())
        if answer.outcome in REFUSALS:
            self._told_at = self._backoff.clock()
            return None
        return None if answer.outcome == "taken" else answer

    async def _post(self, records: Sequence[bytes], losses: Sequence[Loss] = ()) -> IngestAnswer:
        body = b""
        for piece in write_batch(self._router_id, records, losses, self._tell_state()):
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
            answer = IngestAnswer("failed", "timeout")
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            answer = IngestAnswer("failed", type(exc).__name__, reached=False)
        except (httpx.HTTPError, httpx.StreamError, OSError) as exc:
            answer = IngestAnswer("failed", type(exc).__name__)
        self._metrics.count("linkrouter_sync_batches", answer.outcome)
        if answer.outcome == "taken":
            self._told_at = self._backoff.clock()
        return answer


async def _read_bounded(reply: httpx.Response) -> bytes:
    """Read an answer, or as much of it as any receipt can have; nothing of one that must be unpacked."""
    said = b""
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        return said
    async for chunk in reply.aiter_bytes():
        said += chunk
        if len(said) > MAX_RECEIPT_BYTES:
            break
    return said

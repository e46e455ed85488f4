"""The recorder: from the redirect, which waits for nothing, to the store, which may be slow.

Promise: `record` never waits and never fails. Clicks are made durable in groups, at most one commit interval after they
came; while the store cannot take them they stay in memory, and only what does not fit there is dropped: the newest, and
counted, with the times between which clicks are missing.

A click is written down when it comes, not when it is committed: a thousand at a time would hold up redirects for
milliseconds, and what lies in memory as bytes is nothing for the garbage collector to look through.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from linkrouter.clicks.click import KINDS, OVERHEAD_BYTES, Click, clicked_at, write_click
from linkrouter.clicks.store import APPEND_RETRY_S, ClickStore, Loss, try_append
from linkrouter.log import log
from linkrouter.metrics import Metrics

__all__ = ["TELL_DROPS_S", "Recorder", "RecorderLimits"]

MAX_GROUPS = 10  # in one commit
TELL_DROPS_S = 60.0  # between two log lines about dropping; the counters tell the rest


@dataclass(frozen=True, slots=True)
class RecorderLimits:
    """How much may wait in memory, and how long."""

    max_clicks: int = 50_000
    max_bytes: int = 32 * 1024**2
    commit_interval_s: float = 0.05
    commit_max_clicks: int = 1000  # that start a commit before the interval is over


class _Group:
    """Clicks that become durable together."""

    __slots__ = ("others", "records")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.others: Counter[str] = Counter()  # how many are of a kind that is not "click"

    def count_kinds(self) -> Counter[str]:
        """Tell how many clicks there are of each kind."""
        return self.others + Counter(click=len(self.records) - self.others.total())

    def count_bytes(self) -> int:
        """Tell how much of the queue's memory the clicks take."""
        return sum(map(len, self.records)) + OVERHEAD_BYTES * len(self.records)


class Recorder:
    """A bounded queue before a `ClickStore`. Run `run` as a task; `record` from anywhere on the same loop."""

    def __init__(
        self,
        store: ClickStore,
        limits: RecorderLimits,
        metrics: Metrics,
        mint_id: Callable[[int], str],
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store = store
        self._limits = limits
        self._metrics = metrics
        self._mint_id = mint_id
        self._clock_us = clock_us
        self._open = _Group()  # takes what comes
        self._groups = deque([self._open])  # the first is committed next or being committed, the last is open
        self._bytes = 0  # in all of them
        self._room = limits.max_clicks  # less what is in groups that are not open any more
        self._wake = asyncio.Event()
        self._full = asyncio.Event()  # a whole commit is waiting: do not wait for the interval
        self._stopping = asyncio.Event()
        self._commit_s = 0.0  # how long the last commit took
        self._failure: str | None = None  # why the store does not take clicks now
        self._losses: dict[str, Loss] = {}
        self._told_at: dict[str, float] = {}  # when a line was last logged, by reason
        self._recorded = metrics.counter("linkrouter_clicks_recorded", KINDS)
        metrics.counter("linkrouter_clicks_dropped", ("queue_full", "store_full", "store_failed"))
        metrics.gauge("linkrouter_queue_clicks", lambda: self._clicks)
        metrics.gauge("linkrouter_queue_oldest_seconds", self._oldest_age_s)

    @property
    def accepting(self) -> bool:
        """Whether the store took the last commit."""
        return self._failure is None

    def record(self, click: Click) -> None:
        """Queue *click*, or drop and count it when memory's share is used up."""
        record, group, limits = write_click(click), self._open, self._limits
        records = group.records
        total_bytes = self._bytes + OVERHEAD_BYTES + len(record)
        if total_bytes > limits.max_bytes or len(records) >= self._room:
            self._drop(click.clicked_at)
            return
        self._bytes = total_bytes
        if not records:
            self._wake.set()
        records.append(record)
        if click.kind != "click":
            group.others[click.kind] += 1
        if len(records) == limits.commit_max_clicks:
            self._open_group()
            self._full.set()

    def record_all(self, clicks: Sequence[Click]) -> None:
        """Queue *clicks*, each as `record` does."""
        for click in clicks:
            self.record(click)

    def take_losses(self) -> list[Loss]:
        """Hand over what was dropped since the last call; whoever takes it tells central."""
        taken = list(self._losses.values())
        self._losses = {}
        return taken

    async def run(self) -> None:
        """Commit until `stop`, then commit what is left, and return."""
        while True:
            await self._wait_for_a_commit()
            if not self._clicks:
                if self._stopping.is_set():
                    return
                continue
            await self._commit()

    def stop(self) -> None:
        """Let `run` return once everything is durable."""
        self._stopping.set()
        self._wake.set()
        self._full.set()

    def abandon(self) -> None:
        """Count as lost what is still in memory: the process ends and the store did not take it."""
        for group in self._groups:
            for record in group.records:
                self._drop(clicked_at(record))
        self._groups.clear()
        self._open_group()
        self._bytes, self._room = 0, self._limits.max_clicks

    async def _wait_for_a_commit(self) -> None:
        await self._wake.wait()
        if not self._stopping.is_set() and len(self._groups) == 1:
            # A click that comes during a commit waits for that one, for this pause and for its own commit.
            pause_s = max(0.0, self._limits.commit_interval_s - 2 * self._commit_s)
            try:
                async with asyncio.timeout(pause_s):
                    await self._full.wait()
            except TimeoutError:
                pass
        self._full.clear()

    async def _commit(self) -> None:
        """Make the oldest clicks durable, trying again for as long as it takes.

        All full groups go together: a commit takes several turns of the loop, and the more requests a turn serves, the
        more clicks have to go at once. After a failure the first goes alone; what is smaller may still fit.
        """
        if len(self._groups) == 1:
            self._open_group()
        count = min(len(self._groups) - 1, MAX_GROUPS)
        delay_s = APPEND_RETRY_S[0]
        while not await self._append(self._oldest(count)):
            count = 1
            await self._pause(delay_s)
            delay_s = min(delay_s * 2, APPEND_RETRY_S[1])
        for _ in range(count):
            self._forget(self._groups.popleft())
        if not self._clicks and not self._stopping.is_set():
            self._wake.clear()

    def _oldest(self, count: int) -> Sequence[bytes]:
        """Give the clicks of the first *count* groups."""
        if count == 1:
            return self._groups[0].records
        return [record for group in islice(self._groups, count) for record in group.records]

    def _open_group(self) -> None:
        """Let a fresh group take what comes."""
        self._room -= len(self._open.records)
        self._open = _Group()
        self._groups.append(self._open)

    def _forget(self, group: _Group) -> None:
        self._room += len(group.records)
        self._bytes -= group.count_bytes()
        for kind, number in group.count_kinds().items():
            self._recorded[kind] += number

    @property
    def _clicks(self) -> int:
        """How many clicks wait."""
        return self._limits.max_clicks - self._room + len(self._open.records)

    async def _append(self, batch: Sequence[bytes]) -> bool:
        began_at = time.monotonic()
        reason = await try_append(self._store, batch)
        if reason is not None:
            self._fail(reason)
            return False
        self._failure = None
        self._commit_s = time.monotonic() - began_at
        return True

    def _fail(self, reason: str) -> None:
        if self._failure != reason:
            self._failure = reason
            log("recorder.retry", reason=reason, waiting=self._clicks)

    async def _pause(self, delay_s: float) -> None:
        """Wait before the next try; a process that is being stopped has little time and waits the least."""
        if self._stopping.is_set():
            await asyncio.sleep(APPEND_RETRY_S[0])
            return
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _drop(self, at_us: int) -> None:
        """Count the loss of a click that came at *at_us*, microseconds since the epoch."""
        reason = self._failure or "queue_full"
        self._metrics.count("linkrouter_clicks_dropped", reason)
        loss = self._losses.get(reason)
        if loss is None:
            self._losses[reason] = Loss(self._mint_id(self._clock_us()), reason, 1, at_us, at_us)
            self._tell(reason)
        else:
            loss.count += 1
            loss.since, loss.until = min(loss.since, at_us), max(loss.until, at_us)

    def _tell(self, reason: str) -> None:
        """Log that clicks are dropped, but not at every loss: a broken disk would fill the next one with lines."""
        now_s = time.monotonic()
        if now_s - self._told_at.get(reason, float("-inf")) >= TELL_DROPS_S:
            self._told_at[reason] = now_s
            log("recorder.dropped", reason=reason)

    def _oldest_age_s(self) -> float:
        if not self._clicks:
            return 0.0
        return max(0.0, (self._clock_us() - clicked_at(self._groups[0].records[0])) / 1e6)

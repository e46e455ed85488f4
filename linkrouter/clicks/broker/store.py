"""The click store in a broker: which entries are handed out, and what this process knows of its streams.

Promise: what `append` returned from is in the broker, and is handed out until it is acknowledged, by this process or by
whoever takes its streams over. Should the broker lose its last second, as one that does not sync every write may in a
crash, what is still in memory here is appended again, and the rest is counted as lost.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterable, Sequence

from linkrouter.clicks.broker.interface import READ_ENTRIES, Broker, BrokerTotals, Entry, StreamState
from linkrouter.clicks.broker.stream import Acknowledged, Stream, take_batch
from linkrouter.clicks.spool.claim import new_name
from linkrouter.clicks.store import Batch, Loss, OwnShare, StoreLimits, StoreStatus
from linkrouter.errors import StoreError
from linkrouter.log import log

__all__ = ["BrokerStore"]

ENTRY_CLICKS = 1000  # of a larger commit, so many to an entry
STREAM_BYTES = 16 * 1024**2  # a stream this large is left to the backlog,
STREAM_AGE_S = 600.0  # or this old
LIVE_INTERVAL_S = 1.0  # a trickle of live clicks is served this often while there is a backlog
SEARCH_INTERVAL_S = 2.0  # how often streams that nobody owns are looked for
BROKER_CLOSE_S = 3.0  # for a broker that hangs


class BrokerStore:
    """A `ClickStore` in *broker*."""

    is_durable = True

    def __init__(self, broker: Broker, limits: StoreLimits) -> None:
        self._broker = broker
        self._max_bytes = limits.max_bytes
        self._lock = asyncio.Lock()  # over what is known of the streams
        self._active = Stream(new_name())
        self._backlog: list[Stream] = []  # the newest last
        self._renewing: asyncio.Task[None] | None = None
        self._search_at = 0.0
        self._live_at = float("-inf")

    async def open(self) -> None:
        """Make ready to append. A broker that cannot be reached now is no reason not to start.

        Raises:
            StoreError: clicks would not be safe in the broker, or it does not let this process in.
        """
        self._broker.connect()
        await self._broker.check()
        self._renewing = asyncio.create_task(self._renew_forever())

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep *records*, all or none.

        Raises:
            StoreFull: the broker is at its limit, or at this store's.
            StoreError: the broker did not say that it has them.
        """
        if not records:
            return
        async with self._lock:
            if self._active.bytes_written >= STREAM_BYTES or self._active.age_s() >= STREAM_AGE_S:
                self._roll()
            missing, kept = await self._append(records)
            if missing:
                await self._make_good(missing, kept)

    async def _append(self, records: Sequence[bytes]) -> tuple[int, list[bytes]]:
        """Append to the active stream; give how many of its clicks the broker has lost, and those still in memory."""
        active = self._active
        entries = [tuple(records[first : first + ENTRY_CLICKS]) for first in range(0, len(records), ENTRY_CLICKS)]
        try:
            ids, state = await self._broker.append(active.name, entries, self._max_bytes)
        except BaseException:
            self._roll()  # what the old stream holds now is not known: it is looked up when it is read
            raise
        missing = active.state.pending + len(records) - state.pending
        kept = [record for entry in active.recent for record in entry.records] if missing > 0 else []
        active.add(ids, entries, state)
        return max(missing, 0), kept

    def _roll(self) -> None:
        """Begin a fresh stream, and let the old one be backlog."""
        if self._active.state.pending:
            self._backlog.append(self._active)
        self._active = Stream(new_name())

    async def _make_good(self, missing: int, kept: Sequence[bytes]) -> None:
        """Append again, to a fresh stream, what the broker has lost and memory has; central stores each click once."""
        since, lost = self._active.made_at_us, missing
        self._roll()
        try:
            if kept:
                await self._append(kept)
                lost = missing - len(kept)
        finally:
            await self._note_loss(lost, since)

    async def _note_loss(self, clicks: int, since: int) -> None:
        if clicks > 0:
            log("broker.lost", clicks=clicks)
            await self._broker.add_loss(Loss(secrets.token_hex(16), "broker_lost", clicks, since, _now_us()))

    async def next_batch(self, max_clicks: int) -> Batch | None:
        """Hand out live clicks before the backlog, but let a backlog drain between trickles of live ones."""
        async with self._lock:
            is_trickle = self._active.state.pending < max_clicks
            if is_trickle and time.monotonic() - self._live_at < LIVE_INTERVAL_S:
                return await self._next_of_backlog(max_clicks) or await self._next_live(max_clicks)
            return await self._next_live(max_clicks) or await self._next_of_backlog(max_clicks)

    async def _next_live(self, max_clicks: int) -> Batch | None:
        if not self._active.state.pending:
            return None
        self._live_at = time.monotonic()
        return await self._read(self._active, max_clicks)

    async def _next_of_backlog(self, max_clicks: int) -> Batch | None:
        while self._backlog or await self._take_over():
            batch = await self._read(self._backlog[-1], max_clicks)
            if batch is not None:
                return batch
            await self._broker.let_go(self._backlog.pop().name)
        return None

    async def _take_over(self) -> bool:
        """Take over a stream that nobody owns; tell whether there was one."""
        if time.monotonic() < self._search_at:
            return False
        taken = await self._broker.take_over()
        if taken is None:
            self._search_at = time.monotonic() + SEARCH_INTERVAL_S
            return False
        self._backlog.append(Stream(*taken))
        log("broker.taken_over", clicks=taken[1].pending)
        return True

    async def _read(self, stream: Stream, max_clicks: int) -> Batch | None:
        """Give the next clicks of *stream*; None when there is nothing, and what should be there is lost."""
        entries: Iterable[Entry] = stream.recent
        if not stream.is_in_memory:
            entries = await self._read_entries(stream, max_clicks)
        if not entries:
            lost, since = stream.state.pending, stream.state.oldest_at or stream.made_at_us
            stream.state = StreamState()
            await self._note_loss(lost, since)
            return None
        return take_batch(stream, entries, max_clicks)

    async def _read_entries(self, stream: Stream, max_clicks: int) -> list[Entry]:
        """Give the first entries of *stream* with *max_clicks* that are not acknowledged, or all."""
        entries: list[Entry] = []
        clicks = -stream.state.part
        while clicks < max_clicks:
            found = await self._broker.read(stream.name, entries[-1].id if entries else "")
            entries += found
            clicks += sum(len(entry.records) for entry in found)
            if len(found) < READ_ENTRIES:
                break
        return entries

    async def ack(self, batch: Batch) -> None:
        """Forget the clicks of *batch*."""
        token = batch.token
        assert isinstance(token, Acknowledged)
        async with self._lock:
            state = await self._broker.acknowledge(token.name, token.done, token.part, token.oldest_at)
            for stream in (self._active, *self._backlog):
                if stream.name == token.name:
                    stream.forget(token.done, state)
                    if not state.pending and stream is not self._active:
                        self._backlog.remove(stream)
                        await self._broker.let_go(stream.name)

    async def add_dead_letters(self, records: Sequence[bytes], reason: str) -> None:
        """Keep *records* with *reason* in the broker, where a person finds them.

        Raises:
            StoreError: the broker did not say that it has them.
        """
        await self._broker.add_dead_letters(records, reason)

    async def status(self) -> StoreStatus:
        """Tell what waits in the broker, other processes' clicks too."""
        totals = await self._totals()
        own, lost = self.own_share(), sum(loss.count for loss in totals.losses)
        return StoreStatus(
            totals.pending,
            totals.oldest_at,
            totals.bytes,
            totals.dead_letters,
            quarantined=0,
            lost={"broker_lost": lost} if lost else {},
            losses=totals.losses,
            own_pending=own.pending,
            own_oldest_at=own.oldest_at,
            own_bytes=own.bytes,
        )

    async def _totals(self) -> BrokerTotals:
        if self._renewing is not None:
            return await self._broker.totals()
        self._broker.connect()  # a person asks, and no process of ours has it open
        try:
            return await self._broker.totals()
        finally:
            await self._broker.close()

    def own_share(self) -> OwnShare:
        """Tell what waits in the streams that this process owns."""
        return sum((stream.share for stream in (self._active, *self._backlog)), start=OwnShare())

    async def close(self) -> None:
        """Leave the streams to anybody, without waiting long for a broker that hangs."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
            self._renewing = None
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(BROKER_CLOSE_S):
                    for stream in (self._active, *self._backlog):
                        await self._broker.let_go(stream.name)
        await self._broker.close()

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._broker.lease_s / 3)
            names = [stream.name for stream in (self._active, *self._backlog) if stream.state.pending]
            with contextlib.suppress(StoreError):  # whoever takes them over instead sends them
                await self._broker.renew(names)


def _now_us() -> int:
    return time.time_ns() // 1000

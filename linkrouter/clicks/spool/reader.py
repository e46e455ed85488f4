"""The reader: hands out what waits in a spool, the live segment's clicks and the backlog's, and takes acknowledgements.

Promise: fresh clicks go first, and a backlog drains beside a trickle of them. What was not acknowledged is handed out
again, by this process or by whichever owns the segment then.
"""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from linkrouter.clicks.click import clicked_at
from linkrouter.clicks.spool.backlog import Backlog, next_backlog
from linkrouter.clicks.spool.claim import claim
from linkrouter.clicks.spool.directory import unclaimed_shares
from linkrouter.clicks.spool.timings import SpoolTimings
from linkrouter.clicks.spool.writer import SpoolWriter
from linkrouter.clicks.store import Batch, OwnShare
from linkrouter.errors import DamagedFrame

__all__ = ["SpoolReader"]


class _Token(NamedTuple):
    """What to acknowledge: everything in segment *name* up to *seq*."""

    name: str
    seq: int


class SpoolReader:
    """Reads *writer*'s active segment, and one segment of the backlog at a time."""

    def __init__(self, directory: Path, timings: SpoolTimings, writer: SpoolWriter) -> None:
        self._directory = directory
        self._timings = timings
        self._writer = writer
        self._backlog: Backlog | None = None
        self._search: asyncio.Task[Backlog | None] | None = None
        self._search_at = 0.0
        self._leaves = 0  # of the writer, when the directory was last searched
        self._live_at = float("-inf")
        self._unreadable: set[str] = set()

    async def next_batch(self, max_clicks: int) -> Batch | None:
        """Hand out live clicks before the backlog, but let a backlog drain between trickles of live ones."""
        active = self._writer.active
        is_trickle = active is None or active.pending < max_clicks
        if is_trickle and time.monotonic() - self._live_at < self._timings.live_interval_s:
            return await self._next_of_backlog(max_clicks) or await self._next_live(max_clicks)
        return await self._next_live(max_clicks) or await self._next_of_backlog(max_clicks)

    async def _next_live(self, max_clicks: int) -> Batch | None:
        async with self._writer.lock:
            await self._writer.drop_when_idle()
            active = self._writer.active
            if active is None or not active.pending:
                return None
            try:
                seq, records = await active.read(max_clicks)
            except (OSError, sqlite3.Error, DamagedFrame) as exc:
                await self._writer.abandon(exc)
                return None
            self._live_at = time.monotonic()
            return Batch(records, _Token(active.name, seq)) if records else None

    async def _next_of_backlog(self, max_clicks: int) -> Batch | None:
        if self._backlog is None:
            await self._find_backlog()
        if self._backlog is None:
            return None
        seq, records = self._backlog.read(max_clicks)
        return Batch(records, _Token(self._backlog.name, seq))

    async def _find_backlog(self) -> None:
        """Search for a segment without an owner; a search that is under way outlives the caller's cancellation."""
        if self._search is None:
            if time.monotonic() < self._search_at and self._leaves == self._writer.leaves:
                return
            self._leaves = self._writer.leaves
            self._search = asyncio.create_task(asyncio.to_thread(next_backlog, self._directory, self._unreadable))
        await asyncio.wait([self._search])
        search, self._search = self._search, None
        self._backlog = search.result()
        if self._backlog is not None:
            self._writer.left.pop(self._backlog.name, None)
        self._search_at = 0.0 if self._backlog else time.monotonic() + self._timings.search_interval_s

    async def ack(self, batch: Batch) -> None:
        """Forget the clicks of *batch*. A backlog segment that is wholly acknowledged is unlinked."""
        assert isinstance(batch.token, _Token)
        name, seq = batch.token
        oldest_at = clicked_at(batch.records[-1])
        async with self._writer.lock:
            self._writer.expect_room()
            active = self._writer.active
            if active is not None and active.name == name:
                await active.ack(seq, oldest_at)
            elif self._backlog is not None and self._backlog.name == name:
                await asyncio.to_thread(self._ack_backlog, self._backlog, seq, oldest_at)
            else:
                await asyncio.to_thread(_ack_released, self._directory, name, seq, oldest_at)
                await self.look_after_left()

    def _ack_backlog(self, backlog: Backlog, seq: int, oldest_at: int) -> None:
        backlog.ack(seq, oldest_at)
        if not len(backlog):
            backlog.finish()
            self._backlog = None

    async def look_after_left(self) -> None:
        """See what became of the segments that this process let go of: another process may have taken them over."""
        left = self._writer.left
        if not left:
            return
        for name, share in (await asyncio.to_thread(unclaimed_shares, self._directory, list(left))).items():
            if share is None:
                left.pop(name, None)
            elif name in left:
                left[name] = share

    def share(self) -> OwnShare:
        """Tell what waits in the backlog that this process owns, and in segments that it wrote and nobody owns yet."""
        shares = [*self._writer.left.values(), *([self._backlog.share] if self._backlog else [])]
        return sum(shares, start=OwnShare())

    async def close(self) -> None:
        """Let go of the backlog, for whoever comes next."""
        if self._search is not None:
            self._backlog, self._search = await self._search, None
        if self._backlog is not None:
            self._backlog.release()
            self._backlog = None


def _ack_released(directory: Path, name: str, seq: int, oldest_at: int) -> None:
    """Write down an acknowledgement that came after its segment was let go; a new owner resends the batch instead."""
    with contextlib.suppress(OSError):
        owned = claim(directory, name, make=False)
        if owned is None:
            return
        if owned.has_checkpoint and seq > owned.checkpoint.acked:
            owned.write_checkpoint(acked=seq, oldest_at=oldest_at)
        is_done_with = owned.has_checkpoint and owned.checkpoint.acked >= owned.checkpoint.committed
        (owned.remove if is_done_with else owned.release)()

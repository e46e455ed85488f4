"""The writer: appends clicks to this process's own segment, and replaces it when it is large, old or broken.

Promise: a segment that failed once is written to no more, and no click that was kept is lost with it: what it holds is
left to the backlog.
"""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from linkrouter.clicks.click import clicked_at
from linkrouter.clicks.spool.disk import is_disk_full, reason_of, room_bytes
from linkrouter.clicks.spool.segment import Segment, create_segment
from linkrouter.clicks.spool.timings import SpoolTimings
from linkrouter.clicks.store import OwnShare, StoreLimits
from linkrouter.errors import DamagedFrame, StoreError, StoreFull
from linkrouter.log import log

__all__ = ["SpoolWriter"]

CLOSE_S = 3.0  # for a disk that hangs


class SpoolWriter:
    """The active segment of one process, from one to the next. Callers of all but `append` hold `lock`."""

    def __init__(self, directory: Path, limits: StoreLimits, timings: SpoolTimings) -> None:
        self.lock = asyncio.Lock()  # over the active segment and over what is acknowledged
        self.active: Segment | None = None
        self.left: dict[str, OwnShare] = {}  # what this process wrote to segments that it let go of
        self.leaves = 0  # how often it let go of one, so that a reader sees when to search
        self._directory = directory
        self._limits = limits
        self._timings = timings
        self._closing: list[asyncio.Task[None]] = []
        self._measure_at = 0.0
        self._room_bytes = 0
        self._is_failing = False  # a segment was abandoned since the last commit, and that was said

    async def open(self) -> None:
        """Make a first segment; without room for one, `append` will try again.

        Raises:
            StoreError: the directory cannot be made or written to.
        """
        try:
            try:
                self.active = await create_segment(self._directory)
            except (OSError, sqlite3.Error):
                self.active = await create_segment(self._directory)  # a disk may fail once
        except (OSError, sqlite3.Error) as exc:
            if not await asyncio.to_thread(is_disk_full, self._directory, exc):
                raise StoreError(
                    f"CLICK_STORE: directory {str(self._directory)!r} cannot be written ({reason_of(exc)}); "
                    "make it writable for this user, or name another"
                ) from exc

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep *records*, of which there must be some: in the active segment, and if that fails in a fresh one.

        Raises:
            StoreFull: the directory is at its limit or the disk is full.
            StoreError: neither segment could be written.
        """
        async with self.lock:
            await self._measure()
            if self._room_bytes <= 0:
                raise StoreFull(f"click store {str(self._directory)!r} is at its limit")
            await self._append(records)

    async def _append(self, records: Sequence[bytes]) -> None:
        try:
            await self._write(records)
        except (OSError, sqlite3.Error) as first:
            await self.abandon(first)
            try:
                await self._write(records)
            except (OSError, sqlite3.Error) as exc:
                await self.abandon(exc)
                full = await asyncio.to_thread(is_disk_full, self._directory, exc)
                error = StoreFull if full else StoreError
                raise error(f"click store {str(self._directory)!r} cannot be written ({reason_of(exc)})") from exc

    async def _write(self, records: Sequence[bytes]) -> None:
        active = self.active
        if active is None or self._is_due(active):
            active = await self._roll()
        before = active.bytes
        try:
            await active.append(records)
        except asyncio.CancelledError:
            # What the thread still does with the transaction is not known, and a disk that hangs must not hang the
            # caller: this segment ends here, and is closed when its thread comes to it.
            self.active = None
            self._leave(active)
            closing = asyncio.create_task(active.close())
            closing.add_done_callback(lambda _: self._leave(active))
            self._closing.append(closing)
            raise
        self._room_bytes -= active.bytes - before
        self._is_failing = False

    def _leave(self, segment: Segment) -> None:
        """Count *segment* as left to the backlog, with what it still holds."""
        self.leaves += 1
        if segment.pending:
            self.left[segment.name] = segment.share

    def _is_due(self, segment: Segment) -> bool:
        timings, age_s = self._timings, time.monotonic() - segment.made_at
        return segment.bytes >= timings.segment_bytes or (segment.bytes > 0 and age_s >= timings.segment_age_s)

    async def _roll(self) -> Segment:
        """Start a fresh segment and leave the old one to the backlog."""
        old, self.active = self.active, await create_segment(self._directory)
        if old is not None:
            await old.close()
            self._leave(old)
        return self.active

    async def abandon(self, exc: Exception) -> None:
        """Use the active segment no more; what it holds is read back as backlog."""
        if self.active is not None:
            if not self._is_failing:
                log("spool.segment_abandoned", reason=reason_of(exc))
            self._is_failing = True
            segment, self.active = self.active, None
            await segment.close()
            self._leave(segment)

    async def _measure(self) -> None:
        """See how much room is left, and whether the active segment is still where it was made."""
        if time.monotonic() < self._measure_at:
            return
        self._measure_at = time.monotonic() + self._timings.measure_interval_s
        if self.active is not None and not await self.active.is_in_place():
            await self._rescue(self.active)
        self._room_bytes = await asyncio.to_thread(room_bytes, self._directory, self._limits)
        if self._room_bytes <= 0 and await self._drop_acknowledged(0.0):
            self._room_bytes = await asyncio.to_thread(room_bytes, self._directory, self._limits)

    async def _rescue(self, lost: Segment) -> None:
        """Write again what is in a segment whose files were removed, while its connection still has them.

        Raises:
            StoreError: it cannot be written; the next `append` tries again.
        """
        self._measure_at = 0.0
        fresh = None
        try:
            fresh = await create_segment(self._directory)
            if lost.pending:
                seq, records = await lost.read(lost.pending)
                await fresh.append(records)
                await lost.ack(seq, clicked_at(records[-1]))
        except (OSError, sqlite3.Error, DamagedFrame) as exc:
            if fresh is not None:
                await fresh.close()
            raise StoreError(
                f"click store {str(self._directory)!r} is not where it was ({reason_of(exc)}); make it again"
            ) from exc
        log("spool.segment_abandoned", reason="removed")
        self.active = fresh
        await lost.close()

    async def drop_when_idle(self) -> None:
        """Remove the active segment when central has all of it and nothing was written for a while.

        Else addresses and agents would stay on the disk of a router that nobody visits.
        """
        await self._drop_acknowledged(self._timings.idle_s)

    async def _drop_acknowledged(self, idle_s: float) -> bool:
        active = self.active
        if active is None or not active.bytes or active.pending or time.monotonic() - active.written_at < idle_s:
            return False
        self.active = None
        await active.close()  # wholly acknowledged: this unlinks it
        return True

    def expect_room(self) -> None:
        """Measure the disk at the next `append` when it was full: an acknowledgement may have made room."""
        if self._room_bytes <= 0:
            self._measure_at = 0.0

    async def close(self) -> None:
        """Let go of the active segment, and remove it when nothing in it is pending.

        It waits no longer than `CLOSE_S` for a disk that hangs; what is on it then is read back by the next process.
        """
        if self.active is not None:
            self._closing.append(asyncio.create_task(self.active.close()))
            self.active = None
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_S)
            self._closing.clear()

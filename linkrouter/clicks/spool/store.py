"""The store `sqlite:///DIRECTORY`: a directory of segments, shared by every process that opens it.

Promise: a click that `append` returned from is handed out until it is acknowledged, whatever happens to the process,
and a full disk can always be drained, because space comes back by unlinking whole segments. A process appends to one
segment of its own; when that is large or old, or its process is dead, it is anybody's backlog.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from linkrouter.clicks.click import clicked_at
from linkrouter.clicks.spool.backlog import Backlog, next_backlog
from linkrouter.clicks.spool.claim import claim
from linkrouter.clicks.spool.dead_letters import adopt_old_dead_letters, write_dead_letters
from linkrouter.clicks.spool.directory import directory_status
from linkrouter.clicks.spool.disk import is_disk_full, reason_of, room_bytes
from linkrouter.clicks.spool.frame import DamagedFrame
from linkrouter.clicks.spool.segment import Segment, create_segment
from linkrouter.clicks.store import Batch, StoreLimits, StoreStatus
from linkrouter.errors import SettingsError, StoreError, StoreFull
from linkrouter.log import log

__all__ = ["Spool", "SpoolTimings", "open_spool"]

SCHEME = "sqlite:///"
CLOSE_S = 3.0


@dataclass(frozen=True, slots=True)
class SpoolTimings:
    """When a store does what it does."""

    segment_bytes: int = 16 * 1024**2  # a segment this large is left to the backlog,
    segment_age_s: float = 600.0  # or this old
    live_interval_s: float = 1.0  # a trickle of live clicks is served this often while there is a backlog
    search_interval_s: float = 2.0  # how often the directory is searched for segments without an owner
    measure_interval_s: float = 1.0  # how often the disk is measured, and the active segment looked for


class _Token(NamedTuple):
    """What to acknowledge: everything in segment *name* up to *seq*."""

    name: str
    seq: int


def open_spool(url: str, limits: StoreLimits) -> "Spool":
    """Give the store that *url* names: `sqlite:///relative/directory` or `sqlite:////absolute/directory`."""
    return Spool(_directory(url), limits)


def _directory(url: str) -> Path:
    if not url.startswith(SCHEME) or not url.removeprefix(SCHEME):
        raise SettingsError(
            "CLICK_STORE must be sqlite:///DIRECTORY, or sqlite:////DIRECTORY when it starts at the root"
        )
    return Path(url.removeprefix(SCHEME))


class Spool:
    """A `ClickStore` on a directory of segments."""

    is_durable = True

    def __init__(self, directory: Path, limits: StoreLimits, timings: SpoolTimings | None = None) -> None:
        self._directory = directory
        self._limits = limits
        self._timings = timings or SpoolTimings()
        self._lock = asyncio.Lock()  # over the active segment and over what is acknowledged
        self._active: Segment | None = None
        self._backlog: Backlog | None = None
        self._search: asyncio.Task[Backlog | None] | None = None
        self._closing: list[asyncio.Task[None]] = []
        self._unreadable: set[str] = set()
        self._search_at = self._measure_at = 0.0
        self._live_at = float("-inf")
        self._room_bytes = 0
        self._is_failing = False  # a segment was abandoned since the last commit, and that was said

    async def open(self) -> None:
        """Make ready to append. What lies in the directory is looked at later, so that a start never waits for it.

        A full disk is no reason not to start.

        Raises:
            StoreError: the directory cannot be made or written to.
        """
        try:
            try:
                self._active = await create_segment(self._directory)
            except (OSError, sqlite3.Error):
                self._active = await create_segment(self._directory)  # a disk may fail once
        except (OSError, sqlite3.Error) as exc:
            if not await asyncio.to_thread(is_disk_full, self._directory, exc):
                raise StoreError(
                    f"CLICK_STORE: directory {str(self._directory)!r} cannot be written ({reason_of(exc)}); "
                    "make it writable for this user, or name another"
                ) from exc
        await asyncio.to_thread(adopt_old_dead_letters, self._directory)

    # Writing

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep *records*: in the active segment, and if that fails in a fresh one.

        Raises:
            StoreFull: the directory is at its limit or the disk is full.
            StoreError: neither segment could be written.
        """
        if not records:
            return
        async with self._lock:
            await self._measure()
            if self._room_bytes <= 0:
                raise StoreFull(f"click store {str(self._directory)!r} is at its limit")
            await self._append(records)

    async def _append(self, records: Sequence[bytes]) -> None:
        try:
            await self._write(records)
        except (OSError, sqlite3.Error) as first:
            await self._abandon(first)
            try:
                await self._write(records)
            except (OSError, sqlite3.Error) as exc:
                await self._abandon(exc)
                full = await asyncio.to_thread(is_disk_full, self._directory, exc)
                error = StoreFull if full else StoreError
                raise error(f"click store {str(self._directory)!r} cannot be written ({reason_of(exc)})") from exc

    async def _write(self, records: Sequence[bytes]) -> None:
        active = self._active
        if active is None or self._is_due(active):
            active = await self._roll()
        before = active.bytes
        try:
            await active.append(records)
        except asyncio.CancelledError:
            # What the thread still does with the transaction is not known, and a disk that hangs must not hang the
            # caller: this segment ends here, and is closed when its thread comes to it.
            self._active = None
            closing = asyncio.create_task(active.close())
            closing.add_done_callback(self._search_again)
            self._closing.append(closing)
            raise
        self._room_bytes -= active.bytes - before
        self._is_failing = False

    def _search_again(self, _: object) -> None:
        """Look for backlog at the next chance: a segment was let go of."""
        self._search_at = 0.0

    def _is_due(self, segment: Segment) -> bool:
        age_s = time.monotonic() - segment.made_at
        return segment.bytes >= self._timings.segment_bytes or (
            segment.bytes > 0 and age_s >= self._timings.segment_age_s
        )

    async def _roll(self) -> Segment:
        """Start a fresh segment and leave the old one to the backlog."""
        old, self._active = self._active, await create_segment(self._directory)
        if old is not None:
            await old.close()
            self._search_at = 0.0
        return self._active

    async def _abandon(self, exc: Exception) -> None:
        """Use the active segment no more; what it holds is read back as backlog."""
        if self._active is not None:
            if not self._is_failing:
                log("spool.segment_abandoned", reason=reason_of(exc))
            self._is_failing = True
            segment, self._active = self._active, None
            await segment.close()
            self._search_at = 0.0

    async def _measure(self) -> None:
        """See how much room is left, and whether the active segment is still where it was made."""
        if time.monotonic() < self._measure_at:
            return
        self._measure_at = time.monotonic() + self._timings.measure_interval_s
        if self._active is not None and not await self._active.is_in_place():
            await self._rescue(self._active)
        self._room_bytes = await asyncio.to_thread(room_bytes, self._directory, self._limits)
        if self._room_bytes <= 0 and self._active is not None and self._active.bytes and not self._active.pending:
            segment, self._active = self._active, None
            await segment.close()  # wholly acknowledged: this unlinks it
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
        self._active = fresh
        await lost.close()

    # Reading

    async def next_batch(self, max_clicks: int) -> Batch | None:
        """Hand out live clicks before the backlog, but let a backlog drain between trickles of live ones."""
        is_trickle = self._active is None or self._active.pending < max_clicks
        if is_trickle and time.monotonic() - self._live_at < self._timings.live_interval_s:
            return await self._next_of_backlog(max_clicks) or await self._next_live(max_clicks)
        return await self._next_live(max_clicks) or await self._next_of_backlog(max_clicks)

    async def _next_live(self, max_clicks: int) -> Batch | None:
        async with self._lock:
            if self._active is None or not self._active.pending:
                return None
            try:
                seq, records = await self._active.read(max_clicks)
            except (OSError, sqlite3.Error, DamagedFrame) as exc:
                await self._abandon(exc)
                return None
            self._live_at = time.monotonic()
            return Batch(records, _Token(self._active.name, seq)) if records else None

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
            if time.monotonic() < self._search_at:
                return
            self._search = asyncio.create_task(asyncio.to_thread(next_backlog, self._directory, self._unreadable))
        await asyncio.wait([self._search])
        search, self._search = self._search, None
        self._backlog = search.result()
        self._search_at = 0.0 if self._backlog else time.monotonic() + self._timings.search_interval_s

    async def ack(self, batch: Batch) -> None:
        """Forget the clicks of *batch*. A backlog segment that is wholly acknowledged is unlinked."""
        assert isinstance(batch.token, _Token)
        name, seq = batch.token
        oldest_at = clicked_at(batch.records[-1])
        async with self._lock:
            if self._room_bytes <= 0:
                self._measure_at = 0.0  # there may be room now
            if self._active is not None and self._active.name == name:
                await self._active.ack(seq, oldest_at)
            elif self._backlog is not None and self._backlog.name == name:
                await asyncio.to_thread(self._ack_backlog, self._backlog, seq, oldest_at)
            else:
                await asyncio.to_thread(_ack_released, self._directory, name, seq, oldest_at)

    def _ack_backlog(self, backlog: Backlog, seq: int, oldest_at: int) -> None:
        backlog.ack(seq, oldest_at)
        if not len(backlog):
            backlog.finish()
            self._backlog = None

    async def add_dead_letters(self, records: Sequence[bytes], reason: str) -> None:
        """Write *records* with *reason* to `dead-letters.jsonl` in the directory.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            await asyncio.to_thread(write_dead_letters, self._directory, records, reason)
        except OSError as exc:
            raise StoreError(f"click store {str(self._directory)!r} cannot be written ({reason_of(exc)})") from exc

    async def status(self) -> StoreStatus:
        """Tell what waits in the whole directory, other processes' clicks too; one that does not exist is empty."""
        return await asyncio.to_thread(directory_status, self._directory)

    async def close(self) -> None:
        """Let go of every segment, and remove the active one when nothing in it is pending.

        It waits no longer than `CLOSE_S` for a disk that hangs; what is on it then is read back by the next process.
        """
        async with self._lock:
            if self._search is not None:
                self._backlog, self._search = await self._search, None
            if self._backlog is not None:
                self._backlog.release()
                self._backlog = None
            if self._active is not None:
                self._closing.append(asyncio.create_task(self._active.close()))
                self._active = None
            if self._closing:
                await asyncio.wait(self._closing, timeout=CLOSE_S)
                self._closing.clear()


def _ack_released(directory: Path, name: str, seq: int, oldest_at: int) -> None:
    """Note an acknowledgement that came after its segment was let go. Whoever owns it now resends the batch instead."""
    with contextlib.suppress(OSError):
        owned = claim(directory, name, make=False)
        if owned is None:
            return
        if owned.has_checkpoint and seq > owned.checkpoint.acked:
            owned.write_checkpoint(acked=seq, oldest_at=oldest_at)
        is_done_with = owned.has_checkpoint and owned.checkpoint.acked >= owned.checkpoint.committed
        (owned.remove if is_done_with else owned.release)()

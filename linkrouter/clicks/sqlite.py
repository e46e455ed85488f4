"""The store `sqlite:///DIRECTORY`: a directory of segments, shared by every process that opens it.

Promise: a click that `append` returned from is handed out until it is acknowledged, whatever happens to the process,
and a full disk can always be drained, because space comes back by unlinking whole segments. A process appends to one
segment of its own; when that is large or old, or its process is dead, it is anybody's backlog.
"""

import asyncio
import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from linkrouter.clicks.backlog import Backlog, next_backlog
from linkrouter.clicks.claim import claim
from linkrouter.clicks.click import Click, click_json
from linkrouter.clicks.directory import SET_ASIDE, directory_bytes, directory_status, free_bytes
from linkrouter.clicks.frame import DamagedFrame
from linkrouter.clicks.segment import Segment, create_segment
from linkrouter.clicks.store import Batch, StoreLimits, StoreStatus
from linkrouter.errors import SettingsError, StoreError, StoreFull
from linkrouter.observe import log

__all__ = ["Pace", "SqliteStore", "open_sqlite", "spool_status"]

SCHEME = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Pace:
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


def open_sqlite(url: str, limits: StoreLimits) -> "SqliteStore":
    """Give the store that *url* names: `sqlite:///relative/directory` or `sqlite:////absolute/directory`."""
    return SqliteStore(_directory(url), limits)


def spool_status(url: str) -> StoreStatus:
    """Tell what waits in the directory *url* names, from outside, while routers use it or when none runs.

    It changes nothing. A directory that does not exist has nothing in it.
    """
    return directory_status(_directory(url))


def _directory(url: str) -> Path:
    if not url.startswith(SCHEME) or not url.removeprefix(SCHEME):
        raise SettingsError(
            "CLICK_STORE must be sqlite:///DIRECTORY, or sqlite:////DIRECTORY when it starts at the root"
        )
    return Path(url.removeprefix(SCHEME))


class SqliteStore:
    """A `ClickStore` on a directory of segments."""

    def __init__(self, directory: Path, limits: StoreLimits, pace: Pace | None = None) -> None:
        self._directory = directory
        self._limits = limits
        self._pace = pace or Pace()
        self._lock = asyncio.Lock()  # over the active segment and over what is acknowledged
        self._active: Segment | None = None
        self._backlog: Backlog | None = None
        self._search: asyncio.Task[Backlog | None] | None = None
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
            if not await asyncio.to_thread(_is_disk_full, self._directory, exc):
                raise StoreError(
                    f"CLICK_STORE: directory {str(self._directory)!r} cannot be written ({_reason(exc)}); "
                    "make it writable for this user, or name another"
                ) from exc

    # Writing

    async def append(self, clicks: Sequence[Click]) -> None:
        """Keep *clicks*: in the active segment, and if that fails in a fresh one.

        Raises:
            StoreFull: the directory is at its limit or the disk is full.
            StoreError: neither segment could be written.
        """
        if not clicks:
            return
        records = [click_json(click).encode("ascii") for click in clicks]
        async with self._lock:
            await self._measure()
            if self._room_bytes <= 0:
                raise StoreFull(f"click store {str(self._directory)!r} is at its limit")
            await self._append(records, clicks[0].clicked_at)

    async def _append(self, records: Sequence[bytes], clicked_at: int) -> None:
        try:
            await self._write(records, clicked_at)
        except (OSError, sqlite3.Error) as first:
            await self._abandon(first)
            try:
                await self._write(records, clicked_at)
            except (OSError, sqlite3.Error) as exc:
                await self._abandon(exc)
                full = await asyncio.to_thread(_is_disk_full, self._directory, exc)
                error = StoreFull if full else StoreError
                raise error(f"click store {str(self._directory)!r} cannot be written ({_reason(exc)})") from exc

    async def _write(self, records: Sequence[bytes], clicked_at: int) -> None:
        active = self._active
        if active is None or self._is_due(active):
            active = await self._roll()
        before = active.bytes
        try:
            await active.append(records, clicked_at)
        except asyncio.CancelledError:
            # What the thread still does with the transaction is not known: this segment ends here.
            self._active = None
            await active.close(is_suspect=True)
            raise
        self._room_bytes -= active.bytes - before
        self._is_failing = False

    def _is_due(self, segment: Segment) -> bool:
        age_s = time.monotonic() - segment.made_at
        return segment.bytes >= self._pace.segment_bytes or (segment.bytes > 0 and age_s >= self._pace.segment_age_s)

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
                log("spool.segment_abandoned", reason=_reason(exc))
            self._is_failing = True
            segment, self._active = self._active, None
            await segment.close(is_suspect=True)
            self._search_at = 0.0

    async def _measure(self) -> None:
        """See how much room is left, and whether the active segment is still where it was made."""
        if time.monotonic() < self._measure_at:
            return
        self._measure_at = time.monotonic() + self._pace.measure_interval_s
        if self._active is not None and not await self._active.is_in_place():
            await self._rescue(self._active)
        self._room_bytes = await asyncio.to_thread(self._room)
        if self._room_bytes <= 0 and self._active is not None and self._active.bytes and not self._active.pending:
            segment, self._active = self._active, None
            await segment.close()  # wholly acknowledged: this unlinks it
            self._room_bytes = await asyncio.to_thread(self._room)

    def _room(self) -> int:
        try:
            free = free_bytes(self._directory) - self._limits.reserve_bytes
        except OSError:
            return self._limits.max_bytes  # the directory is gone: a fresh segment makes it again, or says why not
        return min(free, self._limits.max_bytes - directory_bytes(self._directory))

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
                await fresh.append(records, clicked_at(records[0]))
                await lost.ack(seq, clicked_at(records[-1]))
        except (OSError, sqlite3.Error, DamagedFrame) as exc:
            if fresh is not None:
                await fresh.close(is_suspect=True)
            raise StoreError(
                f"click store {str(self._directory)!r} was removed ({_reason(exc)}); make it again"
            ) from exc
        log("spool.segment_abandoned", reason="removed")
        self._active = fresh
        await lost.close()

    # Reading

    async def take(self, max_clicks: int) -> Batch | None:
        """Hand out live clicks before the backlog, but let a backlog drain between trickles of live ones."""
        is_trickle = self._active is None or self._active.pending < max_clicks
        if is_trickle and time.monotonic() - self._live_at < self._pace.live_interval_s:
            return await self._take_backlog(max_clicks) or await self._take_live(max_clicks)
        return await self._take_live(max_clicks) or await self._take_backlog(max_clicks)

    async def _take_live(self, max_clicks: int) -> Batch | None:
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

    async def _take_backlog(self, max_clicks: int) -> Batch | None:
        if self._backlog is None:
            await self._find_backlog()
        if self._backlog is None:
            return None
        seq, records = self._backlog.take(max_clicks)
        return Batch(records, _Token(self._backlog.name, seq))

    async def _find_backlog(self) -> None:
        """Search for a segment without an owner; a search that is under way outlives the caller's cancellation."""
        if self._search is None:
            if time.monotonic() < self._search_at:
                return
            self._search = asyncio.create_task(asyncio.to_thread(next_backlog, self._directory, self._unreadable))
        search = self._search
        try:
            self._backlog = await asyncio.shield(search)
        finally:
            self._search = None if search.done() else search
        self._search_at = 0.0 if self._backlog else time.monotonic() + self._pace.search_interval_s

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

    async def set_aside(self, records: Sequence[bytes], reason: str) -> None:
        """Write *records* with *reason* to `set-aside.jsonl` in the directory.

        Raises:
            StoreError: it cannot be written.
        """
        lines = b"".join(b'{"reason":"%b","click":%b}\n' % (reason.encode("ascii"), record) for record in records)
        try:
            await asyncio.to_thread(_append_durably, self._directory / SET_ASIDE, lines)
        except OSError as exc:
            raise StoreError(f"click store {str(self._directory)!r} cannot be written ({_reason(exc)})") from exc

    async def status(self) -> StoreStatus:
        """Tell what waits in the whole directory, other processes' clicks included."""
        return await asyncio.to_thread(directory_status, self._directory)

    async def close(self) -> None:
        """Let go of every segment, and remove the active one when nothing in it is pending."""
        async with self._lock:
            if self._search is not None:
                self._backlog, self._search = await self._search, None
            if self._backlog is not None:
                self._backlog.release()
                self._backlog = None
            if self._active is not None:
                segment, self._active = self._active, None
                await segment.close()


def clicked_at(record: bytes) -> int:
    """Read the time of a record: microseconds since the epoch."""
    text = record.partition(b'"clicked_at":"')[2][:27].decode("ascii")
    time_s = datetime.fromisoformat(text)
    return int(time_s.timestamp()) * 1_000_000 + time_s.microsecond


def _ack_released(directory: Path, name: str, seq: int, oldest_at: int) -> None:
    """Note an acknowledgement that came after its segment was let go. Whoever owns it now resends the batch instead."""
    with contextlib.suppress(OSError):
        owned = claim(directory, name)
        if owned is None:
            return
        if owned.has_note and seq > owned.note.acked:
            owned.write_note(acked=seq, oldest_at=oldest_at)
        is_done_with = owned.has_note and owned.note.acked >= owned.note.committed
        (owned.remove if is_done_with else owned.release)()


def _append_durably(path: Path, lines: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, lines) != len(lines):
            raise OSError(errno.ENOSPC, "No space left on device")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_disk_full(directory: Path, exc: BaseException) -> bool:
    """Tell whether *exc* came of a full disk; SQLite reports a disk without inodes as a file it cannot open."""
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if getattr(exc, "sqlite_errorname", "") == "SQLITE_FULL":
        return True
    try:
        return free_bytes(directory) == 0
    except OSError:
        return False


def _reason(exc: BaseException) -> str:
    """Name the cause of *exc* in a word or two, without a path."""
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return getattr(exc, "sqlite_errorname", None) or type(exc).__name__

"""The segment: the one SQLite file that a process appends its clicks to.

Promise: what `append` returned from survives a kill and a power cut. One connection has the file to itself, which also
keeps SQLite's write-ahead log clear of the race that releases before 3.51.3 have with two. After any error the segment
is used no more: the kernel forgets a page it could not write, so a second fsync of the same file would lie.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import aiosqlite

from linkrouter.clicks.click import clicked_at
from linkrouter.clicks.spool.claim import Claim, claim, new_name
from linkrouter.clicks.spool.frame import frame, read_frame
from linkrouter.clicks.store import OwnShare
from linkrouter.errors import DamagedFrame

__all__ = ["Segment", "create_segment"]

SPOOL_APPLICATION_ID = 0x4C524C4B  # "LRLK"
SPOOL_VERSION = 1
RECENT_CLICKS = 4000  # kept in memory for sync: a few batches
FRAMED_CLICKS = 250  # framed at a time; after each the loop may serve requests
# A commit this large is framed in one go: so many clicks come then that pauses would let the queue grow.
HURRY_CLICKS = 2000
ROW_OVERHEAD_BYTES = 32  # frame header, cell header and the row's share of its page

# locking_mode before journal_mode: then there is no shared memory file, and a second opener is refused. Nothing is
# synced and journalled before the first commit, whose sync of the log covers all there is to lose.
BEFORE_WAL = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA page_size = 4096;
PRAGMA auto_vacuum = NONE;
PRAGMA busy_timeout = 0;
PRAGMA temp_store = MEMORY;
PRAGMA mmap_size = 0;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA synchronous = OFF;
PRAGMA journal_mode = MEMORY;
"""
AFTER_WAL = f"""
PRAGMA wal_autocheckpoint = 256;
PRAGMA journal_size_limit = 1048576;
BEGIN;
PRAGMA application_id = {SPOOL_APPLICATION_ID};
PRAGMA user_version = {SPOOL_VERSION};
CREATE TABLE clicks (seq INTEGER PRIMARY KEY, record BLOB NOT NULL);
COMMIT;
PRAGMA synchronous = FULL;
"""
PLACE = 8192  # more bytes than any row has
# One statement for a whole transaction, so that its thread asks for the interpreter once and not at every row. It takes
# the first number, the rows' bytes one after the other, and a JSON list that says of each: start × PLACE + length.
INSERT = """
INSERT INTO clicks (seq, record)
SELECT ? + key, substr(?, value / place + 1, value % place) FROM json_each(?), (SELECT ? AS place)
"""
SELECT = "SELECT seq, record FROM clicks WHERE seq > ? ORDER BY seq LIMIT ?"


class Segment:
    """An open segment; made by `create_segment`. Not for concurrent use."""

    def __init__(self, owned: Claim, connection: aiosqlite.Connection) -> None:
        self._owned = owned
        self._connection = connection
        connection.row_factory = _read_row  # type: ignore[assignment]  # it may give any value, not only a Row
        self._recent: deque[bytes] = deque(maxlen=RECENT_CLICKS)  # the last that became durable, acknowledged or not
        self.made_at = self.written_at = time.monotonic()
        self.bytes = 0

    @property
    def name(self) -> str:
        """The segment's name."""
        return self._owned.name

    @property
    def pending(self) -> int:
        """How many clicks are durable and not acknowledged."""
        return self._owned.checkpoint.committed - self._owned.checkpoint.acked

    @property
    def share(self) -> OwnShare:
        """What waits here; the oldest click is known by what is still in memory, else by the checkpoint."""
        if not self.pending:
            return OwnShare(bytes=self.bytes)
        first = len(self._recent) - self.pending
        oldest_at = clicked_at(self._recent[first]) if first >= 0 else self._owned.checkpoint.oldest_at
        return OwnShare(self.pending, oldest_at, self.bytes)

    async def is_in_place(self) -> bool:
        """Tell whether the files are still in their directory."""
        return await asyncio.to_thread(self._owned.is_in_place)

    async def append(self, records: Sequence[bytes]) -> None:
        """Make *records*, of which there must be some, durable in one transaction.

        Raises:
            sqlite3.Error: none of them is known to be kept, and the segment must be abandoned.
        """
        first = self._owned.checkpoint.committed + 1
        rows, places = bytearray(), []
        for seq, record in enumerate(records, first):
            start = len(rows)
            rows += frame(seq, record)
            places.append(start * PLACE + len(rows) - start)
            if not len(places) % FRAMED_CLICKS and len(records) < HURRY_CLICKS:
                await asyncio.sleep(0)
        await self._connection.execute_fetchall(INSERT, (first, rows, str(places), PLACE))
        self.bytes += sum(map(len, records)) + ROW_OVERHEAD_BYTES * len(records)
        oldest_at = self._owned.checkpoint.oldest_at if self.pending else clicked_at(records[0])
        await self._write_checkpoint(committed=first + len(records) - 1, oldest_at=oldest_at)
        self._recent.extend(records)
        self.written_at = time.monotonic()

    async def read(self, max_clicks: int) -> tuple[int, tuple[bytes, ...]]:
        """Give the oldest pending records, of which there must be some, and the sequence number of the last.

        A reader that keeps up gets them from memory.

        Raises:
            sqlite3.Error: the file cannot be read.
            DamagedFrame: a row is missing, or not what was written.
        """
        acked = self._owned.checkpoint.acked
        last = acked + min(max_clicks, self.pending)
        skipped = acked - (self._owned.checkpoint.committed - len(self._recent))
        if skipped >= 0:
            return last, tuple(islice(self._recent, skipped, skipped + last - acked))
        rows = list(await self._connection.execute_fetchall(SELECT, (acked, max_clicks)))
        if len(rows) != last - acked or rows[-1][0] != last:
            raise DamagedFrame(f"row {last} of a segment is not where it was")
        return last, tuple([record for _, record in rows])

    async def ack(self, seq: int, oldest_at: int) -> None:
        """Forget everything up to *seq*; what is left is no older than *oldest_at*."""
        await self._write_checkpoint(acked=max(seq, self._owned.checkpoint.acked), oldest_at=oldest_at)

    async def _write_checkpoint(self, **changes: int) -> None:
        await asyncio.to_thread(self._owned.write_checkpoint, **changes)

    async def close(self) -> None:
        """Let go of the segment, and remove it when nothing in it is pending.

        Its disk may be broken: this raises nothing. A cancelled caller does not stop it.
        """
        await asyncio.shield(self._close())

    async def _close(self) -> None:
        with contextlib.suppress(sqlite3.Error, ValueError):
            await self._connection.close()
        await asyncio.to_thread(self._owned.release if self.pending else self._owned.remove)


def _read_row(_: sqlite3.Cursor, row: tuple[int, bytes]) -> tuple[int, bytes]:
    """Check a row in the connection's thread, where it holds up no redirect."""
    return row[0], read_frame(*row)


async def create_segment(directory: Path) -> Segment:
    """Make a new segment in *directory*, which is made too if it is gone.

    Raises:
        OSError, sqlite3.Error: it cannot be made; nothing is left behind.
    """
    owned = await asyncio.to_thread(_claim_new, directory)
    connection = aiosqlite.connect(owned.database, isolation_level=None)
    try:
        await connection
        await connection.executescript(BEFORE_WAL)
        mode = await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        if [tuple(row) for row in mode] != [("wal",)]:
            raise sqlite3.OperationalError("no write-ahead log here")
        await connection.executescript(AFTER_WAL)
    except BaseException:
        with contextlib.suppress(sqlite3.Error, ValueError):
            await connection.close()
        owned.remove()
        raise
    return Segment(owned, connection)


def _claim_new(directory: Path) -> Claim:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Another process may take the new lock file for an abandoned one before we hold it.
    while (owned := claim(directory, new_name())) is None:
        pass
    try:
        owned.write_checkpoint()
        os.close(os.open(owned.database, os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite alone would let everybody read it
    except BaseException:
        owned.remove()
        raise
    return owned

"""One SQLite file of central: its connections, and transactions on them.

Promise: what a transaction returned from is on the disk (WAL, `synchronous=FULL`). Writing has one connection and one
transaction a batch; each question has a connection of its own, sees the last whole batch and holds up nobody.
"""

import asyncio
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from linkrouter.central.store.sql.database import Lock, SqlConnection, SqlDatabase, Work
from linkrouter.central.store.sqlite.connection import SqliteThread
from linkrouter.central.store.sqlite.schema import migrate
from linkrouter.errors import SettingsError, StoreError, StoreFull

__all__ = ["SqliteDatabase"]

_Result = TypeVar("_Result")
LOCK_WAIT_S = 5
READ_DEADLINE_S = 30
MAX_READERS = 4  # questions at once; each is a thread and a cache
MAX_LOG_BYTES = 256 * 1024**2  # of the write-ahead log; then questions make way for a moment
LOG_LOOK_S = 5.0  # between two looks at its size

# The link index grows at random places, so each click dirties a page of its own: a larger cache and a rarer
# checkpoint take a fifth off the cost of a click (measured at 400,000 clicks).
CACHE = "PRAGMA cache_size = -32768"  # KiB
EMPTY_LOG = "PRAGMA wal_checkpoint(TRUNCATE)"
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    CACHE,
    "PRAGMA wal_autocheckpoint = 8192",  # pages of 4 KiB
    "PRAGMA journal_size_limit = 67108864",  # a WAL that a long question let grow shrinks to that again
)


class SqliteDatabase(SqlDatabase):
    """The file *path*; a question ends after *read_deadline_s*, the wait for another's lock after *lock_wait_s*."""

    def __init__(
        self,
        path: Path,
        *,
        read_deadline_s: float = READ_DEADLINE_S,
        lock_wait_s: float = LOCK_WAIT_S,
        max_log_bytes: int = MAX_LOG_BYTES,
        log_look_s: float = LOG_LOOK_S,
    ) -> None:
        self._path = path
        self._max_log_bytes = max_log_bytes
        self._log_look_s = log_look_s
        self._log_keeper: asyncio.Task[None] | None = None
        self._read_deadline_s = read_deadline_s
        self._lock_wait_s = lock_wait_s
        self._writer: SqliteThread | None = None
        self._writing = asyncio.Lock()
        self._readers: list[SqliteThread] = []  # idle ones
        self._reading = asyncio.Semaphore(MAX_READERS)

    async def open(self) -> None:
        """See `CentralStore`; the file is made if there is none, readable by its owner alone."""
        try:
            # Made before SQLite would make it readable by all, and opened before a thread is started in vain.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._writer = await self._connect()
            self._log_keeper = asyncio.create_task(self._keep_log_short())
        except (OSError, sqlite3.Error) as exc:
            await self.close()
            raise SettingsError(f"DATABASE: {str(self._path)!r} {_cure(exc)}") from exc
        except BaseException:
            await self.close()  # an open connection is a thread that keeps the process from ending
            raise

    async def _connect(self) -> SqliteThread:
        writer = SqliteThread()
        try:
            await writer.open(self._path, self._lock_wait_s, _set_up_writer)
        except SettingsError as exc:
            raise SettingsError(f"DATABASE: {str(self._path)!r} {exc}") from exc
        return writer

    async def _new_reader(self) -> SqliteThread:
        reader = SqliteThread()
        await reader.open(self._path, self._lock_wait_s, _set_up_reader)
        return reader

    async def empty_journal(self) -> None:
        """Move the write-ahead log into the file and empty it, so that it holds nothing that was taken away."""
        async with self._writing:
            if self._writer is not None:
                await self._writer.execute(EMPTY_LOG)

    async def _keep_log_short(self) -> None:
        """Empty the log when it is large. Questions that follow each other without a gap would let it grow for ever."""
        while True:
            await asyncio.sleep(self._log_look_s)
            if self.journal_size() > self._max_log_bytes:
                with suppress(sqlite3.Error):  # a full disk; at the next look it is tried again
                    await self._shorten_log()

    async def _shorten_log(self) -> None:
        """Empty the log once the questions that run have ended, by their deadline at the latest; new ones wait."""
        held = 0
        try:
            for _ in range(MAX_READERS):
                await self._reading.acquire()
                held += 1
            async with self._writing:
                if self._writer is not None:  # clicks must not wait for a reader of another process
                    wait_again = f"PRAGMA busy_timeout = {int(self._lock_wait_s * 1000)}"
                    await self._writer.execute("PRAGMA busy_timeout = 0", EMPTY_LOG, wait_again)
        finally:
            for _ in range(held):
                self._reading.release()

    async def keep_no_copies(self) -> None:
        """Overwrite from now on what is taken away."""
        async with self._writing:
            if self._writer is not None:
                await self._writer.execute("PRAGMA secure_delete = ON")

    def size(self) -> int:
        """Give the size of the file with its write-ahead log, in bytes."""
        return _size(self._path) + self.journal_size()

    def journal_size(self) -> int:
        """Give the size of the write-ahead log, in bytes."""
        return _size(self._path.with_name(self._path.name + "-wal"))

    def free_bytes(self) -> int | None:
        """Give the free space of its disk, in bytes."""
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize

    async def check(self) -> None:
        """See `CentralStore`; takes the write lock of the file and lets it go."""
        await self.transact(_do_nothing)

    async def close(self) -> None:
        """See `CentralStore`."""
        keeper, self._log_keeper = self._log_keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        readers, self._readers = self._readers, []
        writer, self._writer = self._writer, None
        for connection in (*readers, *((writer,) if writer is not None else ())):
            await connection.close()

    async def transact(self, work: Work[_Result], lock: Lock = Lock.NUMBERS) -> _Result:  # the file has one lock
        """See `SqlDatabase`."""
        async with self._writing:
            if self._writer is None:
                raise StoreError("the database is closed")
            try:
                return await self._writer.transact("BEGIN IMMEDIATE", work)
            except sqlite3.Error as exc:
                raise store_error(exc) from exc

    async def ask(self, work: Work[_Result]) -> _Result:
        """See `SqlDatabase`.

        Each question has a connection of its own, up to `MAX_READERS`, so that a slow one does not hold up another.
        """
        if self._writer is None:
            raise StoreError("the database is closed")
        try:
            async with asyncio.timeout(self._read_deadline_s), self._reading:
                reader = self._readers.pop() if self._readers else await self._new_reader()
                try:
                    return await reader.ask(work)
                finally:
                    await self._give_back(reader)
        except TimeoutError as exc:
            raise StoreError("the question takes too long; ask for a shorter time") from exc
        except sqlite3.Error as exc:
            raise store_error(exc) from exc

    async def _give_back(self, reader: SqliteThread) -> None:
        """Keep *reader* for the next question, or close it when the database is closed."""
        if self._writer is None:
            await reader.close()
        else:
            self._readers.append(reader)


async def _do_nothing(connection: SqlConnection) -> None:
    pass


def _set_up_writer(own: sqlite3.Connection) -> None:
    migrate(own)
    for pragma in PRAGMAS:  # after it is known to be a file of ours
        own.execute(pragma).fetchall()


def _set_up_reader(own: sqlite3.Connection) -> None:
    own.execute(CACHE)
    own.execute("PRAGMA query_only = ON")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def store_error(exc: sqlite3.Error) -> StoreError:
    code = getattr(exc, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull("the database's disk is full")
    return StoreError(f"the database does not answer ({getattr(exc, 'sqlite_errorname', type(exc).__name__)})")


def _cure(exc: OSError | sqlite3.Error) -> str:
    if isinstance(exc, OSError):
        return f"cannot be opened ({exc.strerror}); name a file in a directory that exists and can be written"
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "is locked by another process; stop that one, or name another file"
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return "is not a sound SQLite database; restore it from a backup, or name another file"
    return f"cannot be opened ({getattr(exc, 'sqlite_errorname', 'unknown')}); name a file that can be written"

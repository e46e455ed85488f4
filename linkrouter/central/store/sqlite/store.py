"""The central store in one SQLite file: all that one machine needs.

Promise: what a call returned from is on the disk (WAL, `synchronous=FULL`). Writing has one connection and one
transaction a batch; reading has another connection, which sees the last whole batch and holds up nobody.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from linkrouter.central.store.interface import (
    ClickCounts,
    ClickFilter,
    FoundClick,
    Kept,
    Loss,
    Message,
    Position,
)
from linkrouter.clicks.click import Click
from linkrouter.errors import SettingsError, StoreError, StoreFull

__all__ = ["SqliteStore", "open_store"]

APPLICATION_ID = 0x6C6B6331  # "lkc1": a file of something else is refused, not written to
SCHEMA_VERSION = 1
LOCK_WAIT_S = 5
READ_DEADLINE_S = 30

# The link index grows at random places, so each click dirties a page of its own: a larger cache and a rarer
# checkpoint take a fifth off the cost of a click (measured at 400,000 clicks).
CACHE = "PRAGMA cache_size = -32768"  # KiB
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    CACHE,
    "PRAGMA wal_autocheckpoint = 8192",  # pages of 4 KiB
)

# clicks_by_time holds all that the statistics read: they never touch the table.
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS clicks (
    id TEXT PRIMARY KEY, link_id TEXT NOT NULL, tenant INTEGER NOT NULL, part TEXT NOT NULL,
    clicked_at INTEGER NOT NULL, ip TEXT, user_agent TEXT, kind TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS clicks_by_time ON clicks (clicked_at, id, kind, part, link_id, tenant);
CREATE INDEX IF NOT EXISTS clicks_by_link ON clicks (link_id, tenant);
CREATE TABLE IF NOT EXISTS messages (
    message_id TEXT PRIMARY KEY, digest BLOB NOT NULL, tenant INTEGER NOT NULL, sent_at INTEGER NOT NULL,
    recipient TEXT, tag TEXT, metadata TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_tag ON messages (tag) WHERE tag IS NOT NULL;
CREATE TABLE IF NOT EXISTS links (
    link_id TEXT NOT NULL, tenant INTEGER NOT NULL, message_id TEXT NOT NULL, url TEXT NOT NULL,
    part TEXT NOT NULL, position INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS links_by_id ON links (link_id, tenant);
CREATE INDEX IF NOT EXISTS links_by_message ON links (message_id);
CREATE TABLE IF NOT EXISTS losses (
    id TEXT PRIMARY KEY, router TEXT NOT NULL, reason TEXT NOT NULL, clicks INTEGER NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL
) STRICT;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""

ADD_CLICK = """
INSERT INTO clicks (id, link_id, tenant, part, clicked_at, ip, user_agent, kind)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
ADD_LOSS = """
INSERT INTO losses (id, router, reason, clicks, since, until) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
ADD_MESSAGE = """
INSERT INTO messages (message_id, digest, tenant, sent_at, recipient, tag, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
SAME_MESSAGE = "SELECT 1 FROM messages WHERE message_id = ? AND digest = ?"
ADD_LINK = "INSERT INTO links (link_id, tenant, message_id, url, part, position) VALUES (?, ?, ?, ?, ?, ?)"
LINK_OF_ANOTHER = """
SELECT 1 FROM links AS mine JOIN links AS other USING (link_id, tenant)
WHERE mine.message_id = ? AND other.message_id <> mine.message_id LIMIT 1
"""

# A filter that is NULL must not stand in the statement at all, or no index would serve the others.
CONDITIONS = {
    "link_id": "clicks.link_id = :link_id",
    "tenant": "clicks.tenant = :tenant",
    "since": "clicks.clicked_at >= :since",
    "until": "clicks.clicked_at < :until",
    "message_id": """(clicks.link_id, clicks.tenant) IN (
        SELECT link_id, tenant FROM links WHERE message_id = :message_id)""",
    "tag": """(clicks.link_id, clicks.tenant) IN (
        SELECT link_id, links.tenant FROM messages JOIN links USING (message_id) WHERE tag = :tag)""",
}
BEHIND = "(clicks.clicked_at, clicks.id) < (:after_time, :after_id)"
FIND_CLICKS = """
SELECT id, clicks.link_id, clicks.tenant, clicks.part, clicked_at, ip, user_agent, kind,
    messages.message_id, recipient, tag,
    (SELECT url FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant
        AND links.part = clicks.part ORDER BY position LIMIT 1)
FROM clicks LEFT JOIN messages ON messages.message_id = (
    SELECT message_id FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant LIMIT 1)
{where} ORDER BY clicked_at DESC, id DESC LIMIT :limit
"""
COUNT_CLICKS = """
SELECT kind, part, count(*), min(clicked_at), max(clicked_at) FROM clicks {where} GROUP BY kind, part
"""
# The plus signs keep SQLite from walking the whole link index for the DISTINCT when a filter leaves little to count.
COUNT_LINKS = "SELECT count(*) FROM (SELECT DISTINCT +link_id, +tenant FROM clicks {where})"
COUNT_MISSING = """
SELECT reason, sum(clicks), min(since), max(until) FROM losses
WHERE until >= coalesce(:since, until) AND since < coalesce(:until, since + 1) GROUP BY reason
"""


def open_store(url: str) -> "SqliteStore":
    """Give the store for `sqlite:///relative/path` or `sqlite:////absolute/path`.

    Raises:
        SettingsError: *url* names no file.
    """
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.endswith("/"):
        raise SettingsError(
            "DATABASE: the URL must be sqlite:///FILE, with a fourth slash when FILE starts at the root"
        )
    return SqliteStore(Path(path))


class SqliteStore:
    """A `CentralStore` in the file *path*."""

    def __init__(
        self, path: Path, *, read_deadline_s: float = READ_DEADLINE_S, lock_wait_s: float = LOCK_WAIT_S
    ) -> None:
        self._path = path
        self._read_deadline_s = read_deadline_s
        self._lock_wait_s = lock_wait_s
        self._writer: aiosqlite.Connection | None = None
        self._reader: aiosqlite.Connection | None = None
        self._writing = asyncio.Lock()
        self._reading = asyncio.Lock()

    async def open(self) -> None:
        """See `CentralStore`; the file is made if there is none, readable by its owner alone."""
        try:
            # Made before SQLite would make it readable by all, and opened before a thread is started in vain.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._writer = await self._connect()
            await self._set_up(self._writer)
            self._reader = await self._connect()
            await self._reader.execute(CACHE)
            await self._reader.execute("PRAGMA query_only = ON")
        except (OSError, sqlite3.Error) as exc:
            await self.close()
            raise SettingsError(f"DATABASE: {str(self._path)!r} {_cure(exc)}") from exc
        except BaseException:
            await self.close()  # an open connection is a thread that keeps the process from ending
            raise

    async def _connect(self) -> aiosqlite.Connection:
        return await aiosqlite.connect(self._path, isolation_level=None, timeout=self._lock_wait_s)

    async def _set_up(self, writer: aiosqlite.Connection) -> None:
        tables = await _one(writer, "SELECT count(*) FROM sqlite_schema")
        application_id = await _one(writer, "PRAGMA application_id")
        version = await _one(writer, "PRAGMA user_version")
        if (tables or application_id) and (application_id, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise SettingsError(
                f"DATABASE: {str(self._path)!r} is a database of another program or version; name another file"
            )
        for pragma in PRAGMAS:
            await writer.execute(pragma)
        await writer.executescript(SCHEMA)

    async def add_clicks(self, clicks: Sequence[Click], losses: Sequence[Loss] = ()) -> int:
        """See `CentralStore`."""
        if not clicks and not losses:
            return 0
        async with self._transaction() as writer:
            cursor = await writer.executemany(ADD_CLICK, clicks)
            if losses:
                await writer.executemany(ADD_LOSS, losses)
        return max(cursor.rowcount, 0)  # -1 when there were no clicks

    async def add_message(self, message: Message) -> Kept:
        """See `CentralStore`."""
        row = (message.message_id, message.digest, message.tenant, message.sent_at, message.recipient, message.tag)
        links = [
            (link.link_id, message.tenant, message.message_id, link.url, link.part, link.position)
            for link in message.links
        ]
        async with self._transaction() as writer:
            cursor = await writer.execute(ADD_MESSAGE, (*row, json.dumps(dict(message.metadata))))
            if cursor.rowcount == 0:
                same = await _one(writer, SAME_MESSAGE, (message.message_id, message.digest))
                return "known" if same else "conflict"
            await writer.executemany(ADD_LINK, links)
            if await _one(writer, LINK_OF_ANOTHER, (message.message_id,)):
                await writer.rollback()
                return "conflict"
        return "stored"

    async def find_clicks(self, asked: ClickFilter, after: Position | None, limit: int) -> list[FoundClick]:
        """See `CentralStore`."""
        where, values = _where(asked, [BEHIND] if after else [])
        values["limit"] = limit
        if after:
            values |= {"after_time": after.clicked_at, "after_id": after.id}
        async with self._snapshot() as reader:
            rows = await reader.execute_fetchall(FIND_CLICKS.format(where=where), values)
        return [FoundClick(Click._make(row[:8]), *row[8:]) for row in rows]

    async def count_clicks(self, asked: ClickFilter) -> ClickCounts:
        """See `CentralStore`."""
        where, values = _where(asked)
        only_clicks, _ = _where(asked, ["clicks.kind = 'click'"])
        async with self._snapshot() as reader:
            counts = list(await reader.execute_fetchall(COUNT_CLICKS.format(where=where), values))
            unique = await _one(reader, COUNT_LINKS.format(where=only_clicks), values)
            missing = list(await reader.execute_fetchall(COUNT_MISSING, {"since": asked.since, "until": asked.until}))
        clicked = [(first, last) for kind, _, _, first, last in counts if kind == "click"]
        return ClickCounts(
            by={(kind, part): number for kind, part, number, _, _ in counts},
            unique=unique,
            first=min((first for first, _ in clicked), default=None),
            last=max((last for _, last in clicked), default=None),
            missing={reason: number for reason, number, _, _ in missing},
            missing_since=min((since for _, _, since, _ in missing), default=None),
            missing_until=max((until for _, _, _, until in missing), default=None),
        )

    async def check(self) -> None:
        """See `CentralStore`; takes the write lock of the file and lets it go."""
        async with self._transaction():
            pass

    async def close(self) -> None:
        """See `CentralStore`."""
        reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        for connection in (reader, writer):
            if connection is not None:
                await connection.close()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Give the writer inside a transaction: committed at the end, and rolled back by whatever goes wrong."""
        async with self._writing:
            if self._writer is None:
                raise StoreError("the database is closed")
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                await self._writer.commit()
            except BaseException as exc:
                await _undo(self._writer)
                if isinstance(exc, sqlite3.Error):
                    raise _store_error(exc) from exc
                raise

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        """Give the reader inside a transaction, so that several queries see one state, and not for ever."""
        async with self._reading:
            if self._reader is None:
                raise StoreError("the database is closed")
            try:
                async with asyncio.timeout(self._read_deadline_s):
                    await self._reader.execute("BEGIN")
                    yield self._reader
            except TimeoutError as exc:
                await self._reader.interrupt()
                raise StoreError("the question takes too long; ask for a shorter time") from exc
            except sqlite3.Error as exc:
                raise _store_error(exc) from exc
            finally:
                await _undo(self._reader)


async def _undo(connection: aiosqlite.Connection) -> None:
    """Roll back. A connection keeps the order of its calls, so a cancelled statement has ended before this runs."""
    try:
        await asyncio.shield(connection.rollback())
    except sqlite3.Error:
        pass  # the error that led here is on its way already


async def _one(connection: aiosqlite.Connection, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> Any:
    row = next(iter(await connection.execute_fetchall(sql, values)), None)
    return row[0] if row else None


def _where(asked: ClickFilter, more: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    values = {name: getattr(asked, name) for name in CONDITIONS if getattr(asked, name) is not None}
    conditions = [CONDITIONS[name] for name in values] + list(more)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _store_error(exc: sqlite3.Error) -> StoreError:
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

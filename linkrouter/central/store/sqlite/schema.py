"""The tables of central in SQLite, and how an older file becomes one of today.

Promise: each step of `MIGRATIONS` is one transaction and runs once; a file that a newer linkrouter wrote is refused,
not read in half.
"""

import aiosqlite

from linkrouter.errors import SettingsError

__all__ = ["CENTRAL_APPLICATION_ID", "MIGRATIONS", "migrate"]

CENTRAL_APPLICATION_ID = 0x6C6B6331  # "lkc1": a file of something else is refused, not written to

# Step N makes version N of version N - 1. clicks_by_time holds all that the statistics read: they skip the table.
MIGRATIONS = (
    """
    CREATE TABLE clicks (
        id TEXT PRIMARY KEY, link_id TEXT NOT NULL, tenant INTEGER NOT NULL, part TEXT NOT NULL,
        clicked_at INTEGER NOT NULL, ip TEXT, user_agent TEXT, kind TEXT NOT NULL
    ) STRICT;
    CREATE INDEX clicks_by_time ON clicks (clicked_at, id, kind, part, link_id, tenant);
    CREATE INDEX clicks_by_link ON clicks (link_id, tenant);
    CREATE TABLE messages (
        message_id TEXT PRIMARY KEY, digest BLOB NOT NULL, tenant INTEGER NOT NULL, sent_at INTEGER NOT NULL,
        recipient TEXT, tag TEXT, metadata TEXT NOT NULL
    ) STRICT;
    CREATE INDEX messages_by_tag ON messages (tag) WHERE tag IS NOT NULL;
    CREATE TABLE links (
        link_id TEXT NOT NULL, tenant INTEGER NOT NULL, message_id TEXT NOT NULL, url TEXT NOT NULL,
        part TEXT NOT NULL, position INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX links_by_id ON links (link_id, tenant);
    CREATE INDEX links_by_message ON links (message_id);
    CREATE TABLE losses (
        id TEXT PRIMARY KEY, router TEXT NOT NULL, reason TEXT NOT NULL, clicks INTEGER NOT NULL,
        since INTEGER NOT NULL, until INTEGER NOT NULL
    ) STRICT;
    """,
)


async def migrate(writer: aiosqlite.Connection) -> None:
    """Make the database of *writer*, which may be empty, one of the newest version, in one transaction.

    Raises:
        SettingsError: it is of another program, or of a newer version; the message is the rest of a sentence.
    """
    await writer.execute("BEGIN IMMEDIATE")  # whoever opens the file at the same time waits, and finds it done
    try:
        version = await _known_version(writer)
        for step in MIGRATIONS[version:]:
            for statement in step.split(";"):
                await writer.execute(statement)
        await writer.execute(f"PRAGMA application_id = {CENTRAL_APPLICATION_ID}")
        await writer.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        await writer.commit()
    except BaseException:
        await writer.rollback()
        raise


async def _known_version(writer: aiosqlite.Connection) -> int:
    tables = await _number(writer, "SELECT count(*) FROM sqlite_schema")
    application_id = await _number(writer, "PRAGMA application_id")
    version = await _number(writer, "PRAGMA user_version")
    if (tables or application_id) and application_id != CENTRAL_APPLICATION_ID:
        raise SettingsError("is a database of another program; name another file")
    if version > len(MIGRATIONS):
        raise SettingsError(
            f"has version {version} and this linkrouter knows {len(MIGRATIONS)}: run the newer one, or restore a backup"
        )
    return version


async def _number(connection: aiosqlite.Connection, sql: str) -> int:
    [row] = await connection.execute_fetchall(sql)
    return int(row[0])

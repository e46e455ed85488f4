"""The tables of central in SQLite, and how an older file becomes one of today.

Promise: each step of `MIGRATIONS` is one transaction and runs once; a file that a newer linkrouter wrote is refused,
not read in half.
"""

import sqlite3

from linkrouter.errors import SettingsError

__all__ = ["CENTRAL_APPLICATION_ID", "MIGRATIONS", "migrate"]

CENTRAL_APPLICATION_ID = 0x6C6B6331  # "lkc1": a file of something else is refused, not written to

# Step N makes version N of version N - 1.
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
    # Clicks and messages get numbers of their own: labels hang on them, and VACUUM may change those that SQLite gives.
    """
    ALTER TABLE clicks RENAME TO clicks_1;
    DROP INDEX clicks_by_time;
    DROP INDEX clicks_by_link;
    CREATE TABLE clicks (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, link_id TEXT NOT NULL, tenant INTEGER NOT NULL,
        part TEXT NOT NULL, clicked_at INTEGER NOT NULL, ip TEXT, user_agent TEXT, kind TEXT NOT NULL
    ) STRICT;
    INSERT INTO clicks (id, link_id, tenant, part, clicked_at, ip, user_agent, kind)
        SELECT id, link_id, tenant, part, clicked_at, ip, user_agent, kind FROM clicks_1 ORDER BY rowid;
    DROP TABLE clicks_1;
    CREATE INDEX clicks_by_time ON clicks (clicked_at, id);
    CREATE INDEX clicks_by_link ON clicks (link_id, tenant, clicked_at);
    ALTER TABLE messages RENAME TO messages_1;
    ALTER TABLE links RENAME TO links_1;
    DROP INDEX messages_by_tag;
    DROP INDEX links_by_id;
    DROP INDEX links_by_message;
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, tenant INTEGER NOT NULL, digest BLOB NOT NULL,
        sent_at INTEGER NOT NULL, recipient TEXT, tag TEXT, metadata TEXT NOT NULL, message_key TEXT,
        withheld INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO messages (message_id, tenant, digest, sent_at, recipient, tag, metadata)
        SELECT message_id, tenant, digest, sent_at, recipient, tag, metadata FROM messages_1 ORDER BY rowid;
    CREATE UNIQUE INDEX messages_by_id ON messages (message_id, tenant);
    CREATE INDEX messages_by_tag ON messages (tag, sent_at) WHERE tag IS NOT NULL;
    CREATE INDEX messages_by_recipient ON messages (recipient COLLATE NOCASE) WHERE recipient IS NOT NULL;
    CREATE INDEX messages_by_time ON messages (sent_at);
    CREATE TABLE htmls (message INTEGER PRIMARY KEY, html TEXT NOT NULL) STRICT;
    CREATE TABLE withheld (recipient BLOB NOT NULL, tenant INTEGER NOT NULL, PRIMARY KEY (recipient, tenant))
        STRICT, WITHOUT ROWID;
    CREATE TABLE withheld_links (link_id TEXT NOT NULL, tenant INTEGER NOT NULL, PRIMARY KEY (link_id, tenant))
        STRICT, WITHOUT ROWID;
    CREATE TABLE routers (
        router TEXT NOT NULL, worker INTEGER NOT NULL, seen_at INTEGER NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (router, worker)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE links (
        link_id TEXT NOT NULL, tenant INTEGER NOT NULL, message INTEGER NOT NULL, url TEXT NOT NULL, part TEXT NOT NULL,
        position INTEGER NOT NULL, trap INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO links (link_id, tenant, message, url, part, position)
        SELECT old.link_id, old.tenant, messages.seq, old.url, old.part, old.position
        FROM links_1 AS old JOIN messages ON messages.message_id = old.message_id AND messages.tenant = old.tenant
        ORDER BY old.rowid;
    DROP TABLE links_1;
    DROP TABLE messages_1;
    CREATE INDEX links_by_id ON links (link_id, tenant);
    CREATE INDEX links_by_message ON links (message);
    CREATE TABLE words (number INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE) STRICT;
    INSERT INTO words (number, word) VALUES (0, '');
    CREATE TABLE labels (
        seq INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, clicked_at INTEGER NOT NULL, message INTEGER NOT NULL,
        tag INTEGER NOT NULL, part INTEGER NOT NULL, kind INTEGER NOT NULL, browser INTEGER NOT NULL,
        os INTEGER NOT NULL, platform INTEGER NOT NULL, country INTEGER NOT NULL, region INTEGER NOT NULL,
        city INTEGER NOT NULL, url INTEGER NOT NULL, robot INTEGER NOT NULL, reason INTEGER NOT NULL,
        reasons INTEGER NOT NULL, version INTEGER NOT NULL, is_first INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX labels_by_time ON labels (clicked_at);
    CREATE INDEX labels_by_message ON labels (message) WHERE message > 0;
    CREATE TABLE firsts (
        link_id TEXT NOT NULL, tenant INTEGER NOT NULL, clicked_at INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (link_id, tenant)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE roll_ups (
        tenant INTEGER NOT NULL, tag INTEGER NOT NULL, dimension INTEGER NOT NULL, span INTEGER NOT NULL,
        bucket INTEGER NOT NULL, value INTEGER NOT NULL, part INTEGER NOT NULL, robot INTEGER NOT NULL,
        clicks INTEGER NOT NULL, uniques INTEGER NOT NULL,
        PRIMARY KEY (tenant, tag, dimension, span, bucket, value, part, robot)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE to_label (link_id TEXT NOT NULL, tenant INTEGER NOT NULL, PRIMARY KEY (link_id, tenant))
        STRICT, WITHOUT ROWID;
    CREATE TABLE progress (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO progress (name, seq) VALUES ('labelled', 0)
    """,
    # What labels are filtered and counted by stands in the index of their times: nothing else is read for it.
    """
    DROP INDEX labels_by_time;
    CREATE INDEX labels_by_time ON labels (
        clicked_at, tenant, tag, url, part, kind, browser, os, platform, country, region, city, robot, reason, is_first
    )
    """,
    # Take-backs are kept for good: their numbers, by which routers read on, never come again.
    """
    CREATE TABLE take_backs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tenant INTEGER NOT NULL, match TEXT NOT NULL,
        action TEXT NOT NULL, "to" TEXT NOT NULL, at INTEGER NOT NULL, key INTEGER NOT NULL, tag TEXT NOT NULL,
        added_at INTEGER NOT NULL, added_by TEXT NOT NULL
    ) STRICT;
    CREATE INDEX take_backs_by_match ON take_backs (match, at);
    CREATE TABLE take_back_readers (router TEXT PRIMARY KEY, seq INTEGER NOT NULL, seen_at INTEGER NOT NULL)
        STRICT, WITHOUT ROWID;
    ALTER TABLE clicks ADD COLUMN takeback TEXT;
    CREATE INDEX clicks_by_takeback ON clicks (takeback) WHERE takeback IS NOT NULL
    """,
    # The outbox of clicks is `clicks` itself, by number; a delivery has a row from its first attempt on.
    """
    CREATE TABLE webhooks (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tenant INTEGER, url TEXT NOT NULL,
        types TEXT NOT NULL, dialect TEXT NOT NULL, tag TEXT, robots TEXT NOT NULL, settled INTEGER NOT NULL,
        secret TEXT NOT NULL, old_secret TEXT, old_until INTEGER NOT NULL, created_at INTEGER NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL, failures INTEGER NOT NULL, failing_since INTEGER,
        paused_until INTEGER NOT NULL, first_click INTEGER NOT NULL, after_click INTEGER NOT NULL,
        after_relabelled INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE relabelled (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, click INTEGER NOT NULL, at INTEGER NOT NULL, was INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE deliveries (
        webhook INTEGER NOT NULL, log INTEGER NOT NULL, number INTEGER NOT NULL, event_id TEXT NOT NULL,
        type TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, status INTEGER, error TEXT,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, next_at INTEGER,
        PRIMARY KEY (webhook, log, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deliveries_by_time ON deliveries (webhook, first_at, log, number);
    CREATE INDEX deliveries_due ON deliveries (webhook, next_at) WHERE next_at IS NOT NULL
    """,
    # Destinations that are looked at after they were sent; their state and the events made of it change together.
    """
    CREATE TABLE watched_links (
        tenant INTEGER NOT NULL, url TEXT NOT NULL, anchored_at INTEGER NOT NULL, sent_at INTEGER NOT NULL,
        messages INTEGER NOT NULL, clicks INTEGER NOT NULL, standing TEXT NOT NULL DEFAULT 'new',
        doubted INTEGER NOT NULL DEFAULT 0, verdict TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
        looks INTEGER NOT NULL DEFAULT 0, looked_at INTEGER, changed_at INTEGER, due_at INTEGER,
        PRIMARY KEY (tenant, url)
    ) STRICT;
    CREATE INDEX watched_links_by_look ON watched_links (due_at, clicks) WHERE due_at IS NOT NULL;
    CREATE INDEX watched_links_by_age ON watched_links (sent_at);
    CREATE INDEX watched_links_by_change ON watched_links (changed_at) WHERE changed_at IS NOT NULL;
    CREATE TABLE link_events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, at INTEGER NOT NULL,
        tenant INTEGER NOT NULL, url TEXT NOT NULL, reason TEXT NOT NULL, messages INTEGER NOT NULL,
        clicks INTEGER NOT NULL, stop TEXT NOT NULL
    ) STRICT;
    CREATE INDEX link_events_by_link ON link_events (url, tenant);
    CREATE INDEX link_events_to_answer ON link_events (seq) WHERE stop = 'wanted'
    """,
    # Endpoints hear of watched destinations.
    """
    ALTER TABLE webhooks ADD COLUMN after_watched INTEGER NOT NULL DEFAULT 0;
    UPDATE webhooks SET after_watched = (SELECT coalesce(max(seq), 0) FROM link_events)
    """,
)


def migrate(writer: sqlite3.Connection) -> None:
    """Make the database of *writer*, which may be empty, one of the newest version, in one transaction.

    Raises:
        SettingsError: it is of another program, or of a newer version; the message is the rest of a sentence.
    """
    writer.execute("BEGIN IMMEDIATE")  # whoever opens the file at the same time waits, and finds it done
    try:
        version = _known_version(writer)
        for step in MIGRATIONS[version:]:
            for statement in step.split(";"):
                writer.execute(statement)
        writer.execute(f"PRAGMA application_id = {CENTRAL_APPLICATION_ID}")
        writer.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        writer.commit()
    except BaseException:
        writer.rollback()
        raise


def _known_version(writer: sqlite3.Connection) -> int:
    tables = _number(writer, "SELECT count(*) FROM sqlite_schema")
    application_id = _number(writer, "PRAGMA application_id")
    version = _number(writer, "PRAGMA user_version")
    if (tables or application_id) and application_id != CENTRAL_APPLICATION_ID:
        raise SettingsError("is a database of another program; name another file")
    if version > len(MIGRATIONS):
        raise SettingsError(
            f"has version {version} and this linkrouter knows {len(MIGRATIONS)}: run the newer one, or restore a backup"
        )
    return version


def _number(connection: sqlite3.Connection, sql: str) -> int:
    [row] = connection.execute(sql).fetchall()
    return int(row[0])

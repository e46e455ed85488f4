"""The registry in an SQLite file."""

import json
import sqlite3
from functools import partial

from linkrouter.central.store.records import Kept, Message
from linkrouter.central.store.sqlite.deliveries import SqliteWebhooks
from linkrouter.central.store.sqlite.messages import SqliteMessages
from linkrouter.central.store.sqlite.privacy import IS_WITHHELD, SqlitePrivacy, strip_message, withhold_digests
from linkrouter.central.store.sqlite.take_backs import SqliteTakeBacks
from linkrouter.central.store.sqlite.watch import SqliteWatch

__all__ = ["SqliteRegistry"]

ADD_MESSAGE = """
INSERT INTO messages (message_id, digest, tenant, sent_at, recipient, tag, metadata, message_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING seq
"""
SAME_MESSAGE = "SELECT 1 FROM messages WHERE message_id = ? AND tenant = ? AND digest = ?"
ADD_LINK = "INSERT INTO links (link_id, tenant, message, url, part, position, trap) VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_HTML = "INSERT INTO htmls (message, html) VALUES (?, ?)"
LINK_OF_ANOTHER = """
SELECT 1 FROM links AS mine JOIN links AS other USING (link_id, tenant)
WHERE mine.message = ? AND other.message <> mine.message LIMIT 1
"""
LABEL_AGAIN = """
INSERT OR IGNORE INTO to_label (link_id, tenant)
SELECT links.link_id, links.tenant FROM links WHERE message = ? AND EXISTS (
    SELECT 1 FROM clicks WHERE clicks.link_id = links.link_id AND clicks.tenant = links.tenant)
"""


class _ConflictError(Exception):
    """Another message has one of the links."""


class SqliteRegistry(SqliteMessages, SqlitePrivacy, SqliteTakeBacks, SqliteWatch, SqliteWebhooks):
    """A `Registry` in a file."""

    async def add_message(self, message: Message) -> Kept:
        """See `Registry`."""
        try:
            return await self.in_thread(partial(_add_message, message=message))
        except _ConflictError:
            return "conflict"


def _add_message(connection: sqlite3.Connection, message: Message) -> Kept:
    row = (message.message_id, message.digest, message.tenant, message.sent_at, message.recipient, message.tag)
    more = (json.dumps(dict(message.metadata)), message.message_key)
    added = connection.execute(ADD_MESSAGE, (*row, *more)).fetchone()
    if added is None:
        same = connection.execute(SAME_MESSAGE, (message.message_id, message.tenant, message.digest)).fetchone()
        return "known" if same else "conflict"
    [seq] = added
    links = [
        (link.link_id, message.tenant, seq, link.url, link.part, link.position, link.trap) for link in message.links
    ]
    connection.executemany(ADD_LINK, links)
    if connection.execute(LINK_OF_ANOTHER, (seq,)).fetchone():
        raise _ConflictError
    if message.html is not None:
        connection.execute(ADD_HTML, (seq, message.html))
    named = withhold_digests(message.recipient, message.tenant) if message.recipient is not None else None
    if named and connection.execute(IS_WITHHELD, named).fetchone():
        strip_message(connection, seq)
    connection.execute(LABEL_AGAIN, (seq,))
    return "stored"

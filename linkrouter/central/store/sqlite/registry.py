"""The registry in an SQLite file."""

import json

from linkrouter.central.store.interface import Kept, Message
from linkrouter.central.store.sqlite.database import SqliteDatabase, fetch_value

__all__ = ["SqliteRegistry"]

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


class SqliteRegistry(SqliteDatabase):
    """A `Registry` in a file."""

    async def add_message(self, message: Message) -> Kept:
        """See `Registry`."""
        row = (message.message_id, message.digest, message.tenant, message.sent_at, message.recipient, message.tag)
        links = [
            (link.link_id, message.tenant, message.message_id, link.url, link.part, link.position)
            for link in message.links
        ]
        async with self.transaction() as writer:
            cursor = await writer.execute(ADD_MESSAGE, (*row, json.dumps(dict(message.metadata))))
            if cursor.rowcount == 0:
                same = await fetch_value(writer, SAME_MESSAGE, (message.message_id, message.digest))
                return "known" if same else "conflict"
            await writer.executemany(ADD_LINK, links)
            if await fetch_value(writer, LINK_OF_ANOTHER, (message.message_id,)):
                await writer.rollback()
                return "conflict"
        return "stored"

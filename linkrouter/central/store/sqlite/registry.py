"""The registry in an SQLite file."""

import json

from linkrouter.central.store.interface import Kept, Message
from linkrouter.central.store.sqlite.database import SqliteDatabase, fetch_value

__all__ = ["SqliteRegistry"]

ADD_MESSAGE = """
INSERT INTO messages (message_id, digest, tenant, sent_at, recipient, tag, metadata, message_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING seq
"""
SAME_MESSAGE = "SELECT 1 FROM messages WHERE message_id = ? AND tenant = ? AND digest = ?"
ADD_LINK = "INSERT INTO links (link_id, tenant, message, url, part, position, trap) VALUES (?, ?, ?, ?, ?, ?, ?)"
LINK_OF_ANOTHER = """
SELECT 1 FROM links AS mine JOIN links AS other USING (link_id, tenant)
WHERE mine.message = ? AND other.message <> mine.message LIMIT 1
"""
LABEL_AGAIN = """
INSERT OR IGNORE INTO to_label (link_id, tenant)
SELECT links.link_id, links.tenant FROM links WHERE message = ? AND EXISTS (
    SELECT 1 FROM clicks WHERE clicks.link_id = links.link_id AND clicks.tenant = links.tenant)
"""


class SqliteRegistry(SqliteDatabase):
    """A `Registry` in a file."""

    async def add_message(self, message: Message) -> Kept:
        """See `Registry`."""
        row = (message.message_id, message.digest, message.tenant, message.sent_at, message.recipient, message.tag)
        more = (json.dumps(dict(message.metadata)), message.message_key)
        async with self.transaction() as writer:
            seq = await fetch_value(writer, ADD_MESSAGE, (*row, *more))
            if seq is None:
                same = await fetch_value(writer, SAME_MESSAGE, (message.message_id, message.tenant, message.digest))
                return "known" if same else "conflict"
            links = [
                (link.link_id, message.tenant, seq, link.url, link.part, link.position, link.trap)
                for link in message.links
            ]
            await writer.executemany(ADD_LINK, links)
            if await fetch_value(writer, LINK_OF_ANOTHER, (seq,)):
                await writer.rollback()
                return "conflict"
            await writer.execute(LABEL_AGAIN, (seq,))
        return "stored"

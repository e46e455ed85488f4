"""The registry in SQL."""

import json
from functools import partial

from linkrouter.central.store.records import Kept, Message
from linkrouter.central.store.sql.database import Lock, SqlConnection
from linkrouter.central.store.sql.deliveries import SqlWebhooks
from linkrouter.central.store.sql.messages import SqlMessages
from linkrouter.central.store.sql.privacy import IS_WITHHELD, SqlPrivacy, strip_message, withhold_digests
from linkrouter.central.store.sql.take_backs import SqlTakeBacks
from linkrouter.central.store.sql.watch import SqlWatch

__all__ = ["SqlRegistry", "add_message_in"]

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
INSERT INTO to_label (link_id, tenant)
SELECT DISTINCT links.link_id, links.tenant FROM links WHERE message = ? AND EXISTS (
    SELECT 1 FROM clicks WHERE clicks.link_id = links.link_id AND clicks.tenant = links.tenant)
ON CONFLICT DO NOTHING
"""


class _ConflictError(Exception):
    """Another message has one of the links."""


class _WithheldError(Exception):
    """What was told of the recipient is to be taken away, which needs both locks."""


class SqlRegistry(SqlMessages, SqlPrivacy, SqlTakeBacks, SqlWatch, SqlWebhooks):
    """A `Registry` in SQL."""

    async def add_message(self, message: Message) -> Kept:
        """See `Registry`."""
        try:
            try:
                return await self.transact(partial(add_message_in, message=message))
            except _WithheldError:
                stripping = partial(add_message_in, message=message, may_strip=True)
                return await self.transact(stripping, Lock.LABELS | Lock.NUMBERS)
        except _ConflictError:
            return "conflict"


async def add_message_in(writer: SqlConnection, message: Message, *, may_strip: bool = False) -> Kept:
    """Add *message* inside a transaction, which is to be rolled back where that raises anything."""
    row = (message.message_id, message.digest, message.tenant, message.sent_at, message.recipient, message.tag)
    more = (json.dumps(dict(message.metadata)), message.message_key)
    seq = await writer.fetch_value(ADD_MESSAGE, (*row, *more))
    if seq is None:
        same = await writer.fetch_value(SAME_MESSAGE, (message.message_id, message.tenant, message.digest))
        return "known" if same else "conflict"
    links = [
        (link.link_id, message.tenant, seq, link.url, link.part, link.position, link.trap) for link in message.links
    ]
    await writer.execute_many(ADD_LINK, links)
    if await writer.fetch_value(LINK_OF_ANOTHER, (seq,)):
        raise _ConflictError
    if message.html is not None:
        await writer.execute(ADD_HTML, (seq, message.html))
    if message.recipient is not None:
        digests = withhold_digests(message.recipient, message.tenant)
        if await writer.fetch_value(IS_WITHHELD, digests):
            if not may_strip:
                raise _WithheldError
            await strip_message(writer, seq)
    await writer.execute(LABEL_AGAIN, (seq,))
    return "stored"

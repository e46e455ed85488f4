"""Messages in SQL: found page by page, and what was clicked in them."""

import json
from collections.abc import Sequence
from typing import Any

from linkrouter.central.roll_ups import PARTS_BY_NUMBER, ROBOTS_BY_NUMBER
from linkrouter.central.store.questions import ClickFilter, MessageCounts, MessageFilter
from linkrouter.central.store.records import FoundMessage, LinkCell, MessageCell, MessageLink, MessagePosition
from linkrouter.central.store.sql.database import SqlConnection, SqlDatabase, in_snapshot
from linkrouter.central.store.sql.figures import label_where

__all__ = ["SqlMessages"]

FIND_MESSAGES = """
SELECT seq, message_id, tenant, sent_at, recipient, tag, metadata, message_key,
    (SELECT count(*) FROM links WHERE links.message = messages.seq AND trap = 0),
    EXISTS (SELECT 1 FROM htmls WHERE htmls.message = messages.seq), withheld
FROM messages {where} ORDER BY sent_at DESC, seq DESC LIMIT :limit
"""
COUNT_MESSAGES = """
SELECT count(*), count(*) FILTER (WHERE links > 0), CAST(coalesce(sum(links), 0) AS BIGINT) FROM (
    SELECT (SELECT count(*) FROM links WHERE links.message = messages.seq AND trap = 0) AS links FROM messages {where}
) AS found
"""
MESSAGE_CONDITIONS = {
    "message_id": "message_id = :message_id",
    "tag": "tag = :tag",
    "tenant": "tenant = :tenant",
    "recipient": "recipient = :recipient COLLATE NOCASE",
    "since": "sent_at >= :since",
    "until": "sent_at < :until",
}
BEHIND_MESSAGE = "(sent_at, seq) < (:after_time, :after_seq)"
LINKS = "SELECT link_id, url, part, position, trap FROM links WHERE message = ? ORDER BY part, position, rowid"
HTML = "SELECT html FROM htmls WHERE message = ?"
MESSAGE_CELLS = """
SELECT labels.message, labels.part, robot, count(*), sum(is_first), min(labels.clicked_at), max(labels.clicked_at)
FROM labels {where} GROUP BY labels.message, labels.part, robot
"""
LINK_CELLS = """
SELECT clicks.link_id, labels.part, robot, count(*), sum(is_first), min(labels.clicked_at), max(labels.clicked_at)
FROM labels JOIN clicks ON clicks.seq = labels.seq {where} GROUP BY clicks.link_id, labels.part, robot
"""
OF_MESSAGES = "labels.message > 0 AND labels.message IN (SELECT value FROM json_each(:messages))"


class SqlMessages(SqlDatabase):
    """The part of a store that finds messages."""

    @in_snapshot
    async def find_messages(
        self, reader: SqlConnection, asked: MessageFilter, after: MessagePosition | None, limit: int
    ) -> list[FoundMessage]:
        """See `Registry`."""
        where, values = _where(asked, [BEHIND_MESSAGE] if after else [])
        if after is not None:
            values |= {"after_time": after.sent_at, "after_seq": after.seq}
        rows = await reader.fetch(FIND_MESSAGES.format(where=where), values | {"limit": limit})
        return [_found(row) for row in rows]

    @in_snapshot
    async def count_messages(self, reader: SqlConnection, asked: MessageFilter) -> MessageCounts:
        """See `Registry`."""
        where, values = _where(asked)
        [row] = await reader.fetch(COUNT_MESSAGES.format(where=where), values)
        return MessageCounts._make(row)

    @in_snapshot
    async def message_links(self, reader: SqlConnection, message: int) -> list[MessageLink]:
        """See `Registry`."""
        rows = await reader.fetch(LINKS, (message,))
        return [MessageLink._make((*row[:4], bool(row[4]))) for row in rows]

    @in_snapshot
    async def message_html(self, reader: SqlConnection, message: int) -> str | None:
        """See `Registry`."""
        html: str | None = await reader.fetch_value(HTML, (message,))
        return html

    async def message_cells(self, messages: Sequence[int], asked: ClickFilter) -> list[MessageCell]:
        """See `ClickLog`."""
        rows = await self._cells_of_messages(MESSAGE_CELLS, messages, asked)
        return [MessageCell(row[0], PARTS_BY_NUMBER[row[1]], ROBOTS_BY_NUMBER[row[2]], *row[3:]) for row in rows]

    async def link_cells(self, message: int, asked: ClickFilter) -> list[LinkCell]:
        """See `ClickLog`."""
        rows = await self._cells_of_messages(LINK_CELLS, [message], asked)
        return [LinkCell(row[0], PARTS_BY_NUMBER[row[1]], ROBOTS_BY_NUMBER[row[2]], *row[3:]) for row in rows]

    @in_snapshot
    async def _cells_of_messages(
        self, reader: SqlConnection, statement: str, messages: Sequence[int], asked: ClickFilter
    ) -> list[Any]:
        where, values = label_where(asked, [OF_MESSAGES])
        values["messages"] = list(messages)
        return list(await reader.fetch(statement.format(where=where), values))


def _where(asked: MessageFilter, more: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    values = {name: getattr(asked, name) for name in MESSAGE_CONDITIONS if getattr(asked, name) is not None}
    conditions = [MESSAGE_CONDITIONS[name] for name in values] + list(more)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _found(row: Any) -> FoundMessage:
    seq, message_id, tenant, sent_at, recipient, tag, metadata, message_key, links, has_html, withheld = row
    return FoundMessage(
        seq,
        message_id,
        tenant,
        sent_at,
        recipient,
        tag,
        json.loads(metadata),
        message_key,
        links,
        bool(has_html),
        bool(withheld),
    )

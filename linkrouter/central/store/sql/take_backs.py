"""Take-backs in SQL."""

from collections.abc import Sequence
from typing import Any

from linkrouter.central.store.sql.database import Lock, SqlConnection, SqlDatabase, in_snapshot, in_transaction
from linkrouter.central.store.take_backs import (
    AddedRules,
    ListReader,
    RulesPage,
    SentCounts,
    SentLinkFilter,
    StoredRule,
)
from linkrouter.link.takeback import TakeBack

__all__ = ["SqlTakeBacks"]

ADD_RULE = """
INSERT INTO take_backs (id, tenant, match, action, "to", at, key, tag, added_at, added_by)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
KNOWN_RULES = """
SELECT id, tenant, match, action, "to", at, key, tag FROM take_backs WHERE id IN (SELECT value FROM json_each(?))
"""
LAST_RULE = "SELECT coalesce(max(seq), 0) FROM take_backs"
LIST_RULES = """
SELECT seq, id, tenant, match, action, "to", at, key, tag FROM take_backs
WHERE seq > :after AND (:tenant IS NULL OR tenant = :tenant) ORDER BY seq LIMIT :limit
"""
FIND_RULES = """
SELECT seq, id, tenant, match, action, "to", at, key, tag, added_at, added_by,
    (SELECT count(*) FROM clicks WHERE clicks.takeback = take_backs.id AND clicks.tenant = take_backs.tenant)
FROM take_backs WHERE seq < :before AND (:tenant IS NULL OR tenant = :tenant) ORDER BY seq DESC LIMIT :limit
"""
NEWEST_RULE = """
SELECT id, tenant, match, action, "to", at, key, tag FROM take_backs
WHERE match IN (SELECT value FROM json_each(?)) AND tenant = ? ORDER BY at DESC, id DESC LIMIT 1
"""
NOTE_READER = """
INSERT INTO take_back_readers (router, seq, seen_at) VALUES (?, ?, ?)
ON CONFLICT (router) DO UPDATE SET seq = excluded.seq, seen_at = excluded.seen_at
"""
READERS = "SELECT router, seq, seen_at FROM take_back_readers ORDER BY router"
# By URL it is one walk over all links: an index would cost every message, and this is asked for rarely.
COUNT_SENT = "SELECT count(DISTINCT link_id), count(DISTINCT message) FROM links WHERE tenant = :tenant AND {}"
SENT_CONDITIONS = {
    "url": "url = :url",
    "origin": """(url = :origin
        OR substr(url, 1, length(:origin) + 1) IN (:origin || '/', :origin || '?', :origin || '#'))""",
    "link_id": "link_id = :link_id",
    "message_key": "message IN (SELECT seq FROM messages WHERE message_key = :message_key AND tenant = :tenant)",
}
EVERYTHING = 2**63 - 1


class SqlTakeBacks(SqlDatabase):
    """The part of a `Registry` that keeps take-backs."""

    @in_transaction(Lock.NUMBERS)
    async def add_take_backs(
        self, writer: SqlConnection, rules: Sequence[TakeBack], added_at: int, added_by: str
    ) -> AddedRules | None:
        """See `TakeBackStore`."""
        rows: Any = await writer.fetch(KNOWN_RULES, ([rule.id for rule in rules],))
        known = {row[0]: TakeBack._make(row) for row in rows}
        fresh: dict[str, TakeBack] = {}
        for rule in rules:
            if known.get(rule.id, rule) != rule or fresh.setdefault(rule.id, rule) != rule:
                return None
        for rule_id in known:
            del fresh[rule_id]
        await writer.execute_many(ADD_RULE, [(*rule, added_at, added_by) for rule in fresh.values()])
        return AddedRules(len(fresh), await writer.fetch_value(LAST_RULE))

    @in_snapshot
    async def list_take_backs(self, reader: SqlConnection, after: int, limit: int, tenant: int | None) -> RulesPage:
        """See `TakeBackStore`."""
        values = {"after": after, "limit": limit, "tenant": tenant}
        rows: list[Any] = list(await reader.fetch(LIST_RULES, values))
        seq = rows[-1][0] if len(rows) == limit else await reader.fetch_value(LAST_RULE)
        return RulesPage([TakeBack._make(row[1:]) for row in rows], seq)

    @in_snapshot
    async def find_take_backs(
        self, reader: SqlConnection, before: int | None, limit: int, tenant: int | None
    ) -> list[StoredRule]:
        """See `TakeBackStore`."""
        values = {"before": EVERYTHING if before is None else before, "limit": limit, "tenant": tenant}
        rows: Any = await reader.fetch(FIND_RULES, values)
        return [StoredRule(row[0], TakeBack._make(row[1:9]), *row[9:]) for row in rows]

    @in_snapshot
    async def newest_take_back(self, reader: SqlConnection, matches: Sequence[str], tenant: int) -> TakeBack | None:
        """See `TakeBackStore`."""
        rows = list(await reader.fetch(NEWEST_RULE, (list(matches), tenant)))
        return TakeBack._make(rows[0]) if rows else None

    @in_transaction(Lock.NUMBERS)
    async def note_reader(self, writer: SqlConnection, reader: ListReader) -> None:
        """See `TakeBackStore`."""
        await writer.execute(NOTE_READER, reader)

    @in_snapshot
    async def list_readers(self, reader: SqlConnection) -> list[ListReader]:
        """See `TakeBackStore`."""
        return [ListReader._make(row) for row in await reader.fetch(READERS)]

    @in_snapshot
    async def count_sent_links(self, reader: SqlConnection, asked: SentLinkFilter) -> SentCounts:
        """See `TakeBackStore`."""
        values = {name: getattr(asked, name) for name in SENT_CONDITIONS if getattr(asked, name) is not None}
        conditions = " AND ".join(SENT_CONDITIONS[name] for name in values)
        [row] = await reader.fetch(COUNT_SENT.format(conditions), values | {"tenant": asked.tenant})
        return SentCounts._make(row)

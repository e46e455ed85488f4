"""The click log in an SQLite file."""

import time
from collections.abc import Sequence
from typing import Any

from linkrouter.central.store.interface import ClickCounts, ClickFilter, FoundClick, Position, RouterLoss
from linkrouter.central.store.sqlite.database import fetch_value
from linkrouter.central.store.sqlite.labels import SqliteLabels
from linkrouter.clicks.click import Click

__all__ = ["SqliteClickLog"]

DAY_US = 86_400_000_000

ADD_CLICK = """
INSERT INTO clicks (id, link_id, tenant, part, clicked_at, ip, user_agent, kind)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
ADD_LOSS = """
INSERT INTO losses (id, router, reason, clicks, since, until) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
# A filter that is NULL must not stand in the statement at all, or no index would serve the others.
CONDITIONS = {
    "link_id": "clicks.link_id = :link_id",
    "tenant": "clicks.tenant = :tenant",
    "since": "clicks.clicked_at >= :since",
    "until": "clicks.clicked_at < :until",
    "message_id": """(clicks.link_id, clicks.tenant) IN (
        SELECT link_id, links.tenant FROM messages JOIN links ON links.message = messages.seq
        WHERE message_id = :message_id)""",
    "tag": """(clicks.link_id, clicks.tenant) IN (
        SELECT link_id, links.tenant FROM messages JOIN links ON links.message = messages.seq WHERE tag = :tag)""",
}
BEHIND = "(clicks.clicked_at, clicks.id) < (:after_time, :after_id)"
FIND_CLICKS = """
SELECT clicks.id, clicks.link_id, clicks.tenant, clicks.part, clicked_at, ip, user_agent, kind,
    messages.message_id, recipient, tag,
    (SELECT url FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant
        AND links.part = clicks.part ORDER BY position LIMIT 1)
FROM clicks LEFT JOIN messages ON messages.seq = (
    SELECT message FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant LIMIT 1)
{where} ORDER BY clicked_at DESC, id DESC LIMIT :limit
"""
COUNT_CLICKS = """
SELECT kind, part, count(*), min(clicked_at), max(CASE WHEN clicked_at <= :latest THEN clicked_at END)
FROM clicks {where} GROUP BY kind, part
"""
# The plus signs keep SQLite from walking the whole link index for the DISTINCT when a filter leaves little to count.
COUNT_LINKS = "SELECT count(*) FROM (SELECT DISTINCT +link_id, +tenant FROM clicks {where})"
COUNT_MISSING = """
SELECT reason, sum(clicks), min(since), max(until) FROM losses
WHERE until >= coalesce(:since, until) AND since < coalesce(:until, since + 1) GROUP BY reason
"""


class SqliteClickLog(SqliteLabels):
    """A `ClickLog` in a file."""

    async def add_clicks(self, clicks: Sequence[Click], losses: Sequence[RouterLoss] = ()) -> int:
        """See `ClickLog`."""
        if not clicks and not losses:
            return 0
        async with self.transaction() as writer:
            cursor = await writer.executemany(ADD_CLICK, clicks)
            if losses:
                await writer.executemany(ADD_LOSS, losses)
        return max(cursor.rowcount, 0)  # -1 when there were no clicks

    async def find_clicks(self, asked: ClickFilter, after: Position | None, limit: int) -> list[FoundClick]:
        """See `ClickLog`."""
        where, values = _where(asked, [BEHIND] if after else [])
        values["limit"] = limit
        if after:
            values |= {"after_time": after.clicked_at, "after_id": after.id}
        async with self.snapshot() as reader:
            rows = await reader.execute_fetchall(FIND_CLICKS.format(where=where), values)
        return [FoundClick(Click._make(row[:8]), *row[8:]) for row in rows]

    async def count_clicks(self, asked: ClickFilter) -> ClickCounts:
        """See `ClickLog`."""
        where, values = _where(asked)
        values["latest"] = time.time_ns() // 1000 + DAY_US  # a clock that runs ahead must not be the last for ever
        only_clicks, _ = _where(asked, ["clicks.kind = 'click'"])
        async with self.snapshot() as reader:
            counts = list(await reader.execute_fetchall(COUNT_CLICKS.format(where=where), values))
            unique = await fetch_value(reader, COUNT_LINKS.format(where=only_clicks), values)
            missing = list(await reader.execute_fetchall(COUNT_MISSING, {"since": asked.since, "until": asked.until}))
        clicked = [(first, last) for kind, _, _, first, last in counts if kind == "click"]
        return ClickCounts(
            by={(kind, part): number for kind, part, number, _, _ in counts},
            unique=unique,
            first=min((first for first, _ in clicked), default=None),
            last=max((last for _, last in clicked if last is not None), default=None),
            missing={reason: number for reason, number, _, _ in missing},
            missing_since=min((since for _, _, since, _ in missing), default=None),
            missing_until=max((until for _, _, _, until in missing), default=None),
        )


def _where(asked: ClickFilter, more: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    values = {name: getattr(asked, name) for name in CONDITIONS if getattr(asked, name) is not None}
    conditions = [CONDITIONS[name] for name in values] + list(more)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values

"""The click log in SQL."""

from collections.abc import Sequence
from typing import Any

from linkrouter.central.roll_ups import MACHINE, ROBOTS_BY_NUMBER
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import FoundClick, FoundLabel, Position, RouterLoss, RouterState
from linkrouter.central.store.sql.click_pages import (
    PageClick,
    count_labelled,
    find_labelled,
    is_by_label,
    list_conditions,
)
from linkrouter.central.store.sql.database import Lock, SqlConnection, in_snapshot, in_transaction
from linkrouter.central.store.sql.figures import LABEL_CONDITIONS, WORDS_OF, SqlFigures
from linkrouter.central.store.sql.labels import SqlLabels
from linkrouter.clicks.click import Click

__all__ = ["IS_MACHINE", "OF_TAG", "THESE", "SqlClickLog", "read_clicks"]


# Whose data has been taken away is only counted from then on: no address and no agent.
ADD_CLICK = """
INSERT INTO clicks (id, link_id, tenant, part, clicked_at, ip, user_agent, kind, takeback)
SELECT id, link_id, tenant, part, clicked_at, iif(withheld, NULL, ip), iif(withheld, NULL, user_agent), kind, takeback
FROM (
    SELECT given.*, EXISTS (
        SELECT 1 FROM withheld_links AS w WHERE w.link_id = given.link_id AND w.tenant = given.tenant
    ) AS withheld
    FROM (
        SELECT ? AS id, ? AS link_id, ? AS tenant, ? AS part, ? AS clicked_at, ? AS ip, ? AS user_agent, ? AS kind,
            ? AS takeback
    ) AS given
)
WHERE true ON CONFLICT DO NOTHING
"""
ADD_LOSS = """
INSERT INTO losses (id, router, reason, clicks, since, until) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
NOTE_ROUTER = """
INSERT INTO routers (router, worker, seen_at, state) VALUES (?, ?, ?, ?)
ON CONFLICT (router, worker) DO UPDATE SET seen_at = excluded.seen_at, state = excluded.state
"""
ROUTERS = "SELECT router, worker, seen_at, state FROM routers ORDER BY router, worker"
# A filter that is None must not stand in the statement at all, or no index would serve the others. Message, recipient
# and tag are looked for among messages, so that clicks without a label are found, too.
MESSAGES_WHERE = """(clicks.link_id, clicks.tenant) IN (
    SELECT link_id, links.tenant FROM messages JOIN links ON links.message = messages.seq WHERE {})"""
OF_TAG = """EXISTS (SELECT 1 FROM links JOIN messages ON messages.seq = links.message WHERE messages.tag = :tag
    AND links.link_id = clicks.link_id AND links.tenant = clicks.tenant)"""
# What has no label is a machine's where it clicked nothing.
IS_MACHINE = f"coalesce(labels.robot, CASE clicks.kind WHEN 'click' THEN 0 ELSE 1 END) = {MACHINE}"
CONDITIONS = {
    "link_id": "clicks.link_id = :link_id",
    "tenant": "clicks.tenant = :tenant",
    "since": "clicks.clicked_at >= :since",
    "until": "clicks.clicked_at < :until",
    "message_id": MESSAGES_WHERE.format("message_id = :message_id"),
    "recipient": MESSAGES_WHERE.format("recipient = :recipient COLLATE NOCASE"),
    "tag": OF_TAG,
    "part": "clicks.part = :part",
} | {name: LABEL_CONDITIONS[name] for name in ("url", "browser", "os", "platform", "country")}
# Partitions are left out by the first alone.
BEHIND = "clicks.clicked_at <= :after_time AND (clicks.clicked_at, clicks.id) < (:after_time, :after_id)"
FIND_CLICKS = """
SELECT clicks.id, clicks.link_id, clicks.tenant, clicks.part, clicks.clicked_at, ip, user_agent, clicks.kind, takeback,
    messages.message_id, recipient, messages.tag,
    (SELECT url FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant
        AND links.part = clicks.part ORDER BY position LIMIT 1),
    labels.browser, labels.os, labels.platform, labels.country, labels.region, labels.city, labels.robot,
    labels.reasons, labels.version
FROM clicks LEFT JOIN labels ON labels.seq = clicks.seq LEFT JOIN messages ON messages.seq = (
    SELECT message FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant LIMIT 1)
{where} ORDER BY clicks.clicked_at DESC, clicks.id DESC LIMIT :limit OFFSET :skip
"""
COUNT_CLICKS = """
SELECT count(*) FROM (SELECT 1 FROM clicks LEFT JOIN labels ON labels.seq = clicks.seq {where} LIMIT :most) AS found
"""
# What has no label yet has been stored of late.
FIND_WAITING = """
SELECT clicks.clicked_at, clicks.id, clicks.seq FROM clicks NOT INDEXED LEFT JOIN labels ON labels.seq = clicks.seq
{where} ORDER BY clicks.clicked_at DESC, clicks.id DESC LIMIT :limit
"""
LATEST_LABELLED = "SELECT coalesce(max(seq), 0) FROM labels"
LABELLED_AFTER = """
SELECT labels.seq, clicks.id FROM labels JOIN clicks ON clicks.seq = labels.seq
WHERE labels.seq > :seq AND (:tenant IS NULL OR labels.tenant = :tenant) ORDER BY labels.seq LIMIT :limit
"""
IS_WAITING = "clicks.seq > (SELECT seq FROM progress WHERE name = 'labelled') AND labels.seq IS NULL"
THESE = "WHERE clicks.seq IN (SELECT value FROM json_each(:seqs))"


class SqlClickLog(SqlLabels, SqlFigures):
    """A `ClickLog` in a file."""

    @in_transaction(Lock.NUMBERS)
    async def add_clicks(
        self,
        writer: SqlConnection,
        clicks: Sequence[Click],
        losses: Sequence[RouterLoss] = (),
        state: RouterState | None = None,
    ) -> int:
        """See `ClickLog`."""
        if not clicks and not losses and state is None:
            return 0
        stored = await self.insert_clicks(writer, clicks)
        await writer.execute_many(ADD_LOSS, losses)
        if state is not None:
            await writer.execute(NOTE_ROUTER, state)
        return stored

    async def insert_clicks(self, writer: SqlConnection, clicks: Sequence[Click]) -> int:
        """Add the clicks whose ids are new; give how many those are."""
        return await writer.execute_many(ADD_CLICK, clicks)

    @in_snapshot
    async def list_routers(self, reader: SqlConnection) -> list[RouterState]:
        """See `ClickLog`."""
        return [RouterState._make(row) for row in await reader.fetch(ROUTERS)]

    @in_snapshot
    async def count_clicks(self, reader: SqlConnection, asked: ClickFilter, most: int) -> int:
        """See `ClickLog`."""
        if is_by_label(asked):
            waiting = await _find_waiting(reader, asked, None, most)
            return min(await count_labelled(reader, asked, most) + len(waiting), most)
        where, values = _where(asked)
        return int(await reader.fetch_value(COUNT_CLICKS.format(where=where), values | {"most": most}))

    @in_snapshot
    async def find_clicks(
        self, reader: SqlConnection, asked: ClickFilter, after: Position | None, limit: int, skip: int = 0
    ) -> list[FoundClick]:
        """See `ClickLog`."""
        if is_by_label(asked):
            found = await find_labelled(reader, asked, after, limit + skip)
            found += await _find_waiting(reader, asked, after, limit + skip)
            page = sorted(found, reverse=True)[skip : skip + limit]
            where = THESE
            values: dict[str, Any] = {"seqs": [one.seq for one in page], "limit": limit, "skip": 0}
        else:
            where, values = _where(asked, after)
            values |= {"limit": limit, "skip": skip}
        return await read_clicks(reader, where, values)

    @in_snapshot
    async def latest_labelled(self, reader: SqlConnection) -> int:
        """See `ClickLog`."""
        return int(await reader.fetch_value(LATEST_LABELLED))

    @in_snapshot
    async def labelled_after(
        self, reader: SqlConnection, seq: int, tenant: int | None, limit: int
    ) -> list[tuple[int, FoundClick]]:
        """See `ClickLog`."""
        rows = await reader.fetch(LABELLED_AFTER, {"seq": seq, "tenant": tenant, "limit": limit})
        numbers = {click_id: number for number, click_id in rows}
        values = {"seqs": list(numbers.values()), "limit": limit, "skip": 0}
        found = await read_clicks(reader, THESE, values)
        return sorted(((numbers[one.click.id], one) for one in found), key=lambda pair: pair[0])


async def read_clicks(reader: SqlConnection, where: str, values: dict[str, Any]) -> list[FoundClick]:
    """Give the clicks that *where* holds for, the newest first."""
    rows = await reader.fetch(FIND_CLICKS.format(where=where), values)
    numbers = {number for row in rows for number in (*row[13:19], row[20]) if number is not None}
    words: dict[int, str] = dict(await reader.fetch(WORDS_OF, (list(numbers),)))
    return [FoundClick(Click._make(row[:9]), row[9], row[10], row[11], row[12], _label(row, words)) for row in rows]


def _label(row: Any, words: dict[int, str]) -> FoundLabel | None:
    if row[13] is None:
        return None
    reasons = words[row[20]]
    return FoundLabel._make(
        (
            *(words[number] for number in row[13:19]),
            ROBOTS_BY_NUMBER[row[19]],
            tuple(reasons.split(",")) if reasons else (),
            row[21],
        )
    )


async def _find_waiting(
    reader: SqlConnection, asked: ClickFilter, after: Position | None, limit: int
) -> list[PageClick]:
    """Give the first *limit* clicks without a label that *asked* holds for, behind *after*, the newest first."""
    where, values = _where(asked, after, IS_WAITING)
    rows = await reader.fetch(FIND_WAITING.format(where=where), values | {"limit": limit})
    return [PageClick._make(row) for row in rows]


def _where(asked: ClickFilter, after: Position | None = None, *more: str) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {name: getattr(asked, name) for name in CONDITIONS if getattr(asked, name) is not None}
    conditions = [CONDITIONS[name] for name in values] + list(more)
    own, own_values = list_conditions(asked)
    conditions, values = conditions + own, values | own_values
    if after is not None:
        conditions.append(BEHIND)
        values |= {"after_time": after.clicked_at, "after_id": after.id}
    if asked.robots != "include":
        conditions.append(IS_MACHINE if asked.robots == "only" else f"NOT {IS_MACHINE}")
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values

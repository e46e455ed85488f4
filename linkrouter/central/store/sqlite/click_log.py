"""The click log in an SQLite file."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from linkrouter.central.roll_ups import MACHINE, ROBOTS_BY_NUMBER
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import FoundClick, FoundLabel, Position, RouterLoss, RouterState
from linkrouter.central.store.sqlite.database import fetch_value
from linkrouter.central.store.sqlite.figures import LABEL_CONDITIONS, WORDS_OF, SqliteFigures
from linkrouter.central.store.sqlite.labels import SqliteLabels
from linkrouter.clicks.click import Click

__all__ = ["SqliteClickLog"]


# Whose data has been taken away is only counted from then on: no address and no agent.
ADD_CLICK = """
INSERT INTO clicks (id, link_id, tenant, part, clicked_at, ip, user_agent, kind)
SELECT ?1, ?2, ?3, ?4, ?5, iif(withheld, NULL, ?6), iif(withheld, NULL, ?7), ?8
FROM (SELECT EXISTS (SELECT 1 FROM withheld_links WHERE link_id = ?2 AND tenant = ?3) AS withheld)
WHERE true ON CONFLICT DO NOTHING
"""
ADD_LOSS = """
INSERT INTO losses (id, router, reason, clicks, since, until) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
NOTE_ROUTER = "INSERT OR REPLACE INTO routers (router, worker, seen_at, state) VALUES (?, ?, ?, ?)"
ROUTERS = "SELECT router, worker, seen_at, state FROM routers ORDER BY router, worker"
# A filter that is None must not stand in the statement at all, or no index would serve the others. Message, recipient
# and tag are looked for among messages, so that clicks without a label are found, too.
MESSAGES_WHERE = """(clicks.link_id, clicks.tenant) IN (
    SELECT link_id, links.tenant FROM messages JOIN links ON links.message = messages.seq WHERE {})"""
CONDITIONS = {
    "link_id": "clicks.link_id = :link_id",
    "tenant": "clicks.tenant = :tenant",
    "since": "clicks.clicked_at >= :since",
    "until": "clicks.clicked_at < :until",
    "message_id": MESSAGES_WHERE.format("message_id = :message_id"),
    "recipient": MESSAGES_WHERE.format("recipient = :recipient COLLATE NOCASE"),
    "tag": MESSAGES_WHERE.format("tag = :tag"),
    "part": "clicks.part = :part",
} | {name: LABEL_CONDITIONS[name] for name in ("url", "browser", "os", "platform", "country")}
BEHIND = "(clicks.clicked_at, clicks.id) < (:after_time, :after_id)"
FIND_CLICKS = """
SELECT clicks.id, clicks.link_id, clicks.tenant, clicks.part, clicks.clicked_at, ip, user_agent, clicks.kind,
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
SELECT count(*) FROM (SELECT 1 FROM clicks LEFT JOIN labels ON labels.seq = clicks.seq {where} LIMIT :most)
"""
WITH_PERSON = "(clicks.ip IS NOT NULL OR clicks.user_agent IS NOT NULL)"
ANY_OF = "labels.{name} IN (SELECT number FROM words WHERE word IN (SELECT value FROM json_each(:any_{name})))"


class SqliteClickLog(SqliteLabels, SqliteFigures):
    """A `ClickLog` in a file."""

    async def add_clicks(
        self, clicks: Sequence[Click], losses: Sequence[RouterLoss] = (), state: RouterState | None = None
    ) -> int:
        """See `ClickLog`."""
        if not clicks and not losses and state is None:
            return 0
        async with self.transaction() as writer:
            cursor = await writer.executemany(ADD_CLICK, clicks)
            if losses:
                await writer.executemany(ADD_LOSS, losses)
            if state is not None:
                await writer.execute(NOTE_ROUTER, state)
        return max(cursor.rowcount, 0)  # -1 when there were no clicks

    async def list_routers(self) -> list[RouterState]:
        """See `ClickLog`."""
        async with self.snapshot() as reader:
            return [RouterState._make(row) for row in await reader.execute_fetchall(ROUTERS)]

    async def count_clicks(self, asked: ClickFilter, most: int) -> int:
        """See `ClickLog`."""
        where, values = _where(asked)
        async with self.snapshot() as reader:
            return int(await fetch_value(reader, COUNT_CLICKS.format(where=where), values | {"most": most}))

    async def find_clicks(
        self, asked: ClickFilter, after: Position | None, limit: int, skip: int = 0
    ) -> list[FoundClick]:
        """See `ClickLog`."""
        where, values = _where(asked, [BEHIND] if after else [])
        values |= {"limit": limit, "skip": skip}
        if after:
            values |= {"after_time": after.clicked_at, "after_id": after.id}
        async with self.snapshot() as reader:
            rows = list(await reader.execute_fetchall(FIND_CLICKS.format(where=where), values))
            numbers = {number for row in rows for number in (*row[12:18], row[19]) if number is not None}
            found: Iterable[Any] = await reader.execute_fetchall(WORDS_OF, (json.dumps(list(numbers)),))
        words: dict[int, str] = dict(found)
        return [FoundClick(Click._make(row[:8]), row[8], row[9], row[10], row[11], _label(row, words)) for row in rows]


def _label(row: Any, words: dict[int, str]) -> FoundLabel | None:
    if row[12] is None:
        return None
    reasons = words[row[19]]
    return FoundLabel._make(
        (
            *(words[number] for number in row[12:18]),
            ROBOTS_BY_NUMBER[row[18]],
            tuple(reasons.split(",")) if reasons else (),
            row[20],
        )
    )


def _where(asked: ClickFilter, more: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    values = {name: getattr(asked, name) for name in CONDITIONS if getattr(asked, name) is not None}
    conditions = [CONDITIONS[name] for name in values] + list(more)
    if asked.with_person:
        conditions.append(WITH_PERSON)
    for name, texts in asked.any_of:
        conditions.append(ANY_OF.format(name=name))
        values[f"any_{name}"] = json.dumps(texts)
    if asked.robots != "include":
        is_machine = f"coalesce(labels.robot, clicks.kind <> 'click') = {MACHINE}"
        conditions.append(is_machine if asked.robots == "only" else f"NOT {is_machine}")
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values

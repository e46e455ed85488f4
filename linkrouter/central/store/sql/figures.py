"""Figures from an SQLite file: sums over roll-ups, counts over labels."""

from collections.abc import Iterable, Sequence
from typing import Any

from linkrouter.central.labels import StoredClick
from linkrouter.central.roll_ups import (
    DIMENSIONS,
    FINE,
    KINDS_BY_NUMBER,
    MACHINE,
    PARTS_BY_NUMBER,
    ROBOTS_BY_NUMBER,
    WHOLE_DAY,
)
from linkrouter.central.store.questions import (
    Cell,
    ClickFilter,
    Extent,
    MissingCell,
    RollUpQuestion,
    UnsettledClick,
)
from linkrouter.central.store.sql.database import SqlConnection, SqlDatabase, in_snapshot
from linkrouter.units import DAY_S

__all__ = ["LABEL_CONDITIONS", "NUMBER", "WORDS_OF", "SqlFigures", "find_tenants", "label_where"]

TENANTS = """
WITH RECURSIVE found (tenant) AS (
    SELECT min(tenant) FROM roll_ups
    UNION ALL SELECT (SELECT min(tenant) FROM roll_ups WHERE tenant > found.tenant) FROM found WHERE tenant IS NOT NULL
) SELECT tenant FROM found WHERE tenant IS NOT NULL
"""
NUMBER = "SELECT number FROM words WHERE word = ?"
ROLL_UPS = """
SELECT CASE WHEN :step > 0 THEN bucket - bucket % :step ELSE 0 END AS at, value, part, robot, sum(clicks), sum(uniques)
FROM roll_ups WHERE tenant IN (SELECT value FROM json_each(:tenants)) AND tag = :tag AND dimension = :dimension
AND span = :span AND bucket >= :since AND bucket < :until
AND (:value IS NULL OR value = :value) AND (:part IS NULL OR part = :part)
GROUP BY at, value, part, robot
"""
WORDS_OF = "SELECT number, word FROM words WHERE number IN (SELECT value FROM json_each(?))"
EXTENT = """
SELECT min(bucket), max(bucket) FROM roll_ups WHERE tenant = ? AND tag = 0 AND dimension = 0 AND span = 1
"""
LABELS = """
SELECT CASE WHEN :step > 0 THEN clicked_at / 1000000 - clicked_at / 1000000 % :step ELSE 0 END AS at,
    {value} AS value, part, robot, count(*), sum(is_first)
FROM labels {where} GROUP BY at, value, part, robot
"""
FIRST_AND_LAST = """
SELECT (SELECT clicked_at FROM labels {where} ORDER BY clicked_at LIMIT 1),
    (SELECT clicked_at FROM labels {where} ORDER BY clicked_at DESC LIMIT 1)
"""
# NOT INDEXED leaves the range of numbers: else all clicks would be walked over in the order of their times.
UNSETTLED = """
SELECT clicks.seq, clicks.id, clicks.link_id, clicks.tenant, clicks.part, clicks.kind, clicks.clicked_at, clicks.ip,
    clicks.user_agent, messages.message_id, messages.recipient, messages.tag,
    (SELECT url FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant
        AND links.part = clicks.part LIMIT 1),
    firsts.seq IS NULL
FROM clicks NOT INDEXED LEFT JOIN labels ON labels.seq = clicks.seq
LEFT JOIN firsts ON firsts.link_id = clicks.link_id AND firsts.tenant = clicks.tenant
LEFT JOIN messages ON messages.seq = (
    SELECT message FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant LIMIT 1)
WHERE clicks.seq > (SELECT seq FROM progress WHERE name = 'labelled') AND labels.seq IS NULL
ORDER BY clicks.clicked_at, clicks.seq LIMIT ?
"""
MISSING = """
SELECT reason, clicks, since, until FROM losses
WHERE until >= coalesce(:since, until) AND since < coalesce(:until, since + 1) ORDER BY since
"""

# The index by message leaves out 0, and serves only a statement that says so.
# A filter that is None must not stand in the statement at all, or no index would serve the others.
LABEL_CONDITIONS = {
    "link_id": "labels.seq IN (SELECT seq FROM clicks WHERE link_id = :link_id)",
    "message_id": "labels.message > 0 AND labels.message IN (SELECT seq FROM messages WHERE message_id = :message_id)",
    "recipient": "labels.message > 0 AND labels.message IN "
    "(SELECT seq FROM messages WHERE recipient = :recipient COLLATE NOCASE)",
    "tenant": "labels.tenant = :tenant",
    "since": "labels.clicked_at >= :since",
    "until": "labels.clicked_at < :until",
    "tag": "labels.tag = (SELECT number FROM words WHERE word = :tag)",
    "url": "labels.url = (SELECT number FROM words WHERE word = :url)",
    "part": "labels.part = :part",
    "browser": "labels.browser = (SELECT number FROM words WHERE word = :browser)",
    "os": "labels.os = (SELECT number FROM words WHERE word = :os)",
    "platform": "labels.platform = (SELECT number FROM words WHERE word = :platform)",
    "country": "labels.country = (SELECT number FROM words WHERE word = :country)",
}
LABEL_COLUMNS = {"total": "0", "robot_reason": "reason"} | {
    name: name for name in ("kind", "browser", "os", "platform", "country", "url", "tag")
}


class SqlFigures(SqlDatabase):
    """The part of a `ClickLog` that counts."""

    @in_snapshot
    async def roll_up_cells(self, reader: SqlConnection, asked: RollUpQuestion) -> list[Cell]:
        """See `ClickLog`."""
        tag = await reader.fetch_value(NUMBER, (asked.tag or "",))
        value = None if asked.value is None else await self._value(reader, asked.dimension, asked.value)
        if tag is None or (value is None and asked.value is not None):
            return []
        values = {
            "tenants": await find_tenants(reader, asked.tenant),
            "tag": tag,
            "dimension": DIMENSIONS[asked.dimension],
            "value": value,
            "part": None if asked.part is None else PARTS_BY_NUMBER.index(asked.part),
            "step": asked.step,
        }
        rows: list[Any] = []
        for span, since, until in _spans(asked):
            rows += await reader.fetch(ROLL_UPS, values | {"span": span, "since": since, "until": until})
        return await self._cells(reader, asked.dimension, rows)

    @in_snapshot
    async def label_cells(self, reader: SqlConnection, asked: ClickFilter, dimension: str, step: int) -> list[Cell]:
        """See `ClickLog`."""
        where, values = label_where(asked)
        statement = LABELS.format(value=LABEL_COLUMNS[dimension], where=where)
        rows = await reader.fetch(statement, values | {"step": step})
        return await self._cells(reader, dimension, rows)

    @in_snapshot
    async def extent(self, reader: SqlConnection, tenant: int | None) -> Extent | None:
        """See `ClickLog`."""
        tenants = await find_tenants(reader, tenant)
        found = [row for one in tenants for row in await reader.fetch(EXTENT, (one,))]
        days = [(first, last) for first, last in found if first is not None]
        if not days:
            return None
        return Extent(min(first for first, _ in days), max(last for _, last in days) + DAY_S)

    @in_snapshot
    async def first_and_last(self, reader: SqlConnection, asked: ClickFilter) -> tuple[int | None, int | None]:
        """See `ClickLog`."""
        where, values = label_where(asked, ["labels.kind = 0"])
        [(first, last)] = await reader.fetch(FIRST_AND_LAST.format(where=where), values)
        return first, last

    @in_snapshot
    async def unsettled_clicks(self, reader: SqlConnection, limit: int) -> list[UnsettledClick]:
        """See `ClickLog`."""
        rows = await reader.fetch(UNSETTLED, (limit,))
        return [UnsettledClick._make((StoredClick._make(row[:9]), *row[9:13], bool(row[13]))) for row in rows]

    @in_snapshot
    async def missing(self, reader: SqlConnection, since: int | None, until: int | None) -> list[MissingCell]:
        """See `ClickLog`."""
        rows = await reader.fetch(MISSING, {"since": since, "until": until})
        return [MissingCell._make(row) for row in rows]

    async def _value(self, reader: SqlConnection, dimension: str, value: str) -> int | None:
        if dimension == "kind":
            return KINDS_BY_NUMBER.index(value)
        number: int | None = await reader.fetch_value(NUMBER, (value,))
        return number

    async def _cells(self, reader: SqlConnection, dimension: str, rows: Iterable[Any]) -> list[Cell]:
        rows = list(rows)
        numbers = sorted({row[1] for row in rows})
        if dimension in ("total", "kind"):
            words = dict(enumerate(KINDS_BY_NUMBER)) if dimension == "kind" else {0: ""}
        else:
            words = dict(await reader.fetch(WORDS_OF, (numbers,)))
        return [
            Cell(at, words[value], PARTS_BY_NUMBER[part], ROBOTS_BY_NUMBER[robot], clicks, uniques)
            for at, value, part, robot, clicks, uniques in rows
        ]


async def find_tenants(reader: SqlConnection, tenant: int | None) -> list[int]:
    """Give *tenant*, or all that have a roll-up."""
    return [tenant] if tenant is not None else [row[0] for row in await reader.fetch(TENANTS)]


def _spans(asked: RollUpQuestion) -> list[tuple[int, int, int]]:
    """Give the buckets that cover the time asked for, whole days where they will do."""
    step = asked.step
    if step % DAY_S:
        return [(FINE, asked.since, asked.until)]
    first_day = -(-asked.since // DAY_S) * DAY_S
    last_day = asked.until // DAY_S * DAY_S
    if first_day >= last_day:
        return [(FINE, asked.since, asked.until)]
    spans = [(FINE, asked.since, first_day), (WHOLE_DAY, first_day, last_day), (FINE, last_day, asked.until)]
    return [span for span in spans if span[1] < span[2]]


def label_where(asked: ClickFilter, more: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    """Give the condition on labels that *asked* is, with *more*, and its values."""
    values = {name: getattr(asked, name) for name in LABEL_CONDITIONS if getattr(asked, name) is not None}
    conditions = [LABEL_CONDITIONS[name] for name in values] + list(more)
    if "part" in values:
        values["part"] = PARTS_BY_NUMBER.index(values["part"])
    if asked.robots != "include":
        conditions.append(f"labels.robot {'=' if asked.robots == 'only' else '<>'} {MACHINE}")
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values

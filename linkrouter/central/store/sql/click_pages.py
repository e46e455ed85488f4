"""Pages of clicks by what they were labelled with: found by the roll-ups, read from the hours that have them.

Promise: the first page is quick however rare the clicks are. The roll-ups of one dimension tell which hours hold enough
of them; only these hours are looked at, in an index that has all that labels are filtered by. What has no label yet is
looked at click by click, since that is little.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from linkrouter.central.roll_ups import DIMENSIONS, FINE, PARTS_BY_NUMBER, ROBOTS_BY_NUMBER, WHOLE_DAY
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import Position
from linkrouter.central.store.sql.database import SqlConnection
from linkrouter.central.store.sql.figures import NUMBER, find_tenants, label_where
from linkrouter.units import DAY_S, HOUR_S, SECOND_US

__all__ = ["PageClick", "count_labelled", "find_labelled", "is_by_label", "list_conditions"]

ROLLED = ("url", "browser", "os", "platform", "country")  # the rarest first
VALUES = (*ROLLED, "tenant", "tag", "part")
FIRST_LOOK, WIDER = 1, 8  # how many times as many clicks as wanted are looked for, first and at each look after

BUCKETS = """
SELECT bucket, sum(clicks) FROM roll_ups
WHERE tenant IN (SELECT value FROM json_each(:tenants)) AND tag = :tag AND dimension = :dimension AND span = :span
AND bucket > :since AND bucket < :until AND (:value IS NULL OR value = :value) AND (:part IS NULL OR part = :part)
AND robot IN (SELECT value FROM json_each(:robots)) GROUP BY bucket ORDER BY bucket DESC
"""
FIND = """
SELECT labels.clicked_at, clicks.id, labels.seq
FROM json_each(:hours) AS hour CROSS JOIN labels INDEXED BY labels_by_time
ON labels.clicked_at >= CAST(json_extract(hour.value, '$[0]') AS BIGINT)
AND labels.clicked_at < CAST(json_extract(hour.value, '$[1]') AS BIGINT)
CROSS JOIN clicks ON clicks.seq = labels.seq {where}
ORDER BY labels.clicked_at DESC, clicks.id DESC LIMIT :limit
"""
COUNT = """
SELECT count(*) FROM (
    SELECT 1 FROM labels INDEXED BY labels_by_time CROSS JOIN clicks ON clicks.seq = labels.seq {where} LIMIT :most
) AS found
"""
WITH_PERSON = "(clicks.ip IS NOT NULL OR clicks.user_agent IS NOT NULL)"
ANY_OF = "labels.{name} IN (SELECT number FROM words WHERE word IN (SELECT value FROM json_each(:any_{name})))"
BEHIND_LABEL = "(labels.clicked_at, clicks.id) < (:after_time, :after_id)"


class PageClick(NamedTuple):
    """Where a labelled click stands in the order of pages, and its number."""

    clicked_at: int
    id: str
    seq: int


def list_conditions(asked: ClickFilter) -> tuple[list[str], dict[str, Any]]:
    """Give the conditions that only lists of clicks have, and their values."""
    conditions = [WITH_PERSON] if asked.with_person else []
    conditions += [ANY_OF.format(name=name) for name, _ in asked.any_of]
    return conditions, {f"any_{name}": list(texts) for name, texts in asked.any_of}


def is_by_label(asked: ClickFilter) -> bool:
    """Whether *asked* is about what clicks were labelled with, and not about one link, message or recipient."""
    if asked.link_id or asked.message_id or asked.recipient:
        return False
    return asked.robots != "include" or any(getattr(asked, name) is not None for name in VALUES) or bool(asked.any_of)


async def find_labelled(
    reader: SqlConnection, asked: ClickFilter, after: Position | None, limit: int
) -> list[PageClick]:
    """Give the first *limit* labelled clicks that *asked* holds for, behind *after*, the newest first."""
    question = await _roll_up_question(reader, asked)
    if question is None:
        return []
    since = (asked.since or 0) // SECOND_US
    until = 2**53 if asked.until is None else -(-asked.until // SECOND_US)
    if after is not None:
        until = min(until, after.clicked_at // SECOND_US + 1)
    found: list[PageClick] = []
    look = FIRST_LOOK
    while len(found) < limit:
        hours = await _hours(reader, question, since, until, look * limit)
        if not hours:
            break
        found += await _read(reader, asked, after, hours, limit - len(found))
        until, look = hours[-1], look * WIDER
    return found


async def count_labelled(reader: SqlConnection, asked: ClickFilter, most: int) -> int:
    """Count the labelled clicks that *asked* holds for, up to *most*."""
    more, values = list_conditions(asked)
    where, label_values = label_where(replace(asked, since=asked.since or 0), more)
    return int(await reader.fetch_value(COUNT.format(where=where), label_values | values | {"most": most}))


async def _roll_up_question(reader: SqlConnection, asked: ClickFilter) -> dict[str, Any] | None:
    """Give which roll-ups tell where the clicks are; None when nothing was ever labelled so."""
    rolled: tuple[str, str | None] = next(
        ((name, getattr(asked, name)) for name in ROLLED if getattr(asked, name) is not None), ("total", None)
    )
    tag = await reader.fetch_value(NUMBER, (asked.tag or "",))
    value = None if rolled[1] is None else await reader.fetch_value(NUMBER, (rolled[1],))
    if tag is None or (value is None and rolled[1] is not None):
        return None
    wanted = {
        "include": ROBOTS_BY_NUMBER,
        "only": ("machine",),
        "exclude": tuple(robot for robot in ROBOTS_BY_NUMBER if robot != "machine"),
    }
    return {
        "tenants": await find_tenants(reader, asked.tenant),
        "tag": tag,
        "dimension": DIMENSIONS[rolled[0]],
        "value": value,
        "part": None if asked.part is None else PARTS_BY_NUMBER.index(asked.part),
        "robots": [ROBOTS_BY_NUMBER.index(robot) for robot in wanted[asked.robots]],
    }


async def _hours(reader: SqlConnection, question: dict[str, Any], since: int, until: int, least: int) -> list[int]:
    """Give the newest hours before *until* (seconds) that together have *least* clicks, or all: first by days."""
    while True:
        span = {"since": since - DAY_S, "until": until, "span": WHOLE_DAY}
        days = _newest(await reader.fetch(BUCKETS, question | span), least)
        if not days:
            return []
        span = {"since": max(since - HOUR_S, days[-1] - 1), "until": until, "span": FINE}
        hours: dict[int, int] = {}
        for bucket, clicks in await reader.fetch(BUCKETS, question | span):  # the totals have quarters
            hours[bucket - bucket % HOUR_S] = hours.get(bucket - bucket % HOUR_S, 0) + clicks
        if hours:
            return _newest(hours.items(), least)
        until = days[-1]  # all of that day's are later than what is looked for


def _newest(buckets: Iterable[Any], least: int) -> list[int]:
    taken: list[int] = []
    clicks = 0
    for bucket, count in buckets:
        if clicks >= least:
            break
        taken.append(bucket)
        clicks += count
    return taken


async def _read(
    reader: SqlConnection, asked: ClickFilter, after: Position | None, hours: Sequence[int], limit: int
) -> list[PageClick]:
    more, more_values = list_conditions(asked)
    where, values = label_where(asked, [*more, BEHIND_LABEL] if after else more)
    values |= more_values | {
        "hours": [(hour * SECOND_US, (hour + HOUR_S) * SECOND_US) for hour in hours],
        "limit": limit,
    }
    if after is not None:
        values |= {"after_time": after.clicked_at, "after_id": after.id}
    rows = await reader.fetch(FIND.format(where=where), values)
    return [PageClick._make(row) for row in rows]

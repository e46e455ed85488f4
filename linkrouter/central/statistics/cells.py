"""Cells: the counts that every statistic is made of, from roll-ups where they will do and from labels where not.

Promise: the same question gives the same cells whichever way they come. Roll-ups answer for a tenant, a tag, a part and
one more dimension; whatever else is asked is counted over the labels of its time, and refused when that is too much.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from linkrouter.central.labels import UNKNOWN, Insight
from linkrouter.central.roll_ups import DIMENSIONS, bucket_seconds
from linkrouter.central.store.interface import ClickLog
from linkrouter.central.store.questions import Cell, ClickFilter, Extent, RollUpQuestion, UnsettledClick
from linkrouter.insight import describe_agent
from linkrouter.units import DAY_S, SECOND_US

__all__ = ["TooLarge", "cells_of", "count_unsettled", "is_long", "unsettled_matching"]

MAX_COUNTED = 5_000_000  # clicks whose labels one question may count, a second for each million
MAX_AT_ONCE = 50_000  # of these a page with ten questions waits for a tenth of a second each
MAX_UNSETTLED = 20_000  # more wait only while central catches up
POINT_FILTERS = ("link_id", "message_id", "recipient")
VALUE_FILTERS = ("browser", "os", "platform", "country", "url")


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A question that would count too many clicks one by one."""

    clicks: int


async def cells_of(
    store: ClickLog,
    insight: Insight,
    asked: ClickFilter,
    unsettled: Iterable[UnsettledClick],
    dimension: str = "total",
    step: int = 0,
) -> list[Cell] | TooLarge:
    """Give the cells that *asked* holds for, by the values of *dimension*, and by points *step* seconds apart.

    *unsettled* is what `unsettled_matching` gives for *asked*: one question of several kinds of cells reads it once.
    """
    settled = await _settled_cells(store, asked, dimension, step)
    if isinstance(settled, TooLarge):
        return settled
    return settled + [
        _unsettled_cell(one, insight, dimension, step, robot, uniques)
        for one, robot, uniques in count_unsettled(unsettled)
    ]


async def is_long(store: ClickLog, asked: ClickFilter) -> bool:
    """Whether a page of figures would count clicks one by one, and more of them than a reader likes to wait for."""
    extent = await store.extent(asked.tenant)
    values = any(getattr(asked, name) is not None for name in VALUE_FILTERS)
    points = any(getattr(asked, name) is not None for name in POINT_FILTERS)
    if extent is None or points or not values:
        return False
    return await _number_of_clicks(store, _clamped(asked, extent)) > MAX_AT_ONCE


async def unsettled_matching(store: ClickLog, insight: Insight, asked: ClickFilter) -> list[UnsettledClick]:
    """Give the clicks without a label that *asked* holds for."""
    return [one for one in await store.unsettled_clicks(MAX_UNSETTLED) if _matches(one, insight, asked)]


def count_unsettled(clicks: Iterable[UnsettledClick]) -> Iterator[tuple[UnsettledClick, str, int]]:
    """Give each of *clicks* with a robot label and with 1 if it is the first on its link.

    It counts as a person's, unless its kind says that nobody clicked.
    """
    seen: set[tuple[str, int]] = set()
    for one in clicks:
        link = (one.click.link_id, one.click.tenant)
        if one.click.kind != "click":
            yield one, "machine", 0
            continue
        yield one, "human", int(one.is_new_link and link not in seen)
        seen.add(link)


async def _settled_cells(store: ClickLog, asked: ClickFilter, dimension: str, step: int) -> list[Cell] | TooLarge:
    extent = await store.extent(asked.tenant)
    if extent is None:
        return []
    within = _clamped(asked, extent)
    values = [name for name in VALUE_FILTERS if getattr(asked, name) is not None]
    points = [name for name in POINT_FILTERS if getattr(asked, name) is not None]
    rolled = values[0] if values else dimension
    is_finer = step % bucket_seconds(DIMENSIONS[rolled]) != 0  # than the roll-ups: a time zone's quarters of an hour
    if points or len(values) > 1 or (values and dimension not in ("total", values[0])) or is_finer:
        if not points and (number := await _number_of_clicks(store, within)) > MAX_COUNTED:
            return TooLarge(number)
        return await store.label_cells(within, dimension, step)
    return await _summed(store, within, rolled, dimension, step)


def _clamped(asked: ClickFilter, extent: Extent) -> ClickFilter:
    since = max(asked.since or 0, extent.since * SECOND_US)
    until = min(asked.until or 2**62, extent.until * SECOND_US)
    return replace(asked, since=since, until=until, robots="include")


async def _number_of_clicks(store: ClickLog, within: ClickFilter) -> int:
    plain = ClickFilter(tenant=within.tenant, tag=within.tag, since=within.since, until=within.until)
    return sum(cell.clicks for cell in await _summed(store, plain, "total", "total", DAY_S))


async def _summed(store: ClickLog, within: ClickFilter, rolled: str, dimension: str, step: int) -> list[Cell]:
    """Sum the roll-ups of the dimension *rolled* for whole buckets, and count the labels of the ragged ends."""
    bucket_us = bucket_seconds(DIMENSIONS[rolled]) * SECOND_US
    since, until = within.since or 0, within.until or 0
    first, last = -(-since // bucket_us) * bucket_us, until // bucket_us * bucket_us
    if first >= last:
        return await store.label_cells(within, dimension, step)
    cells = await store.roll_up_cells(
        RollUpQuestion(
            rolled,
            first // SECOND_US,
            last // SECOND_US,
            within.tenant,
            within.tag,
            None if rolled == "total" else getattr(within, rolled, None),
            within.part,
            step,
        )
    )
    if dimension == "total":
        cells = [cell._replace(value="") for cell in cells]
    for low, high in ((since, first), (last, until)):
        if low < high:
            cells += await store.label_cells(replace(within, since=low, until=high), dimension, step)
    return cells


def _matches(one: UnsettledClick, insight: Insight, asked: ClickFilter) -> bool:
    click = one.click
    known = {
        "link_id": click.link_id,
        "message_id": one.message_id,
        "recipient": one.recipient,
        "tag": one.tag,
        "tenant": click.tenant,
        "url": one.url,
        "part": click.part,
    }
    if any((value := getattr(asked, name)) is not None and value != known[name] for name in known):
        return False
    if not (asked.since or 0) <= click.clicked_at < (asked.until or 2**62):
        return False
    return all(getattr(asked, name) in (None, _value(one, insight, name)) for name in VALUE_FILTERS)


def _value(one: UnsettledClick, insight: Insight, dimension: str) -> str:
    """Give the value of a click that has no label yet."""
    click = one.click
    match dimension:
        case "browser" | "os" | "platform":
            return getattr(describe_agent(click.user_agent), dimension) or UNKNOWN if click.user_agent else UNKNOWN
        case "country":
            return insight.places.find_place(click.ip).country or UNKNOWN if click.ip else UNKNOWN
        case "kind":
            return click.kind
        case "url":
            return one.url or ""
        case "tag":
            return one.tag or ""
    return click.kind if dimension == "robot_reason" and click.kind != "click" else ""


def _unsettled_cell(one: UnsettledClick, insight: Insight, dimension: str, step: int, robot: str, uniques: int) -> Cell:
    second = one.click.clicked_at // SECOND_US
    at = second - second % step if step else 0
    return Cell(at, _value(one, insight, dimension), one.click.part, robot, 1, uniques)

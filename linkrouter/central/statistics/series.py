"""Figures over time: `GET /v1/stats/clicks/series`."""

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from linkrouter.central.labels import Insight
from linkrouter.central.statistics.cells import TooLarge, cells_of, unsettled_matching
from linkrouter.central.statistics.figures import Figures
from linkrouter.central.statistics.periods import Interval, common_step, points_between
from linkrouter.central.store.interface import ClickLog
from linkrouter.central.store.questions import Cell, ClickFilter, UnsettledClick
from linkrouter.units import SECOND_US

__all__ = ["Point", "TooManyPoints", "find_series"]


@dataclass(frozen=True, slots=True)
class Point:
    """The figures from *at* (seconds since the epoch) to the next point, and the clicks that went missing meanwhile."""

    at: int
    figures: Figures
    missing: int


@dataclass(frozen=True, slots=True)
class TooManyPoints:
    """A series that would have more points than anybody can look at."""


async def find_series(
    store: ClickLog, insight: Insight, asked: ClickFilter, interval: Interval, zone: ZoneInfo
) -> list[Point] | TooLarge | TooManyPoints:
    """Give every point between `since` and `until`; where one is None, from the first click or to the last."""
    unsettled = await unsettled_matching(store, insight, asked)
    ends = await _ends(store, asked, unsettled)
    if ends is None:
        return []
    try:
        points = points_between(*ends, interval, zone)
    except ValueError:
        return TooManyPoints()
    within = replace(asked, since=max(asked.since or 0, points[0] * SECOND_US))
    cells = await cells_of(store, insight, within, unsettled, "total", common_step(points))
    if isinstance(cells, TooLarge):
        return cells
    missing = await store.missing(asked.since, asked.until)
    figures = _fold_by_point(cells, points, asked.robots)
    lost = [0] * len(points)
    for loss in missing:
        lost[_index(points, loss.since // SECOND_US)] += loss.clicks
    return [Point(at, one, gone) for at, one, gone in zip(points, figures, lost, strict=True)]


async def _ends(store: ClickLog, asked: ClickFilter, unsettled: Sequence[UnsettledClick]) -> tuple[int, int] | None:
    extent = await store.extent(asked.tenant)
    clicked = [one.click.clicked_at // SECOND_US for one in unsettled]
    known = [*clicked, *((extent.since, extent.until - 1) if extent else ())]
    if asked.since is None and not known:
        return None
    since = min(known) if asked.since is None else asked.since // SECOND_US
    until = (max(known, default=since) + 1) if asked.until is None else -(-asked.until // SECOND_US)
    if asked.until is None:
        until = min(until, max(int(time.time()) + 1, since + 1))
    return since, max(until, since + 1)


def _fold_by_point(cells: list[Cell], points: Sequence[int], robots: str) -> list[Figures]:
    figures = [Figures() for _ in points]
    for cell in cells:
        figures[_index(points, cell.at)].add(cell, robots)
    return figures


def _index(points: Sequence[int], second: int) -> int:
    return max(bisect_right(points, second) - 1, 0)

"""The totals of a question: `GET /v1/stats/clicks`."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from linkrouter.central.labels import Insight
from linkrouter.central.statistics.cells import TooLarge, cells_of, unsettled_matching
from linkrouter.central.statistics.figures import Figures, fold, is_wanted
from linkrouter.central.store.interface import ClickLog
from linkrouter.central.store.questions import Cell, ClickFilter, MissingCell
from linkrouter.clicks.click import KINDS
from linkrouter.units import DAY_S, SECOND_US

__all__ = ["Totals", "count_totals"]

DAY_US = DAY_S * SECOND_US


@dataclass(frozen=True, slots=True)
class Totals:
    """All figures of a question. Times are microseconds since the epoch."""

    figures: Figures
    by_part: dict[str, int]
    by_kind: dict[str, int]
    by_reason: dict[str, int]
    unsettled: int
    first: int | None
    last: int | None
    missing: list[MissingCell] = field(default_factory=list)


async def count_totals(
    store: ClickLog, insight: Insight, asked: ClickFilter, *, brief: bool = False
) -> Totals | TooLarge:
    """Count clicks by part and kind, the machines by reason, and what routers had to drop meanwhile.

    *brief* leaves out kinds, reasons, and the first and last click: roll-ups alone then answer for one more value.
    """
    unsettled = await unsettled_matching(store, insight, asked)
    totals = await cells_of(store, insight, asked, unsettled, "total", DAY_S)
    if isinstance(totals, TooLarge):
        return totals
    kinds = [] if brief else await cells_of(store, insight, asked, unsettled, "kind")
    reasons = [] if brief else await cells_of(store, insight, asked, unsettled, "robot_reason")
    if isinstance(kinds, TooLarge) or isinstance(reasons, TooLarge):
        return TooLarge(0)
    times = [one.click.clicked_at for one in unsettled if one.click.kind == "click"]
    first, last = (None, None) if brief else await _ends(store, asked, totals)
    times += [time_us for time_us in (first, last) if time_us is not None]
    parts = {part: fold((cell for cell in totals if cell.part == part), asked.robots) for part in ("html", "text")}
    by_kind = _count_values(kinds)
    return Totals(
        figures=fold(totals, asked.robots),
        by_part={part: figures.clicks for part, figures in parts.items()},
        by_kind={kind: by_kind[kind] for kind in KINDS},
        by_reason=dict(_count_values(cell for cell in reasons if cell.robot == "machine").most_common()),
        unsettled=len(unsettled),
        first=min(times, default=None),
        last=max((time_us for time_us in times if time_us <= _latest()), default=None),
        missing=await store.missing(asked.since, asked.until),
    )


def _count_values(cells: Iterable[Cell]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[cell.value] += cell.clicks
    return counts


async def _ends(store: ClickLog, asked: ClickFilter, totals: list[Cell]) -> tuple[int | None, int | None]:
    """Find the first and the last click, on the first and the last day that have any by a sane clock."""
    days = [cell.at for cell in totals if cell.at * SECOND_US <= _latest() and is_wanted(cell.robot, asked.robots)]
    if not days:
        return None, None
    found: list[int | None] = []
    for day in (min(days), max(days)):
        since, until = max(asked.since or 0, day * SECOND_US), min(asked.until or 2**62, (day + DAY_S) * SECOND_US)
        found += await store.first_and_last(replace(asked, since=since, until=min(until, _latest())))
    times = [time_us for time_us in found if time_us is not None]
    return min(times, default=None), max(times, default=None)


def _latest() -> int:
    """Give the latest time that a click may have: a day ahead of this clock."""
    return time.time_ns() // 1000 + DAY_US

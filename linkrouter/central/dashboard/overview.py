"""The overview: clicks over time, totals against the period before, and the values that have most of them.

Promise: each figure is one of the statistics API for the same question. Filters and period are the URL: a value that is
clicked filters by itself, and is taken away in the same place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from linkrouter.central.answers import ClickSeries, ClickStats
from linkrouter.central.dashboard.period import PERIODS, Period, read_period, read_zone
from linkrouter.central.dashboard.templates import show
from linkrouter.central.fields import write_time
from linkrouter.central.figures_api import Statistics
from linkrouter.central.models import BreakdownQuery, SeriesQuery, StatsQuery
from linkrouter.units import SECOND_US
from linkrouter.web.pages import Html, Redirect, Visitor
from linkrouter.web.problems import Fault, Refusal

__all__ = ["FILTERS", "Overview", "known_points", "read_filters"]

FILTERS = ("part", "url", "tag", "browser", "os", "platform", "country", "recipient", "message_id")
BOXES = ("part", "url", "tag", "browser", "os", "platform", "country", "robot_reason")
BOX_ROWS = 8
KEPT = ("period", "since", "until", "interval", "compare", "machines", "timezone", "robots", "tenant", *FILTERS)

# A page whose figures are still counted: it is shown at once, and asks for them itself, with `whole` in its URL.
_PENDING: dict[str, Any] = {
    "pending": True,
    "totals": {
        "total": None,
        "unique": None,
        "robots": {"total": None},
        "missing": {"count": None},
        "unsure": 0,
        "without_consent": 0,
        "unsettled": 0,
    },
    "series": {"points": []},
    "boxes": dict.fromkeys(BOXES, "pending"),
}


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page needs: the statistics, and the time."""

    statistics: Statistics
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def show(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show the figures that the URL asks for."""
        kept = {name: fields[name] for name in KEPT if fields.get(name)}
        period = read_period(kept, read_zone(kept.get("timezone", ""), visitor.zone), self.now())
        asked = read_filters(kept)
        if isinstance(asked, Refusal):
            return asked
        values: dict[str, Any] = {
            "fields": kept,
            "filters": {name: kept[name] for name in FILTERS if name in kept},
            "period": period,
            "periods": PERIODS,
            "totals": None,
            "before": None,
            "before_is": "",
            "begun": None,
            "series": None,
            "clicks_before": None,
            "boxes": {},
            "pending": False,
            "series_since": write_time(period.since),
            "series_until": write_time(period.until),
        }
        within = _within(asked, period.since, period.until)
        if not period.faults and not fields.get("whole") and await self.statistics.is_long(within, visitor.caller):
            values |= _PENDING
        elif not period.faults:
            found = await self._figures(asked, period, visitor, compare="compare" in kept)
            if isinstance(found, Refusal):
                return found
            values |= found
        return show("overview.html", visitor, "overview", **values)

    async def _figures(
        self, asked: StatsQuery, period: Period, visitor: Visitor, *, compare: bool
    ) -> dict[str, Any] | Refusal:
        caller, statistics = visitor.caller, self.statistics
        within = _within(asked, period.since, period.until)
        steps = {"interval": period.interval, "timezone": period.zone}
        totals = await statistics.count(within, caller, brief=True)
        series = await statistics.series(cast(SeriesQuery, {**within, **steps}), caller)
        if isinstance(totals, Refusal):
            return totals
        if isinstance(series, Refusal):
            return series
        before: ClickStats | Refusal | None = None
        series_before: ClickSeries | Refusal | None = None
        known = await self._known(visitor.caller.narrow(asked.get("tenant")))
        if span := period.before():
            earlier = _within(asked, *span)
            before = await statistics.count(earlier, caller, brief=True)
            if compare:
                series_before = await statistics.series(cast(SeriesQuery, {**earlier, **steps}), caller)
        boxes = {}
        for dimension in BOXES:
            question = cast(BreakdownQuery, {**within, "dimension": dimension, "limit": BOX_ROWS})
            boxes[dimension] = await statistics.breakdown(question, caller)
        return {
            "totals": totals,
            "before": None if isinstance(before, Refusal) else before,
            "before_is": _how_known(span, known),
            "begun": write_time(known[0]) if known else None,
            "series": {**series, "points": known_points(series, known)},
            "clicks_before": None
            if series_before is None or isinstance(series_before, Refusal)
            else [point["clicks"] for point in known_points(series_before, known)],
            "boxes": {name: None if isinstance(box, Refusal) else box for name, box in boxes.items()},
        }

    async def _known(self, tenant: int | None) -> tuple[int, int] | None:
        """Give the time of which figures tell: from the day of the first click to now. None before the first one."""
        extent = await self.statistics.store.extent(tenant)
        return (extent.since * SECOND_US, int(self.now().timestamp()) * SECOND_US) if extent else None


def _how_known(span: tuple[int, int] | None, known: tuple[int, int] | None) -> str:
    """Say whether clicks were counted "all" of the time of *span*, a "part" of it, or "none"."""
    if span is None or known is None or span[1] <= known[0]:
        return "none"
    return "all" if known[0] <= span[0] else "part"


def known_points(series: ClickSeries, known: tuple[int, int] | None) -> list[dict[str, Any]]:
    """Give the points of *series*; of one before the first click that was ever stored, or to come, no figure is known.

    What routers lost is known all the same.
    """
    points = series["points"]
    begins = [int(datetime.fromisoformat(point["at"]).timestamp()) * SECOND_US for point in points]
    ends = [*begins[1:], max(begins, default=0) + 1]
    return [
        {**point}
        if point["clicks"] or point["robots"] or (known and known[0] < end and begin <= known[1])
        else {**point, "clicks": None, "unique": None, "robots": None}
        for point, begin, end in zip(points, begins, ends, strict=True)
    ]


def read_filters(fields: Mapping[str, str]) -> StatsQuery | Refusal:
    """Give the filters of the URL as the API takes them."""
    asked: dict[str, Any] = {name: fields[name] for name in FILTERS if fields.get(name)}
    if fields.get("robots"):
        asked["robots"] = fields["robots"]
        if fields["robots"] not in ("exclude", "include", "only"):
            return Refusal(422, Fault("robots must be exclude, include or only"))
    if tenant := fields.get("tenant"):
        if not tenant.isascii() or not tenant.isdigit() or len(tenant) > 9:
            return Refusal(422, Fault("tenant must be a whole number"))
        asked["tenant"] = int(tenant)
    return cast(StatsQuery, asked)


def _within(asked: StatsQuery, since: int | None, until: int | None) -> StatsQuery:
    within: dict[str, Any] = dict(asked)
    if since is not None:
        within["since"] = max(since, 0)
    if until is not None:
        within["until"] = max(until, 0)
    return cast(StatsQuery, within)

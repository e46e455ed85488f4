"""The statistics as answers: what is counted, in the words of the API."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from linkrouter.central.answers import BreakdownFigures, ClickBreakdown, ClickSeries, ClickStats, MissingClicks
from linkrouter.central.fields import write_time
from linkrouter.central.labels import Insight
from linkrouter.central.models import BreakdownQuery, SeriesQuery, StatsQuery
from linkrouter.central.queries import TOO_LARGE, read_filter
from linkrouter.central.statistics import TooLarge, break_down, count_totals, find_series
from linkrouter.central.statistics.cells import is_long
from linkrouter.central.statistics.figures import Figures
from linkrouter.central.statistics.series import TooManyPoints
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.questions import MissingCell
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.tokens import Caller

__all__ = ["Statistics"]

DEFAULT_ROWS = 50
UTC_ZONE = ZoneInfo("UTC")
TOO_MANY_POINTS = Refusal(422, Fault("interval must be longer, or since and until nearer to each other"))

Rows = AsyncIterator[tuple[str | int | None, ...]]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the answers need: the store, the tables of places, and how few clicks a row of a breakdown may show."""

    store: CentralStore
    insight: Insight
    min_cell: int = 0

    async def count(self, query: StatsQuery, caller: Caller, *, brief: bool = False) -> ClickStats | Refusal:
        """Count clicks by part and kind, machines by reason, and say how many clicks routers had to drop meanwhile."""
        asked = read_filter(query, caller, "exclude")
        if isinstance(asked, Refusal):
            return asked
        totals = await count_totals(self.store, self.insight, asked, brief=brief)
        if isinstance(totals, TooLarge):
            return TOO_LARGE
        figures = totals.figures
        return {
            "total": figures.clicks,
            "unique": figures.unique,
            "by_part": totals.by_part,
            "by_kind": totals.by_kind,
            "robots": {"total": figures.robots, "by_reason": totals.by_reason},
            "unsure": figures.unsure,
            "without_consent": figures.not_judged,
            "unsettled": totals.unsettled,
            "first": write_time(totals.first),
            "last": write_time(totals.last),
            "missing": _missing(totals.missing),
        }

    async def is_long(self, query: StatsQuery, caller: Caller) -> bool:
        """Whether the answer takes longer than a page should."""
        asked = read_filter(query, caller, "exclude")
        return not isinstance(asked, Refusal) and await is_long(self.store, asked)

    async def series(self, query: SeriesQuery, caller: Caller) -> ClickSeries | Refusal:
        """Count clicks over time, by the hour, day, week or month of a time zone."""
        asked = read_filter(query, caller, "exclude")
        if isinstance(asked, Refusal):
            return asked
        interval, zone = query.get("interval", "day"), query.get("timezone", UTC_ZONE)
        points = await find_series(self.store, self.insight, asked, interval, zone)
        if isinstance(points, TooLarge):
            return TOO_LARGE
        if isinstance(points, TooManyPoints):
            return TOO_MANY_POINTS
        return {
            "interval": interval,
            "timezone": zone.key,
            "points": [
                {
                    "at": datetime.fromtimestamp(point.at, UTC).astimezone(zone).isoformat(),
                    "clicks": point.figures.clicks,
                    "unique": point.figures.unique,
                    "robots": point.figures.robots,
                    "missing": point.missing,
                }
                for point in points
            ],
        }

    async def breakdown(self, query: BreakdownQuery, caller: Caller) -> ClickBreakdown | Refusal:
        """Count clicks by the values of one dimension, most clicks first."""
        asked = read_filter(query, caller, "exclude")
        if isinstance(asked, Refusal):
            return asked
        limit = query.get("limit", DEFAULT_ROWS)
        found = await break_down(self.store, self.insight, asked, query["dimension"], limit, self.min_cell)
        if isinstance(found, TooLarge):
            return TOO_LARGE
        return {
            "dimension": query["dimension"],
            "rows": [{"value": value or None, **_figures(figures)} for value, figures in found.rows],
            "other": _figures(found.other),
        }

    async def series_table(self, query: SeriesQuery, caller: Caller) -> Rows | Refusal:
        """Give clicks over time as a table."""
        series = await self.series(query, caller)
        if isinstance(series, Refusal):
            return series
        columns = ("at", "clicks", "unique", "robots", "missing")
        return _rows(columns, [tuple(point[name] for name in columns) for point in series["points"]])  # type: ignore[literal-required]

    async def breakdown_table(self, query: BreakdownQuery, caller: Caller) -> Rows | Refusal:
        """Give clicks by the values of one dimension as a table; the last row has all others."""
        found = await self.breakdown(query, caller)
        if isinstance(found, Refusal):
            return found
        columns = ("clicks", "unique", "robots")
        rows = [(row["value"], *(row[name] for name in columns)) for row in found["rows"]]  # type: ignore[literal-required]
        other = ("other", *(found["other"][name] for name in columns))  # type: ignore[literal-required]
        return _rows((found["dimension"], *columns), [*rows, other])


async def _rows(columns: tuple[str, ...], rows: list[tuple[str | int | None, ...]]) -> Rows:
    yield columns
    for row in rows:
        yield row


def _figures(figures: Figures) -> BreakdownFigures:
    return {"clicks": figures.clicks, "unique": figures.unique, "robots": figures.robots}


def _missing(losses: list[MissingCell]) -> MissingClicks:
    by_reason: dict[str, int] = {}
    for loss in losses:
        by_reason[loss.reason] = by_reason.get(loss.reason, 0) + loss.clicks
    return {
        "count": sum(by_reason.values()),
        "by_reason": by_reason,
        "since": write_time(min((loss.since for loss in losses), default=None)),
        "until": write_time(max((loss.until for loss in losses), default=None)),
    }

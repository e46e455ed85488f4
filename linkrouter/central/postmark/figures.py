"""Postmark's statistics of clicks: `/stats/outbound` and what is below it.

Promise: the figures are those of linkrouter's own API, machines left out, by days in New York; days without any are
left out, and every counter stands in each day. What central does not know, such as bounces and opens, is 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from typing_extensions import TypedDict

from linkrouter.central.labels import UNKNOWN, Insight
from linkrouter.central.postmark.queries import (
    POSTMARK_ZONE,
    FamilyStatsQuery,
    PostmarkStatsQuery,
    read_stats_filter,
)
from linkrouter.central.queries import TOO_LARGE
from linkrouter.central.statistics import TooLarge
from linkrouter.central.statistics.cells import cells_of, unsettled_matching
from linkrouter.central.statistics.figures import is_wanted
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.questions import Cell, ClickFilter, MessageFilter
from linkrouter.units import HOUR_S
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller

__all__ = ["PostmarkClickCounts", "PostmarkDay", "PostmarkOverview", "PostmarkStatistics"]

Counts = dict[str, int]
PLATFORM_NAMES = ("Desktop", "Mobile", "Unknown")
LOCATION_NAMES = ("HTML", "Text")


class PostmarkOverview(TypedDict):
    """All figures of `/stats/outbound`."""

    Sent: int
    Bounced: int
    SMTPApiErrors: int
    BounceRate: float
    SpamComplaints: int
    SpamComplaintsRate: float
    Opens: int
    UniqueOpens: int
    Tracked: int
    WithLinkTracking: int
    WithOpenTracking: int
    TotalTrackedLinksSent: int
    UniqueLinksClicked: int
    TotalClicks: int
    WithClientRecorded: int
    WithPlatformRecorded: int
    WithReadTimeRecorded: int


class PostmarkDay(TypedDict):
    """The figures of one day."""

    Date: str
    Clicks: int
    Unique: int


class PostmarkClickCounts(TypedDict):
    """Clicks, all and by day."""

    Days: list[PostmarkDay]
    Clicks: int
    Unique: int


@dataclass(frozen=True, slots=True)
class PostmarkStatistics:
    """What the answers need."""

    store: CentralStore
    insight: Insight

    async def overview(self, query: PostmarkStatsQuery, caller: Caller) -> PostmarkOverview | Refusal:
        """Give an overview of mails and clicks as Postmark does; what central does not know is 0."""
        asked = read_stats_filter(query, caller)
        families = await self._cells(asked, "browser")
        platforms = await self._cells(asked, "platform")
        if isinstance(families, Refusal) or isinstance(platforms, Refusal):
            return TOO_LARGE
        sent = await self.store.count_messages(
            MessageFilter(tag=asked.tag, tenant=asked.tenant, since=asked.since, until=asked.until)
        )
        return {
            "Sent": sent.messages,
            "Bounced": 0,
            "SMTPApiErrors": 0,
            "BounceRate": 0.0,
            "SpamComplaints": 0,
            "SpamComplaintsRate": 0.0,
            "Opens": 0,
            "UniqueOpens": 0,
            "Tracked": sent.tracked,
            "WithLinkTracking": sent.tracked,
            "WithOpenTracking": 0,
            "TotalTrackedLinksSent": sent.links,
            "UniqueLinksClicked": sum(cell.uniques for cell in families),
            "TotalClicks": sum(cell.clicks for cell in families),
            "WithClientRecorded": sum(cell.clicks for cell in families if cell.value != UNKNOWN),
            "WithPlatformRecorded": sum(cell.clicks for cell in platforms if cell.value != UNKNOWN),
            "WithReadTimeRecorded": 0,
        }

    async def clicks(self, query: PostmarkStatsQuery, caller: Caller) -> PostmarkClickCounts | Refusal:
        """Count clicks by day as Postmark does."""
        cells = await self._cells(read_stats_filter(query, caller), "total", HOUR_S)
        if isinstance(cells, Refusal):
            return cells
        days: dict[str, PostmarkDay] = {}
        for cell in cells:
            day = days.setdefault(_day(cell), {"Date": _day(cell), "Clicks": 0, "Unique": 0})
            day["Clicks"] += cell.clicks
            day["Unique"] += cell.uniques
        return {
            "Days": [days[name] for name in sorted(days)],
            "Clicks": sum(day["Clicks"] for day in days.values()),
            "Unique": sum(day["Unique"] for day in days.values()),
        }

    async def break_down(self, query: FamilyStatsQuery, caller: Caller) -> dict[str, Any] | Refusal:
        """Count clicks by day and browser, platform or part of the mail as Postmark does: names are the fields."""
        breakdown = query["breakdown"]
        cells = await self._cells(read_stats_filter(query, caller), DIMENSION_OF[breakdown], HOUR_S)
        if isinstance(cells, Refusal):
            return cells
        days: dict[str, Counts] = {}
        for cell in cells:
            day, name = days.setdefault(_day(cell), {}), _name(cell, breakdown)
            day[name] = day.get(name, 0) + cell.clicks
        fixed = {"platforms": PLATFORM_NAMES, "location": LOCATION_NAMES}.get(breakdown, ())
        return {
            "Days": [{"Date": day} | dict.fromkeys(fixed, 0) | days[day] for day in sorted(days)],
            **dict.fromkeys(fixed, 0),
            **_sum(days.values()),
        }

    async def _cells(self, asked: ClickFilter, dimension: str, step: int = 0) -> list[Cell] | Refusal:
        unsettled = await unsettled_matching(self.store, self.insight, asked)
        cells = await cells_of(self.store, self.insight, asked, unsettled, dimension, step)
        if isinstance(cells, TooLarge):
            return TOO_LARGE
        return [cell for cell in cells if is_wanted(cell.robot, asked.robots)]


DIMENSION_OF = {"browserfamilies": "browser", "platforms": "platform", "location": "total"}


def _day(cell: Cell) -> str:
    return datetime.fromtimestamp(cell.at, UTC).astimezone(POSTMARK_ZONE).date().isoformat()


def _name(cell: Cell, breakdown: Literal["browserfamilies", "platforms", "location"]) -> str:
    if breakdown == "location":
        return "HTML" if cell.part == "html" else "Text"
    if breakdown == "platforms":
        return {"desktop": "Desktop", "unknown": "Unknown"}.get(cell.value, "Mobile")
    return "Unknown" if cell.value == UNKNOWN else cell.value


def _sum(days: Iterable[Counts]) -> Counts:
    sums: Counts = {}
    for day in days:
        for name, count in day.items():
            sums[name] = sums.get(name, 0) + count
    return dict(sorted(sums.items(), key=lambda row: (-row[1], row[0])))

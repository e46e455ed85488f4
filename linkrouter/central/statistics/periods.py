"""Points of a series: where hours, days, weeks and months begin in a time zone.

Promise: no point is left out, and each ends where the next begins, also on days that have 23 or 25 hours. Weeks begin
on Monday (ISO 8601).
"""

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from linkrouter.units import DAY_S, HOUR_S

__all__ = ["INTERVALS", "MAX_POINTS", "Interval", "common_step", "points_between"]

Interval = Literal["hour", "day", "week", "month"]
INTERVALS: tuple[Interval, ...] = ("hour", "day", "week", "month")
MAX_POINTS = 5000


def points_between(since: int, until: int, interval: Interval, zone: ZoneInfo) -> list[int]:
    """Give the first second of each point that touches the time from *since* to *until*, seconds since the epoch.

    Raises:
        ValueError: there would be more than `MAX_POINTS`.
    """
    start = _floor(datetime.fromtimestamp(since, UTC).astimezone(zone), interval)
    points: list[int] = []
    while True:
        at = int(start.timestamp())
        if at >= until and points:
            return points
        points.append(at)
        if len(points) > MAX_POINTS:
            raise ValueError("too many points")
        start = _next(start, interval)


def common_step(points: list[int]) -> int:
    """Give the longest of a day, an hour and a quarter of an hour (UTC) that all of *points* begin with."""
    for step in (DAY_S, HOUR_S):
        if all(point % step == 0 for point in points):
            return step
    return 900


def _floor(moment: datetime, interval: Interval) -> datetime:
    if interval == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


def _next(moment: datetime, interval: Interval) -> datetime:
    if interval == "hour":  # on the line of time, not on the clock's face
        return (moment.astimezone(UTC) + timedelta(hours=1)).astimezone(moment.tzinfo)
    if interval == "month":
        return (moment.replace(day=1) + timedelta(days=32)).replace(day=1)
    return moment + timedelta(days=7 if interval == "week" else 1)

"""The period that a page shows: from fields of the URL to two moments, and to the period before.

Promise: days begin and end in the visitor's time zone. What cannot be read is named and kept as it was typed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from linkrouter.central.statistics.periods import INTERVALS
from linkrouter.units import SECOND_US

__all__ = ["PERIODS", "Period", "read_period", "read_zone"]

PERIODS = ("today", "7d", "30d", "90d", "12m", "all", "custom")
DEFAULT_PERIOD = "30d"
_DAYS = {"today": 1, "7d": 7, "30d": 30, "90d": 90, "12m": 365}
_POINTS = {"today": "hour", "7d": "day", "30d": "day", "90d": "day", "12m": "month", "all": "month"}


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` to `until` (microseconds since the epoch, not included); None is without an end.

    `faults` names the fields that could not be read; then nothing is shown for them.
    """

    name: str
    interval: str
    zone: ZoneInfo
    since: int | None = None
    until: int | None = None
    first_day: str = ""
    last_day: str = ""
    faults: tuple[str, ...] = field(default=())

    def before(self) -> "tuple[int, int] | None":
        """Give the period of the same length that ends where this one begins."""
        if self.since is None or self.until is None:
            return None
        return self.since - (self.until - self.since), self.since


def read_zone(*names: str) -> ZoneInfo:
    """Give the first of *names* that is a time zone, else UTC."""
    for name in names:
        try:
            if name:
                return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


def read_period(fields: Mapping[str, str], zone: ZoneInfo, now: datetime) -> Period:
    """Read `period`, `since`, `until` (days, both included) and `interval`."""
    name = fields.get("period", "custom" if fields.get("since") or fields.get("until") else DEFAULT_PERIOD)
    faults = [] if name in PERIODS else ["period"]
    interval = fields.get("interval") or _POINTS.get(name, "day")
    if interval not in INTERVALS:
        faults.append("interval")
    if name == "all":
        return Period(name, interval, zone, faults=tuple(faults))
    first, last = fields.get("since", ""), fields.get("until", "")
    today = now.astimezone(zone).date()
    if name == "custom":
        begin, end = _day(first), _day(last)
        faults += [word for word, text, day in (("since", first, begin), ("until", last, end)) if not day and text]
        if begin and end and end < begin:
            faults.append("until")
        begin, end = begin or today - timedelta(days=29), end or today
        if not fields.get("interval") and not faults:
            interval = "hour" if (end - begin).days < 3 else "day" if (end - begin).days < 190 else "month"
    else:
        end = today
        begin = end - timedelta(days=_DAYS.get(name, 30) - 1)
        first, last = begin.isoformat(), end.isoformat()
    if faults:
        return Period(name, interval, zone, None, None, first, last, tuple(faults))
    return Period(name, interval, zone, _begin(begin, zone), _begin(end + timedelta(days=1), zone), first, last)


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 1970 <= found.year <= 9000 else None


def _begin(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp()) * SECOND_US

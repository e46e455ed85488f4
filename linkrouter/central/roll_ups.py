"""Roll-ups: how many clicks there were, by hour and by what statistics group by. The one definition of them.

Promise: figures are sums over labels, so that a label that changes is taken out as it was and put in as it is, and a
count over all labels gives the same. A click counts for its tenant with and without its tag, in each dimension, by the
hour and by the day (UTC); the totals by the quarter of an hour, because there are time zones that begin their days at
one. *Unique* is the first click by a person on a link: it stands in one hour only, so it adds up over time.
"""

from collections.abc import Iterable
from typing import NamedTuple

from linkrouter.units import DAY_S, HOUR_S, SECOND_US

__all__ = [
    "DIMENSIONS",
    "FINE",
    "KINDS_BY_NUMBER",
    "MACHINE",
    "PARTS_BY_NUMBER",
    "ROBOTS_BY_NUMBER",
    "WHOLE_DAY",
    "LabelRow",
    "RollUpKey",
    "bucket_seconds",
    "count_labels",
]

PARTS_BY_NUMBER = ("html", "text")
KINDS_BY_NUMBER = ("click", "head", "prefetch")
ROBOTS_BY_NUMBER = ("human", "machine", "unsure", "not judged")
MACHINE = ROBOTS_BY_NUMBER.index("machine")

# The number of each stands in the database.
DIMENSIONS = {
    "total": 0,
    "kind": 1,
    "browser": 2,
    "os": 3,
    "platform": 4,
    "country": 5,
    "url": 6,
    "tag": 7,
    "robot_reason": 8,
}
FINE, WHOLE_DAY = 0, 1  # spans
QUARTER_S = 900


class LabelRow(NamedTuple):
    """A label as the store keeps it: texts are numbers of its table of words, where 0 is the empty one."""

    seq: int
    tenant: int
    clicked_at: int
    message: int
    tag: int
    part: int
    kind: int
    browser: int
    os: int
    platform: int
    country: int
    region: int
    city: int
    url: int
    robot: int
    reason: int  # the deciding one, of machines alone
    reasons: int
    version: int
    is_first: int  # 1 for the first click by a person on its link


# tenant, tag (0 is all), dimension, span, bucket (its first second), value, part, robot
RollUpKey = tuple[int, int, int, int, int, int, int, int]
_FineKey = tuple[int, int, int, int, int, int, int]  # without span: by the click's own tag and the shortest bucket


def bucket_seconds(dimension: int) -> int:
    """Give the length of the shortest bucket of *dimension*."""
    return QUARTER_S if dimension == DIMENSIONS["total"] else HOUR_S


def count_labels(rows: Iterable[LabelRow], without: Iterable[LabelRow] = ()) -> dict[RollUpKey, list[int]]:
    """Count *rows*, less *without*: [clicks, uniques] of each roll-up; what comes to nothing stays in."""
    fine: dict[_FineKey, list[int]] = {}
    _add_fine(fine, rows, 1)
    _add_fine(fine, without, -1)
    counts: dict[RollUpKey, list[int]] = {}
    for (tenant, tag, dimension, bucket, value, part, robot), count in fine.items():
        for of_tag in (0, tag) if tag else (0,):
            for span, begin in ((FINE, bucket), (WHOLE_DAY, bucket - bucket % DAY_S)):
                sums = counts.setdefault((tenant, of_tag, dimension, span, begin, value, part, robot), [0, 0])
                sums[0] += count[0]
                sums[1] += count[1]
    return counts


def _add_fine(counts: dict[_FineKey, list[int]], rows: Iterable[LabelRow], sign: int) -> None:
    """Count each of *rows* once in each dimension; what is longer, or of all tags, is summed from that."""
    for row in rows:
        first = sign * row.is_first
        for key in _fine_keys(row):
            count = counts.get(key)
            if count is None:
                counts[key] = [sign, first]
            else:
                count[0] += sign
                count[1] += first


def _fine_keys(row: LabelRow) -> Iterable[_FineKey]:
    second = row.clicked_at // SECOND_US
    hour = second - second % HOUR_S
    _, tenant, _, _, tag, part, kind, browser, os, platform, country, _, _, url, robot, reason, *_ = row
    keys = (
        (tenant, tag, 0, second - second % QUARTER_S, 0, part, robot),
        (tenant, tag, 1, hour, kind, part, robot),
        (tenant, tag, 2, hour, browser, part, robot),
        (tenant, tag, 3, hour, os, part, robot),
        (tenant, tag, 4, hour, platform, part, robot),
        (tenant, tag, 5, hour, country, part, robot),
        (tenant, tag, 6, hour, url, part, robot),
        (tenant, tag, 7, hour, tag, part, robot),
    )
    return (*keys, (tenant, tag, 8, hour, reason, part, robot)) if robot == MACHINE else keys

"""Roll-ups: how many clicks there were, by hour and by what statistics group by. The one definition of them.

Promise: figures are sums over labels, so that a label that changes is taken out as it was and put in as it is, and a
count over all labels gives the same. A click counts for its tenant with and without its tag, in each dimension, by the
hour and by the day (UTC); the totals by the quarter of an hour, because there are time zones that begin their days at
one. *Unique* is the first click by a person on a link: it stands in one hour only, so it adds up over time.
"""

from collections.abc import Iterable, Iterator
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
    "roll_up_keys",
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


def bucket_seconds(dimension: int) -> int:
    """Give the length of the shortest bucket of *dimension*."""
    return QUARTER_S if dimension == DIMENSIONS["total"] else HOUR_S


def roll_up_keys(row: LabelRow) -> Iterator[RollUpKey]:
    """Give every roll-up that the click of *row* counts in."""
    second = row.clicked_at // SECOND_US
    hour, day = second - second % HOUR_S, second - second % DAY_S
    values = [
        (1, row.kind),
        (2, row.browser),
        (3, row.os),
        (4, row.platform),
        (5, row.country),
        (6, row.url),
        (7, row.tag),
    ]
    if row.robot == MACHINE:
        values.append((8, row.reason))
    for tag in (0, row.tag) if row.tag else (0,):
        yield (row.tenant, tag, 0, FINE, second - second % QUARTER_S, 0, row.part, row.robot)
        yield (row.tenant, tag, 0, WHOLE_DAY, day, 0, row.part, row.robot)
        for dimension, value in values:
            yield (row.tenant, tag, dimension, FINE, hour, value, row.part, row.robot)
            yield (row.tenant, tag, dimension, WHOLE_DAY, day, value, row.part, row.robot)


def count_labels(
    rows: Iterable[LabelRow], sign: int = 1, into: dict[RollUpKey, list[int]] | None = None
) -> dict[RollUpKey, list[int]]:
    """Add *sign* for each of *rows* to its roll-ups: [clicks, uniques] by key; what comes to nothing stays in."""
    counts = {} if into is None else into
    for row in rows:
        for key in roll_up_keys(row):
            count = counts.get(key)
            if count is None:
                counts[key] = count = [0, 0]
            count[0] += sign
            count[1] += sign * row.is_first
    return counts

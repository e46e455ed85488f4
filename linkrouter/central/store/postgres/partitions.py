"""The months of clicks: each has a partition of its own, made before its first click comes.

Promise: a click always has a place. Months from `MONTHS_BACK` before this one to `MONTHS_AHEAD` behind it get a
partition; any other time is a wrong clock's, and stays in the default partition, until its month is made.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from linkrouter.central.store.postgres.database import PostgresConnection, PostgresDatabase
from linkrouter.central.store.sql.database import Lock, SqlConnection, in_transaction
from linkrouter.units import DAY_S, SECOND_US

__all__ = ["Month", "PostgresPartitions", "month_of"]

MONTHS_BACK, MONTHS_AHEAD = 60, 2
FORGOTTEN_LABELS = 10_000  # in one transaction
DEFAULT_PARTITION = "clicks_default"
PARTITION_DAY_US = DAY_S * SECOND_US

KNOWN_MONTHS = """
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'clicks'::regclass
"""
# A month goes whole when all of its clicks are labelled, and so in the figures.
IS_OLD = """
SELECT coalesce(max(seq), 0) <= (SELECT seq FROM progress WHERE name = 'labelled'), count(*) FROM {name}
"""
DROP_MONTH = "SET LOCAL lock_timeout = '3s'; DROP TABLE {name}"
DROP_LABELS = """
DELETE FROM labels WHERE seq IN (
    SELECT seq FROM labels WHERE clicked_at < :before AND NOT EXISTS (
        SELECT 1 FROM clicks WHERE clicks.seq = labels.seq AND clicks.clicked_at = labels.clicked_at) LIMIT :limit)
"""
# What came before its month was made moves there.
MAKE_MONTH = """
CREATE TABLE {name} (LIKE clicks INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
WITH moved AS (DELETE FROM clicks_default WHERE clicked_at >= {begin:d} AND clicked_at < {end:d} RETURNING *)
INSERT INTO {name} SELECT * FROM moved;
ALTER TABLE clicks ATTACH PARTITION {name} FOR VALUES FROM ({begin:d}) TO ({end:d})
"""


class Month(NamedTuple):
    """A month of the calendar, UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, partition: str) -> "Month":
        """Give the month that has this partition."""
        _, year, month = partition.split("_")
        return cls(int(year), int(month))

    @property
    def partition(self) -> str:
        """The name of its table."""
        return f"clicks_{self.year:04}_{self.month:02}"

    @property
    def begin_us(self) -> int:
        """Its first microsecond since the epoch."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()) * SECOND_US

    def later(self, months: int) -> "Month":
        """Give the month so many months behind it."""
        years, number = divmod(self.month - 1 + months, 12)
        return Month(self.year + years, number + 1)


def month_of(time_us: int) -> Month:
    """Give the month of a time in microseconds since the epoch."""
    at = datetime.fromtimestamp(time_us // SECOND_US, UTC)
    return Month(at.year, at.month)


class PostgresPartitions(PostgresDatabase):
    """The part of a store that makes months."""

    _months: frozenset[str] = frozenset()  # that are known to be made

    async def open(self) -> None:
        """See `CentralStore`."""
        await super().open()
        await self.transact(lambda writer: self.make_months(writer, [time.time_ns() // 1000]))

    async def drop_month(self, before_us: int) -> int:
        """Drop a month that ended before then, or some labels of one that is gone; give how many that were."""
        return await self._drop_month(before_us) or await self._drop_labels(before_us)

    @in_transaction(Lock.LABELS | Lock.NUMBERS)
    async def _drop_month(self, writer: SqlConnection, before_us: int) -> int:
        assert isinstance(writer, PostgresConnection)
        for name in sorted(name for (name,) in await writer.fetch(KNOWN_MONTHS)):
            if name == DEFAULT_PARTITION or Month.of(name).later(1).begin_us > before_us:
                continue
            [(is_old, clicks)] = await writer.fetch(IS_OLD.format(name=name))
            if is_old:
                await writer.own.execute(DROP_MONTH.format(name=name))
                self._months = frozenset()
                return max(int(clicks), 1)
        return 0

    @in_transaction(Lock.LABELS)
    async def _drop_labels(self, writer: SqlConnection, before_us: int) -> int:
        return await writer.execute(DROP_LABELS, {"before": before_us, "limit": FORGOTTEN_LABELS})

    async def make_room(self, writer: SqlConnection, times_us: Sequence[int]) -> None:
        """See `SqlDatabase`."""
        await self.make_months(writer, times_us)

    async def make_months(self, writer: SqlConnection, times_us: Iterable[int]) -> None:
        """Make the months of *times_us*, where they can be, and those ahead of now."""
        assert isinstance(writer, PostgresConnection)
        now = month_of(time.time_ns() // 1000)
        first, last = now.later(-MONTHS_BACK), now.later(MONTHS_AHEAD)
        days = {at - at % PARTITION_DAY_US for at in times_us}
        wanted = {month_of(day) for day in days if first.begin_us <= day < last.later(1).begin_us}
        wanted |= {now.later(ahead) for ahead in range(MONTHS_AHEAD + 1)}
        missing = {month for month in wanted if month.partition not in self._months}
        if not missing:
            return
        known = {name for (name,) in await writer.fetch(KNOWN_MONTHS)}
        for month in sorted(missing):
            if month.partition not in known:
                values = {"name": month.partition, "begin": month.begin_us, "end": month.later(1).begin_us}
                await writer.own.execute(MAKE_MONTH.format(**values))
        # Not remembered: what this transaction made may yet be rolled back.
        self._months = frozenset(known)

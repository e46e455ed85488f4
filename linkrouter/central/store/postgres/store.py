"""Central in PostgreSQL: for more clicks than one machine takes, and for several centres.

What SQLite keeps and PostgreSQL does not: clicks are kept apart by month, so that an id is known by its time. A click
that comes twice with different times, which no router sends, is kept twice. And what was erased is gone from every
answer at once, but from the server's files only when it has vacuumed them and recycled its log.
"""

from collections.abc import Mapping, Sequence

from linkrouter.central.store.postgres.database import PostgresConnection
from linkrouter.central.store.postgres.leader import PostgresLeader
from linkrouter.central.store.postgres.partitions import PostgresPartitions
from linkrouter.central.store.records import Holdings
from linkrouter.central.store.sql.click_log import SqlClickLog
from linkrouter.central.store.sql.database import Lock, SqlConnection, in_snapshot, in_transaction
from linkrouter.central.store.sql.holdings import SqlHoldings
from linkrouter.central.store.sql.registry import SqlRegistry
from linkrouter.clicks.click import Click

__all__ = ["PostgresCentralStore"]

INSERT_CLICKS = """
INSERT INTO clicks (id, link_id, tenant, part, clicked_at, ip, user_agent, kind, takeback)
SELECT id, link_id, tenant, part, clicked_at, CASE WHEN w THEN NULL ELSE ip END,
    CASE WHEN w THEN NULL ELSE user_agent END, kind, takeback
FROM (
    SELECT given.*, EXISTS (
        SELECT 1 FROM withheld_links AS w WHERE w.link_id = given.link_id AND w.tenant = given.tenant) AS w
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
        $9::text[]) AS given (id, link_id, tenant, part, clicked_at, ip, user_agent, kind, takeback)
) AS judged
ON CONFLICT DO NOTHING
"""

DATABASE_BYTES = "SELECT pg_database_size(current_database())"
COLUMNS_OF = """
SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ?
ORDER BY ordinal_position
"""
# What gives each table its numbers.
SEQUENCES = {
    "clicks": "clicks_seq",
    "messages": "messages_seq_seq",
    "links": "links_rowid_seq",
    "words": "words_number_seq",
    "take_backs": "take_backs_seq_seq",
    "webhooks": "webhooks_seq_seq",
    "relabelled": "relabelled_seq_seq",
    "link_events": "link_events_seq_seq",
}
NUMBERS_GIVEN = """
SELECT sequencename::text, last_value FROM pg_sequences WHERE schemaname = current_schema()
"""
HIGHEST = "SELECT coalesce(max({key}), 0) FROM {table}"
SET_SEQUENCE = "SELECT setval(CAST(:sequence AS regclass), greatest(:last, 1), :last > 0)"


class PostgresCentralStore(PostgresLeader, PostgresPartitions, SqlClickLog, SqlRegistry, SqlHoldings):
    """Both of central's protocols over one database."""

    _size = 0  # as the server said last

    async def holdings(self) -> Holdings:
        """See `CentralStore`."""
        self._size = await self.ask(lambda reader: reader.fetch_value(DATABASE_BYTES))
        return await super().holdings()

    def size(self) -> int:
        """See `CentralStore`: as it was when `holdings` were asked for."""
        return self._size

    async def insert_clicks(self, writer: SqlConnection, clicks: Sequence[Click]) -> int:
        """See `SqlClickLog`: one statement for all."""
        if not clicks:
            return 0
        assert isinstance(writer, PostgresConnection)
        await self.make_months(writer, (click.clicked_at for click in clicks))
        done = await writer.own.execute(INSERT_CLICKS, *map(list, zip(*clicks, strict=True)))
        return int(done.rpartition(" ")[2])

    @in_snapshot
    async def columns_of(self, reader: SqlConnection, table: str) -> list[str]:
        """See `SqlDatabase`."""
        return [name for (name,) in await reader.fetch(COLUMNS_OF, (table,))]

    @in_snapshot
    async def last_numbers(self, reader: SqlConnection) -> dict[str, int]:
        """See `SqlDatabase`."""
        found = {name: number or 0 for name, number in await reader.fetch(NUMBERS_GIVEN)}
        return {table: found[sequence] for table, sequence in SEQUENCES.items()}

    @in_transaction(Lock.NUMBERS)
    async def set_numbers(self, writer: SqlConnection, last: Mapping[str, int]) -> None:
        """See `SqlDatabase`."""
        for table, sequence in SEQUENCES.items():
            key = sequence.removeprefix(f"{table}_").removesuffix("_seq") if table != "clicks" else "seq"
            highest = await writer.fetch_value(HIGHEST.format(key=key, table=table))
            values = {"sequence": sequence, "last": max(last.get(table, 0), highest)}
            await writer.fetch_value(SET_SEQUENCE, values)

    async def drop_before(self, clicked_at: int) -> int:
        """See `CentralStore`: first by whole months, then one by one."""
        return await self.drop_month(clicked_at) or await super().drop_before(clicked_at)

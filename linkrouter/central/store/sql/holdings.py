"""What the database of central holds, for those who watch over it."""

from linkrouter.central.store.records import Holdings
from linkrouter.central.store.sql.database import SqlConnection, SqlDatabase, in_snapshot

__all__ = ["SqlHoldings"]

OLDEST_CLICK, NEWEST_CLICK = (
    "SELECT min(clicked_at) FROM clicks",
    "SELECT max(clicked_at) FROM clicks",
)  # one alone uses the index
LOST_BY_ROUTER = "SELECT router, sum(clicks) FROM losses GROUP BY router"


class SqlHoldings(SqlDatabase):
    """The part of a `CentralStore` that tells of itself."""

    @in_snapshot
    async def holdings(self, reader: SqlConnection) -> Holdings:
        """See `CentralStore`."""
        oldest_at, newest_at = await reader.fetch_value(OLDEST_CLICK), await reader.fetch_value(NEWEST_CLICK)
        lost = {router: int(clicks) for router, clicks in await reader.fetch(LOST_BY_ROUTER)}
        return Holdings(self.journal_size(), self.free_bytes(), oldest_at, newest_at, lost)

    def journal_size(self) -> int | None:
        """Give the size of the write-ahead log, in bytes, where the engine keeps one of its own."""
        return None

    def free_bytes(self) -> int | None:
        """Give the free space of its disk, in bytes, where that is a disk of this machine."""
        return None

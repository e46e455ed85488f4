"""Central in one SQLite file: all that one machine needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from linkrouter.central.store.questions import Erasure
from linkrouter.central.store.records import Erased
from linkrouter.central.store.sql.click_log import SqlClickLog
from linkrouter.central.store.sql.database import Lock, SqlConnection, in_snapshot, in_transaction
from linkrouter.central.store.sql.holdings import SqlHoldings
from linkrouter.central.store.sql.registry import SqlRegistry
from linkrouter.central.store.sqlite.database import SqliteDatabase
from linkrouter.errors import SettingsError

__all__ = ["SqliteCentralStore", "open_sqlite_central", "sqlite_path"]

COLUMNS = "SELECT name FROM pragma_table_info(?)"
LAST_NUMBERS = "SELECT name, seq FROM sqlite_sequence"
FORGET_NUMBER = "DELETE FROM sqlite_sequence WHERE name = ?"
SET_NUMBER = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"


def open_sqlite_central(url: str) -> "SqliteCentralStore":
    """Give the store for `sqlite:///relative/path` or `sqlite:////absolute/path`.

    Raises:
        SettingsError: *url* names no file.
    """
    return SqliteCentralStore(sqlite_path(url))


def sqlite_path(url: str) -> Path:
    """Give the file that *url* names.

    Raises:
        SettingsError: it names none.
    """
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.endswith("/"):
        raise SettingsError(
            "DATABASE: the URL must be sqlite:///FILE, with a fourth slash when FILE starts at the root"
        )
    return Path(path)


class SqliteCentralStore(SqliteDatabase, SqlClickLog, SqlRegistry, SqlHoldings):
    """Both of central's protocols over one file."""

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """See `CentralStore`: there is one centre, which leads for good."""

        async def until_lost() -> None:
            await asyncio.Event().wait()

        yield until_lost

    @in_snapshot
    async def columns_of(self, reader: SqlConnection, table: str) -> list[str]:
        """See `SqlDatabase`."""
        columns = [name for (name,) in await reader.fetch(COLUMNS, (table,))]
        return ["rowid", *columns] if table == "links" else columns

    @in_snapshot
    async def last_numbers(self, reader: SqlConnection) -> dict[str, int]:
        """See `SqlDatabase`."""
        return dict(await reader.fetch(LAST_NUMBERS))

    @in_transaction(Lock.NUMBERS)
    async def set_numbers(self, writer: SqlConnection, last: Mapping[str, int]) -> None:
        """See `SqlDatabase`: SQLite itself goes on behind what is there."""
        for table, number in last.items():
            await writer.execute(FORGET_NUMBER, (table,))
            await writer.execute(SET_NUMBER, (table, number))

    async def make_room(self, writer: SqlConnection, times_us: Sequence[int]) -> None:
        """See `SqlDatabase`: there is room for every time."""

    async def erase(self, asked: Erasure) -> Erased:
        """See `CentralStore`; the file keeps no copy of what was taken away."""
        await self.keep_no_copies()
        erased = await super().erase(asked)
        await self.empty_journal()
        return erased

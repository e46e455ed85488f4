"""Central in one SQLite file: all that one machine needs."""

from pathlib import Path

from linkrouter.central.store.questions import Erasure
from linkrouter.central.store.records import Erased
from linkrouter.central.store.sql.click_log import SqlClickLog
from linkrouter.central.store.sql.holdings import SqlHoldings
from linkrouter.central.store.sql.registry import SqlRegistry
from linkrouter.central.store.sqlite.database import SqliteDatabase
from linkrouter.errors import SettingsError

__all__ = ["SqliteCentralStore", "open_sqlite_central", "sqlite_path"]


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

    async def erase(self, asked: Erasure) -> Erased:
        """See `CentralStore`; the file keeps no copy of what was taken away."""
        await self.keep_no_copies()
        erased = await super().erase(asked)
        await self.empty_journal()
        return erased

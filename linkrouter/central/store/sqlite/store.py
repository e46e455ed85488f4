"""Central in one SQLite file: all that one machine needs."""

from pathlib import Path

from linkrouter.central.store.sqlite.click_log import SqliteClickLog
from linkrouter.central.store.sqlite.registry import SqliteRegistry
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


class SqliteCentralStore(SqliteClickLog, SqliteRegistry):
    """Both of central's protocols over one file."""

"""The tables of central in PostgreSQL, and how older ones become those of today.

Promise: each file of `migrations/` runs once, in the order of their numbers, whoever opens the database at the same
time; one that a newer linkrouter made is refused, not read in half.
"""

from importlib.resources import files
from typing import Any

from linkrouter.errors import SettingsError

__all__ = ["SCHEMA_LOCK", "SCHEMA_VERSION", "migrate_postgres"]

SCHEMA_LOCK = 0x6C6B6374  # of whoever makes tables: "lkct"
_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())
"""
SCHEMA_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"
_NOTE_VERSION = "INSERT INTO schema_version (version) VALUES ($1)"


async def migrate_postgres(own: Any) -> None:
    """Make the database of the asyncpg connection *own*, which may be empty, one of the newest version.

    Raises:
        SettingsError: it is of a newer version.
    """
    async with own.transaction():
        await own.execute("SELECT pg_advisory_xact_lock($1)", SCHEMA_LOCK)  # who comes second finds it done
        await own.execute("SET LOCAL client_min_messages = warning")
        await own.execute(_VERSIONS)
        version = await own.fetchval(SCHEMA_VERSION)
        steps = sorted(
            (file for file in files(__package__).joinpath("migrations").iterdir() if file.name.endswith(".sql")),
            key=lambda file: file.name,
        )
        if version > len(steps):
            raise SettingsError(
                f"DATABASE: PostgreSQL's tables have version {version} and this linkrouter knows {len(steps)}: "
                "run the newer one, or restore a backup"
            )
        for number, step in enumerate(steps[version:], version + 1):
            await own.execute(step.read_text())
            await own.execute(_NOTE_VERSION, number)

"""The engines of central as the bench of scale sees them: filled in bulk, and accounted for by the kernel.

A new engine is one more class: a store, `copy`, `settle`, and what its server spends.
"""

import os
import sqlite3
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from bench_stats import DAY_US
from brokers import start_postgres
from scale_data import COPIES, DIGITS, LETTERS, copy_values, permuted

from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.opening import open_central_store


class Engine(Protocol):
    """One engine, with a store that is open."""

    name: str
    store: CentralStore

    async def start(self) -> None:
        """Start it with nothing in it."""

    async def copy(self, first: int, behind: int, base: dict[str, int], begin_us: int) -> None:
        """Make the copies numbered from *first* to *behind*, the indexes aside, of what has numbers up to *base*."""

    async def settle(self) -> None:
        """Let what is written later be written now."""

    def server_cpu_s(self) -> float:
        """Give the CPU that the database has used: that of its server, or of this process."""

    def written_bytes(self) -> int:
        """Give what it has sent to the disk."""

    def disk_bytes(self) -> int:
        """Give what it takes of the disk."""

    async def stop(self) -> None:
        """Stop it; what it held goes with the folder."""


class Sqlite:
    """A file in *folder*; what it costs is what this process spends."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "central.db"

    async def start(self) -> None:
        """See `Engine`."""
        await self._open()

    async def _open(self) -> None:
        self.store = open_central_store(f"sqlite:///{self._file}")
        await self.store.open()

    async def copy(self, first: int, behind: int, base: dict[str, int], begin_us: int) -> None:
        """See `Engine`."""
        await self.store.close()
        with closing(sqlite3.connect(self._file, isolation_level=None)) as own:
            own.execute("PRAGMA synchronous = OFF")
            own.execute("PRAGMA journal_mode = OFF")
            own.execute("PRAGMA cache_size = -1000000")
            own.execute("CREATE TABLE IF NOT EXISTS base_roll_ups AS SELECT * FROM roll_ups")
            indexes = own.execute(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL "
                "AND tbl_name IN ('clicks', 'messages', 'links', 'labels')"
            ).fetchall()
            for name, _ in indexes:
                own.execute(f"DROP INDEX {name}")
            for n in range(first, behind):
                given = {
                    table: own.execute(f"SELECT max(seq) FROM {table}").fetchone()[0]
                    for table in ("clicks", "messages")
                }
                link, digit = (str.maketrans(each, permuted(each, n)) for each in (LETTERS, DIGITS))
                own.create_function("other_link", 1, lambda text, to=link: text.translate(to), deterministic=True)
                own.create_function("other_id", 1, lambda text, to=digit: text.translate(to), deterministic=True)
                own.execute("BEGIN")
                for statement in COPIES:
                    own.execute(
                        statement.format(
                            **copy_values(n, given, base),
                            link={"link_id": "other_link(link_id)"},
                            id={"id": "other_id(id)"},
                        )
                    )
                own.execute("UPDATE progress SET seq = (SELECT max(seq) FROM clicks) WHERE name = 'labelled'")
                own.execute("COMMIT")
            for _, text in indexes:
                own.execute(text)
        await self._open()

    async def settle(self) -> None:
        """See `Engine`."""
        await self.store.empty_journal()

    def server_cpu_s(self) -> float:
        """See `Engine`."""
        return time.process_time()

    def written_bytes(self) -> int:
        """See `Engine`."""
        return _written_bytes(os.getpid())

    def disk_bytes(self) -> int:
        """See `Engine`."""
        return self.store.size()

    async def stop(self) -> None:
        """See `Engine`."""
        await self.store.close()


class Postgres:
    """A server of its own, set up as for a machine of some 8 GB; what it costs is what its processes spend."""

    name = "PostgreSQL"
    OPTIONS = (
        *("shared_buffers=2GB", "maintenance_work_mem=1GB", "max_wal_size=8GB", "checkpoint_timeout=15min"),
        *("effective_cache_size=6GB", "work_mem=16MB", "wal_compression=on"),
    )

    def __init__(self, folder: Path) -> None:
        del folder  # the server makes one that its user can read
        self._server = start_postgres(*self.OPTIONS)

    async def start(self) -> None:
        """See `Engine`."""
        self.store = open_central_store(f"postgresql://postgres@127.0.0.1:{self._server.port}/postgres")
        await self.store.open()

    async def copy(self, first: int, behind: int, base: dict[str, int], begin_us: int) -> None:
        """See `Engine`."""
        own = await self._connect()
        try:
            await own.execute("SET synchronous_commit = off; SET jit = off")
            await own.execute("CREATE TABLE IF NOT EXISTS base_roll_ups AS SELECT * FROM roll_ups")
            keys = await own.fetch(
                "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE contype = 'p' "
                "AND conrelid IN ('clicks'::regclass, 'labels'::regclass, 'firsts'::regclass, 'messages'::regclass)"
            )
            indexes = await own.fetch(
                "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE NOT indisprimary "
                "AND indrelid IN ('clicks'::regclass, 'labels'::regclass, 'links'::regclass, 'messages'::regclass)"
            )
            for table, name, _ in keys:
                await own.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            for name, _ in indexes:
                await own.execute(f"DROP INDEX {name}")
            await self._copy_rows(own, first, behind, base, begin_us)
            for table, name, text in keys:
                await own.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {text}")
            for _, text in indexes:
                await own.execute(text.replace(" ON ONLY ", " ON "))
            await own.execute("VACUUM ANALYZE")
        finally:
            await own.close()
        await self.store.set_numbers({})

    async def _copy_rows(self, own, first: int, behind: int, base: dict[str, int], begin_us: int) -> None:
        sequences = {"clicks": "clicks_seq", "messages": "messages_seq_seq"}
        before = {
            table: await own.fetchval(f"SELECT last_value FROM {sequence}") for table, sequence in sequences.items()
        }
        for n in range(first, behind):
            given = {table: number + (n - first) * base[table] for table, number in before.items()}
            values = copy_values(n, given, base)
            begin = begin_us + values["later"]
            days = range(begin, begin + 4 * DAY_US, DAY_US // 2)
            await self.store.transact(partial(self.store.make_months, times_us=days))
            sides = {each: (each, permuted(each, n)) for each in (LETTERS, DIGITS)}
            link = "translate(link_id, '{}', '{}')".format(*sides[LETTERS])
            own_id = "translate(id, '{}', '{}')".format(*sides[DIGITS])
            async with own.transaction():
                for statement in COPIES:
                    await own.execute(statement.format(**values, link={"link_id": link}, id={"id": own_id}))
                await own.execute(
                    f"UPDATE progress SET seq = {given['clicks'] + base['clicks']} WHERE name = 'labelled'"
                )

    async def _connect(self):
        import asyncpg

        return await asyncpg.connect(host="127.0.0.1", port=self._server.port, user="postgres", database="postgres")

    async def settle(self) -> None:
        """See `Engine`."""
        own = await self._connect()
        try:
            await own.execute("CHECKPOINT")
        finally:
            await own.close()

    def server_cpu_s(self) -> float:
        """See `Engine`."""
        total = 0
        for pid in self._processes():
            with suppress(OSError):
                total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        return total / 1e9

    def written_bytes(self) -> int:
        """See `Engine`."""
        return sum(_written_bytes(pid) for pid in self._processes())

    def disk_bytes(self) -> int:
        """See `Engine`."""
        return self.store.size()

    async def stop(self) -> None:
        """See `Engine`."""
        await self.store.close()
        self._server.stop()

    def _processes(self) -> list[int]:
        """Give the server's processes; those that it starts have none of their own."""
        pid = self._server.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def _written_bytes(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
    return 0


ENGINES = {"sqlite": Sqlite, "postgresql": Postgres}

"""The click store `postgresql://`: streams in two tables.

Promise: a commit is one statement, durable when it is answered as the server's `synchronous_commit` says, and every
call has a deadline. No statement is prepared by name, so that a pooler may stand between.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from linkrouter.clicks.broker.interface import (
    CALL_S,
    READ_ENTRIES,
    SEPARATOR,
    BrokerTotals,
    Entry,
    StreamState,
    oldest_of,
    split_entry,
)
from linkrouter.clicks.broker.statements import (
    ADD_DEAD_LETTERS_SQL,
    ADD_LOSS_SQL,
    APPEND_SQL,
    IS_THERE_SQL,
    LEAVE_SQL,
    LOSSES_SQL,
    NOTE_SQL,
    PART_SQL,
    READ_SQL,
    REMOVE_EMPTY_SQL,
    REMOVE_SQL,
    RENEW_SQL,
    STATE_COLUMNS,
    TABLES_SQL,
    TAKE_OVER_SQL,
    TOTALS_SQL,
)
from linkrouter.clicks.store import Loss
from linkrouter.errors import StoreError, StoreFull
from linkrouter.log import log

__all__ = ["PostgresBroker", "connect_postgres"]

_Result = TypeVar("_Result")

SET_UP_LOCK = 0x6C696E6B  # of all that make tables at the same time
FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection ended within a call
    OSError,
    TimeoutError,
)
_DEFINITE = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


async def connect_postgres(arguments: Mapping[str, Any]) -> asyncpg.Pool:
    """Give connections to one database; *arguments* are those of `postgres_arguments`."""
    return await asyncpg.create_pool(
        **arguments,
        min_size=0,  # else asyncpg logs a traceback a second while the server is away
        max_size=2,
        timeout=CALL_S,
        command_timeout=CALL_S,
        statement_cache_size=0,
    )


class PostgresBroker:
    """A `Broker` in PostgreSQL. *connect* makes a pool of connections, when one is first needed."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Pool]], prefix: str, lease_s: float) -> None:
        self.lease_s = lease_s
        self._connect = connect
        self._prefix = prefix
        self._pool: asyncpg.Pool | None = None
        self._connecting = asyncio.Lock()
        self._is_open = False

    def _sql(self, statement: str) -> str:
        return statement.format(p=self._prefix, state=STATE_COLUMNS)

    def connect(self) -> None:
        """See `Broker`."""
        self._is_open = True

    async def check(self) -> None:
        """See `Broker`."""
        try:
            await self._call(lambda connection: connection.execute("SELECT 1"))
        except StoreError as exc:
            if isinstance(exc.__cause__, _DEFINITE):
                raise StoreError(
                    "CLICK_STORE: PostgreSQL does not let this process in; see its user, password_file and database"
                ) from exc
            if isinstance(exc.__cause__, asyncpg.InsufficientPrivilegeError):
                raise StoreError(
                    "CLICK_STORE: this user of PostgreSQL may not make the tables; grant it CREATE"
                ) from exc
            log("broker.away")

    async def append(
        self, name: str, entries: Sequence[Sequence[bytes]], max_bytes: int
    ) -> tuple[list[str], StreamState]:
        """See `Broker`."""
        packed = [SEPARATOR.join(records) for records in entries]
        sizes = [len(piece) for piece in packed]
        row = await self._call(
            lambda connection: connection.fetchrow(
                self._sql(APPEND_SQL),
                name,
                [len(records) for records in entries],
                sizes,
                packed,
                oldest_of(entries),
                self.lease_s,
                sum(sizes),
                max_bytes,
            )
        )
        if row is None:
            raise StoreFull("click store postgresql is at its limit")
        return [str(number) for number in row["ids"]], _state(row)

    async def read(self, name: str, after: str) -> list[Entry]:
        """See `Broker`."""
        statement = self._sql(READ_SQL)
        found = await self._call(lambda connection: connection.fetch(statement, name, int(after or 0), READ_ENTRIES))
        return [split_entry(str(number), records) for number, records in found]

    async def acknowledge(self, name: str, done: Sequence[Entry], part: tuple[str, int], oldest_at: int) -> StreamState:
        """See `Broker`."""
        row = await self._call(
            lambda connection: self._acknowledge(
                connection, name, [int(entry.id) for entry in done], (int(part[0] or 0), part[1]), oldest_at
            )
        )
        return _state(row) if row is not None else StreamState()

    async def _acknowledge(
        self, connection: asyncpg.Connection, name: str, done: list[int], part: tuple[int, int], oldest_at: int
    ) -> asyncpg.Record | None:
        async with connection.transaction():
            stream = await connection.fetchrow(self._sql(PART_SQL), name)
            if stream is None:
                return None
            part_id, before = stream
            removed = await connection.fetch(self._sql(REMOVE_SQL), name, done)
            clicks = sum(row["clicks"] for row in removed)
            if part_id in [row["id"] for row in removed]:
                clicks, part_id, before = clicks - before, 0, 0
            if part[1] and await connection.fetchval(self._sql(IS_THERE_SQL), name, part[0]):
                before = before if part[0] == part_id else 0
                clicks += max(part[1] - before, 0)
                part_id, before = part[0], max(part[1], before)
            size = sum(row["bytes"] for row in removed)
            return await connection.fetchrow(self._sql(NOTE_SQL), name, clicks, size, oldest_at, part_id, before)

    async def take_over(self) -> tuple[str, StreamState] | None:
        """See `Broker`."""
        row = await self._call(lambda connection: connection.fetchrow(self._sql(TAKE_OVER_SQL), self.lease_s))
        return (row["name"], _state(row)) if row is not None else None

    async def renew(self, names: Sequence[str]) -> None:
        """See `Broker`."""
        await self._call(lambda connection: connection.execute(self._sql(RENEW_SQL), self.lease_s, list(names)))

    async def let_go(self, name: str) -> None:
        """See `Broker`."""

        async def let_go(connection: asyncpg.Connection) -> None:
            async with connection.transaction():
                await connection.execute(self._sql(REMOVE_EMPTY_SQL), name)
                await connection.execute(self._sql(LEAVE_SQL), name)

        await self._call(let_go)

    async def add_dead_letters(self, records: Sequence[bytes], reason: str) -> None:
        """See `Broker`."""
        await self._call(lambda connection: connection.execute(self._sql(ADD_DEAD_LETTERS_SQL), reason, list(records)))

    async def add_loss(self, loss: Loss) -> None:
        """See `Broker`."""
        fields = (loss.id, loss.reason, loss.count, loss.since, loss.until)
        await self._call(lambda connection: connection.execute(self._sql(ADD_LOSS_SQL), *fields))

    async def totals(self) -> BrokerTotals:
        """See `Broker`."""

        async def ask(connection: asyncpg.Connection) -> BrokerTotals:
            pending, oldest_at, size, letters = await connection.fetchrow(self._sql(TOTALS_SQL))
            losses = tuple(Loss(*row) for row in await connection.fetch(self._sql(LOSSES_SQL)))
            return BrokerTotals(pending, oldest_at, size, letters, losses)

        return await self._call(ask)

    async def close(self) -> None:
        """See `Broker`."""
        pool, self._pool, self._is_open = self._pool, None, False
        if pool is not None:
            pool.terminate()

    async def _call(self, call: Callable[[asyncpg.Connection], Awaitable[_Result]]) -> _Result:
        if not self._is_open:
            raise StoreError("click store postgresql is closed")
        try:
            async with asyncio.timeout(CALL_S):
                pool = await self._ready_pool()
                async with pool.acquire(timeout=CALL_S) as connection:  # giving it back has that deadline, too
                    return await call(connection)
        except asyncpg.DiskFullError as exc:
            raise StoreFull("click store postgresql has no disk left") from exc
        except FAILURES as exc:
            raise StoreError(f"click store postgresql did not answer as it must ({type(exc).__name__})") from exc

    async def _ready_pool(self) -> asyncpg.Pool:
        """Give the pool, made when it is not there yet, with its tables."""
        async with self._connecting:
            if self._pool is None:
                pool = await self._connect()
                try:
                    async with pool.acquire(timeout=CALL_S) as connection, connection.transaction():
                        await connection.execute("SELECT pg_advisory_xact_lock($1)", SET_UP_LOCK)
                        await connection.execute(self._sql(TABLES_SQL))
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool


def _state(row: asyncpg.Record) -> StreamState:
    return StreamState(row["pending"], row["oldest_at"], row["bytes"], str(row["part_id"] or ""), row["part"])

"""One PostgreSQL database of central: its connections, and transactions on them.

Promise: what a transaction returned from is as durable as the server's `synchronous_commit` says. Every wait ends, also
for a server that hangs, and a centre that freezes inside a transaction loses it and what it locked. All that is set is
set for one transaction, so that a pooler in transaction mode may stand between.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import asyncpg

from linkrouter.central.store.postgres.dialect import bind, in_order
from linkrouter.central.store.postgres.schema import migrate_postgres
from linkrouter.central.store.sql.database import Lock, SqlDatabase, Values, Work
from linkrouter.errors import SettingsError, StoreError, StoreFull

__all__ = ["DATABASE_FAILURES", "LOCK_CLASS", "PostgresConnection", "PostgresDatabase"]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
CONNECTING_S = 10.0
WRITE_DEADLINE_S = 60.0
QUESTION_DEADLINE_S = 30.0
UNDO_S = 5.0
RESERVED = 3  # connections of the pool that questions leave to writers
LOCK_CLASS = 0x6C6B63  # of our advisory locks: "lkc"

DATABASE_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection ended within a call
    OSError,
    TimeoutError,
)
_BEGIN_WRITING = """
BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '50s';
SET LOCAL idle_in_transaction_session_timeout = '20s'; SET LOCAL jit = off
"""
_BEGIN_READING = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '{:d}ms';
SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL jit = off
"""
_TAKE = "; SELECT pg_advisory_xact_lock({}, {})"
CAN_WRITE = "SELECT pg_current_xact_id()"


class PostgresConnection:
    """An `SqlConnection`."""

    def __init__(self, own: Any) -> None:
        self.own = own

    async def fetch(self, statement: str, values: Values = ()) -> list[Any]:
        """See `SqlConnection`."""
        text, sent = bind(statement, values)
        return [tuple(row) for row in await self.own.fetch(text, *sent)]

    async def fetch_value(self, statement: str, values: Values = ()) -> Any:
        """See `SqlConnection`."""
        text, sent = bind(statement, values)
        return await self.own.fetchval(text, *sent)

    async def execute(self, statement: str, values: Values = ()) -> int:
        """See `SqlConnection`."""
        text, sent = bind(statement, values)
        done: str = await self.own.execute(text, *sent)
        return int(number) if (number := done.rpartition(" ")[2]).isdigit() else 0

    async def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """See `SqlConnection`; the number of rows is that of *rows*, which the server does not count."""
        if rows:
            await self.own.executemany(in_order(statement), rows)
        return len(rows)

    async def compute(
        self, work: Callable[_Parameters, _Result], *values: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Result:
        """See `SqlConnection`; a caller that is cancelled waits for its end."""
        computing = asyncio.ensure_future(asyncio.to_thread(work, *values, **named))
        try:
            return await asyncio.shield(computing)
        except asyncio.CancelledError:
            await asyncio.wait([computing])  # what it reads may be closed next
            raise


class PostgresDatabase(SqlDatabase):
    """The database that asyncpg reaches with *arguments*, over a pool of *connections*.

    A question ends after *read_deadline_s*. *statement_cache* off prepares no statement by name.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        *,
        connections: int = 10,
        statement_cache: bool = True,
        read_deadline_s: float = QUESTION_DEADLINE_S,
    ) -> None:
        self._arguments = {**arguments, "timeout": CONNECTING_S, "statement_cache_size": 200 if statement_cache else 0}
        self._connections = connections
        self._read_deadline_s = read_deadline_s
        self._pool: Any = None
        self._reading = asyncio.Semaphore(max(1, connections - RESERVED))

    async def open(self) -> None:
        """See `CentralStore`; the tables are made, and brought to the newest version, by the first to come."""
        try:
            self._pool = await asyncpg.create_pool(
                **self._arguments,
                min_size=0,  # else asyncpg logs a traceback a second while the server is away
                max_size=self._connections,
                command_timeout=WRITE_DEADLINE_S,
                connection_class=_Connection,
            )
            async with self._pool.acquire() as own:
                await migrate_postgres(own)
        except DATABASE_FAILURES as exc:
            await self.close()
            raise SettingsError(f"DATABASE: PostgreSQL {_cure(exc)}") from exc
        except BaseException:
            await self.close()
            raise

    async def connect_alone(self) -> Any:
        """Give a connection outside of the pool.

        Raises:
            StoreError: the server does not answer.
        """
        try:
            return await asyncpg.connect(**self._arguments, command_timeout=CONNECTING_S, connection_class=_Connection)
        except DATABASE_FAILURES as exc:
            raise store_failure(exc) from exc

    async def check(self) -> None:
        """See `CentralStore`."""
        await self.transact(lambda writer: writer.fetch_value(CAN_WRITE), Lock(0))

    async def close(self) -> None:
        """See `CentralStore`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), UNDO_S)
            except DATABASE_FAILURES:
                pool.terminate()

    async def transact(self, work: Work[_Result], lock: Lock = Lock.NUMBERS) -> _Result:
        """See `SqlDatabase`. Of two locks, that of labels is always taken first, so that nobody waits in a circle."""
        taken = [_TAKE.format(LOCK_CLASS, one.value) for one in (Lock.LABELS, Lock.NUMBERS) if one in lock]
        return await self._run("".join((_BEGIN_WRITING, *taken)), work, "COMMIT")

    async def ask(self, work: Work[_Result]) -> _Result:
        """See `SqlDatabase`."""
        begin = _BEGIN_READING.format(int(self._read_deadline_s * 1000))
        try:
            async with asyncio.timeout(self._read_deadline_s), self._reading:
                return await self._run(begin, work, "ROLLBACK")
        except TimeoutError as exc:
            raise StoreError("the question takes too long; ask for a shorter time") from exc

    async def _run(self, begin: str, work: Work[_Result], end: str) -> _Result:
        if self._pool is None:
            raise StoreError("the database is closed")
        try:
            async with self._pool.acquire(timeout=CONNECTING_S) as own:
                try:
                    await own.execute(begin)
                    result = await work(PostgresConnection(own))
                    await own.execute(end)
                except BaseException:
                    await _undo(own)
                    raise
                return result
        except asyncpg.QueryCanceledError as exc:
            raise StoreError("the question takes too long; ask for a shorter time") from exc
        except TimeoutError:
            raise  # the caller's deadline, or
        except DATABASE_FAILURES as exc:
            raise store_failure(exc) from exc


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg comes without types
    """A connection that is given back to the pool as it is: nothing outlives a transaction."""

    def get_reset_query(self) -> str:
        return ""


async def _undo(own: Any) -> None:
    """Roll back; a connection that cannot is thrown away."""
    try:
        await asyncio.shield(asyncio.wait_for(own.execute("ROLLBACK"), UNDO_S))
    except BaseException as exc:
        own.terminate()
        if not isinstance(exc, DATABASE_FAILURES):
            raise


def store_failure(exc: BaseException) -> StoreError:
    """Give the error that tells of *exc* without a word of what was asked."""
    if isinstance(exc, asyncpg.DiskFullError):
        return StoreFull("the database's disk is full")
    return StoreError(f"the database does not answer ({type(exc).__name__})")


def _cure(exc: BaseException) -> str:
    if isinstance(exc, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        return "does not let this process in; see its user, password_file and database"
    if isinstance(exc, ssl.SSLError):
        return "shows a certificate that cannot be trusted; see ca_file, and that it is for this host"
    if isinstance(exc, asyncpg.InsufficientPrivilegeError):
        return "does not let this user make tables; make it the owner of the database"
    if isinstance(exc, asyncpg.DuplicateObjectError | asyncpg.DuplicateTableError):
        return "has tables of another program in this database; name another database"
    return f"cannot be used ({type(exc).__name__}); see that it runs at this host and port, and takes connections"

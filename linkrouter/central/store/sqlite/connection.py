"""One connection to an SQLite file, and the thread that alone uses it.

Promise: a transaction is done in that thread from its beginning to its end, so that it costs the event loop one call.
Whoever is cancelled waits until the thread is done, and so may close the connection next.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from linkrouter.central.store.sql.database import Values, Work

__all__ = ["SqliteConnection", "SqliteThread"]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
INTERRUPT_S = 0.05  # between two tries: one that falls between two statements stops neither


class SqliteConnection:
    """An `SqlConnection` whose calls are done when they return; lists go into statements as JSON."""

    def __init__(self, own: sqlite3.Connection) -> None:
        self._own = own

    async def fetch(self, statement: str, values: Values = ()) -> list[Any]:
        """See `SqlConnection`."""
        return self._own.execute(statement, _bound(values)).fetchall()

    async def fetch_value(self, statement: str, values: Values = ()) -> Any:
        """See `SqlConnection`."""
        rows = self._own.execute(statement, _bound(values)).fetchall()
        return rows[0][0] if rows else None

    async def execute(self, statement: str, values: Values = ()) -> int:
        """See `SqlConnection`."""
        return self._own.execute(statement, _bound(values)).rowcount

    async def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """See `SqlConnection`."""
        return self._own.executemany(statement, rows).rowcount if rows else 0

    async def compute(
        self, work: Callable[_Parameters, _Result], *values: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Result:
        """See `SqlConnection`: this is a thread of its own."""
        return work(*values, **named)


class SqliteThread:
    """A thread with a connection of its own; `open` first."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "central-sqlite")
        self._own: sqlite3.Connection | None = None

    async def open(self, path: Path, lock_wait_s: float, set_up: Callable[[sqlite3.Connection], object]) -> None:
        """Connect to *path* and let *set_up* make the connection ready; one that cannot be made so is closed."""
        try:
            await self._do(self._open, path, lock_wait_s, set_up)
        except BaseException:
            await self.close()
            raise

    def _open(self, path: Path, lock_wait_s: float, set_up: Callable[[sqlite3.Connection], object]) -> None:
        self._own = sqlite3.connect(path, isolation_level=None, timeout=lock_wait_s)
        set_up(self._own)

    async def transact(self, begin: str, work: Work[_Result]) -> _Result:
        """Do *work* in a transaction that *begin* begins; commit at its end, and roll back whatever goes wrong."""
        return await self._do(_transact, self._opened, begin, work)

    async def ask(self, work: Work[_Result]) -> _Result:
        """Do *work* in a transaction that only reads, and that is interrupted when the caller is cancelled."""
        return await self._do(_transact, self._opened, "BEGIN", work, interrupt=True)

    async def execute(self, *statements: str) -> None:
        """Run *statements* by themselves."""
        await self._do(_execute, self._opened, statements)

    async def close(self) -> None:
        """Close the connection and let the thread end."""
        own, self._own = self._own, None
        if own is not None:
            await self._do(own.close)
        self._executor.shutdown(wait=False)

    @property
    def _opened(self) -> sqlite3.Connection:
        assert self._own is not None, "open() comes first"
        return self._own

    async def _do(self, work: Callable[..., _Result], *values: Any, interrupt: bool = False) -> _Result:
        doing = asyncio.wrap_future(self._executor.submit(work, *values))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            while not doing.done():
                if interrupt:
                    self._opened.interrupt()
                with suppress(asyncio.CancelledError):  # the end is near, and must be waited for
                    await asyncio.wait([doing], timeout=INTERRUPT_S)
            raise


def _transact(own: sqlite3.Connection, begin: str, work: Work[_Result]) -> _Result:
    own.execute(begin)
    try:
        result = _finish(work(SqliteConnection(own)))
        own.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # the error that led here is on its way already
            own.rollback()
        raise
    return result


def _finish(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run *work*, which awaits only what is done at once."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _Result = done.value
        return result
    work.close()
    raise RuntimeError("a transaction may await nothing but its connection")


def _execute(own: sqlite3.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        own.execute(statement).fetchall()


def _bound(values: Values) -> Any:
    if isinstance(values, Mapping):
        return {name: _bindable(value) for name, value in values.items()}
    return [_bindable(value) for value in values]


def _bindable(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple) else value

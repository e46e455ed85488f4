"""What an engine gives to the statements beside this: connections, and transactions on them.

The statements are written once, in SQLite's words; an engine that says some of them otherwise translates them. Values
are named (`:tag`) or stand in order (`?`). A list is a value, too: of numbers or texts it is looked through by
`IN (SELECT value FROM json_each(:list))`, of rows it is joined by `json_each(:list) AS wanted`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import IntFlag
from typing import Any, ParamSpec, Protocol, TypeVar

__all__ = ["Lock", "SqlConnection", "SqlDatabase", "Values", "compute"]

Values = Mapping[str, Any] | Sequence[Any]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Lock(IntFlag):
    """What a transaction keeps others from, until it is committed.

    Whoever gives a number to a row (a click, a message, a rule, an event) holds `NUMBERS`, so that numbers come into
    sight in their order and whoever has read up to one misses none. Whoever writes labels holds `LABELS`. Whoever needs
    both takes them at once. An engine may hold more than it is asked for.
    """

    NUMBERS = 1
    LABELS = 2


class SqlConnection(Protocol):
    """One connection, inside a transaction."""

    async def fetch(self, statement: str, values: Values = ()) -> list[Any]:
        """Give the rows that *statement* gives, as tuples."""

    async def fetch_value(self, statement: str, values: Values = ()) -> Any:
        """Give the first value of the first row, or None when there is no row."""

    async def execute(self, statement: str, values: Values = ()) -> int:
        """Run *statement*; give how many rows it changed."""

    async def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run *statement* with each of *rows*, whose values stand in order; give how many rows that changed."""


class SqlDatabase(ABC):
    """One database."""

    @abstractmethod
    def transaction(self, lock: Lock = Lock.NUMBERS) -> AbstractAsyncContextManager[SqlConnection]:
        """Give a connection inside a transaction: committed at the end, and rolled back by whatever goes wrong.

        Raises:
            StoreError: the database cannot write now; nothing changed.
        """

    @abstractmethod
    def snapshot(self) -> AbstractAsyncContextManager[SqlConnection]:
        """Give a connection that only reads, and on which several queries see one state.

        Raises:
            StoreError: the database cannot answer, or not within its deadline.
        """

    @abstractmethod
    async def columns_of(self, table: str) -> list[str]:
        """Give the names of a table's columns, with that of its rows' numbers where nothing else orders them."""

    @abstractmethod
    async def last_numbers(self) -> dict[str, int]:
        """Give the last number that each table which gives numbers has given."""

    @abstractmethod
    async def set_numbers(self, last: Mapping[str, int]) -> None:
        """Let each table go on behind the number in *last*, and behind those it has."""

    @abstractmethod
    async def make_room(self, writer: Any, times_us: Sequence[int]) -> None:
        """Make ready to take clicks of these times."""


async def compute(work: Callable[Parameters, Result], *values: Parameters.args, **named: Parameters.kwargs) -> Result:
    """Do in a thread what is Python's work more than a database's; a caller that is cancelled waits for its end."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *values, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])  # what it reads may be closed next
        raise

"""What an engine gives to the statements beside this: transactions, each with a connection.

The statements are written once, in SQLite's words; an engine that says some of them otherwise translates them. Values
are named (`:tag`) or stand in order (`?`). A list is a value, too: of numbers or texts it is looked through by
`IN (SELECT value FROM json_each(:list))`, of rows it is joined by `json_each(:list) AS wanted`.

What a transaction does is one function of its connection, which awaits nothing else: so an engine that is a library
does the whole of it in the connection's own thread, at one change of threads instead of one a statement.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import IntFlag
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

__all__ = ["Lock", "SqlConnection", "SqlDatabase", "Values", "Work", "in_snapshot", "in_transaction"]

Values = Mapping[str, Any] | Sequence[Any]
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


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

    async def compute(
        self, work: Callable[_Parameters, _Result], *values: _Parameters.args, **named: _Parameters.kwargs
    ) -> _Result:
        """Do, outside of the event loop's thread, what is Python's work more than the database's."""


Work = Callable[[SqlConnection], Coroutine[Any, Any, _Result]]


class SqlDatabase(ABC):
    """One database."""

    @abstractmethod
    async def transact(self, work: Work[_Result], lock: Lock = Lock.NUMBERS) -> _Result:
        """Do *work*, which awaits nothing but its connection; commit at its end, and roll back whatever goes wrong.

        A caller that is cancelled waits for what has begun; it may have been committed.

        Raises:
            StoreError: the database cannot write now; nothing changed.
        """

    @abstractmethod
    async def ask(self, work: Work[_Result]) -> _Result:
        """Do *work*, which awaits nothing but its connection, only reads, and sees one state in all of its queries.

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


_Database = TypeVar("_Database", bound=SqlDatabase)
_Connected = Callable[Concatenate[_Database, SqlConnection, _Parameters], Coroutine[Any, Any, _Result]]
_Plain = Callable[Concatenate[_Database, _Parameters], Coroutine[Any, Any, _Result]]


def in_transaction(
    lock: Lock,
) -> Callable[[_Connected[_Database, _Parameters, _Result]], _Plain[_Database, _Parameters, _Result]]:
    """Let a method be one transaction, see `SqlDatabase.transact`; the method gets the connection first."""

    def decorate(method: _Connected[_Database, _Parameters, _Result]) -> _Plain[_Database, _Parameters, _Result]:
        @wraps(method)
        async def transact(self: _Database, /, *values: _Parameters.args, **named: _Parameters.kwargs) -> _Result:
            return await self.transact(lambda writer: method(self, writer, *values, **named), lock)

        return transact

    return decorate


def in_snapshot(method: _Connected[_Database, _Parameters, _Result]) -> _Plain[_Database, _Parameters, _Result]:
    """Let a method be one question, see `SqlDatabase.ask`; the method gets the connection first."""

    @wraps(method)
    async def ask(self: _Database, /, *values: _Parameters.args, **named: _Parameters.kwargs) -> _Result:
        return await self.ask(lambda reader: method(self, reader, *values, **named))

    return ask

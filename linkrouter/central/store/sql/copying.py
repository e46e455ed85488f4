"""Copying a store from one engine to another, table by table.

Promise: it can be stopped and begun again at any time, and goes on where it was; at the end both have the same number
of rows in every table. The tables have the same columns in each engine, and numbers stay what they are, so that what
routers and webhook endpoints have read up to holds.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from linkrouter.central.store.sql.database import Lock, SqlConnection, SqlDatabase
from linkrouter.errors import StoreError

__all__ = ["CopiedTable", "copy_store"]

COPIED_ROWS = 5000  # in one transaction

# What each table is ordered by: the first table to have less in the target is where a copy goes on.
KEYS = {
    "words": ("number",),
    "messages": ("seq",),
    "htmls": ("message",),
    "links": ("rowid",),
    "withheld": ("recipient", "tenant"),
    "withheld_links": ("link_id", "tenant"),
    "clicks": ("seq",),
    "losses": ("id",),
    "routers": ("router", "worker"),
    "labels": ("seq",),
    "firsts": ("link_id", "tenant"),
    "roll_ups": ("tenant", "tag", "dimension", "span", "bucket", "value", "part", "robot"),
    "to_label": ("link_id", "tenant"),
    "take_backs": ("seq",),
    "take_back_readers": ("router",),
    "webhooks": ("seq",),
    "relabelled": ("seq",),
    "deliveries": ("webhook", "log", "number"),
    "watched_links": ("tenant", "url"),
    "link_events": ("seq",),
    "progress": ("name",),  # the last: until it is there, nothing is labelled or sent again
}
COUNT_ROWS = "SELECT count(*) FROM {table}"
LAST_ROW = "SELECT {keys} FROM {table} ORDER BY {last} LIMIT 1"
NEXT_ROWS = "SELECT {columns} FROM {table} {behind} ORDER BY {keys} LIMIT {limit:d}"
COPY_ROW = "INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING"
EMPTY_TABLE = "DELETE FROM {table}"


class CopiedTable(NamedTuple):
    """How many rows a table has, there and here."""

    table: str
    source: int
    target: int


async def copy_store(
    source: SqlDatabase,
    target: SqlDatabase,
    tell: Callable[[str, int], object] = lambda table, rows: None,
    *,
    step_rows: int = COPIED_ROWS,
) -> list[CopiedTable]:
    """Copy all that *source* keeps into *target*, which nobody writes to; *tell* gets a table and how many came so far.

    Raises:
        StoreError: one of them does not answer, or *target* has clicks of its own.
    """
    await target.transact(_begin, Lock.LABELS | Lock.NUMBERS)
    for table in KEYS:
        await _copy_table(source, target, table, tell, step_rows)
    await target.set_numbers(await source.last_numbers())
    counts = []
    for table in KEYS:
        count = partial(_count_rows, table=table)
        counts.append(CopiedTable(table, await source.ask(count), await target.ask(count)))
    return counts


async def _begin(writer: SqlConnection) -> None:
    """Let a new store lose what it begins with; until the copy is whole, it has no progress."""
    has_progress = await _count_rows(writer, "progress")
    if has_progress and await writer.fetch_value("SELECT max(seq) FROM clicks"):
        raise StoreError("the target has clicks already; name a new database")
    if has_progress:
        await writer.execute(EMPTY_TABLE.format(table="progress"))
        await writer.execute(EMPTY_TABLE.format(table="words"))


async def _count_rows(reader: SqlConnection, table: str) -> int:
    return int(await reader.fetch_value(COUNT_ROWS.format(table=table)))


async def _copy_table(
    source: SqlDatabase, target: SqlDatabase, table: str, tell: Callable[[str, int], object], step_rows: int
) -> None:
    columns = await target.columns_of(table)
    keys = ", ".join(KEYS[table])
    named = {"columns": ", ".join(f'"{name}"' for name in columns), "table": table, "keys": keys, "limit": step_rows}
    where = "WHERE ({}) > ({})".format(keys, ", ".join("?" for _ in KEYS[table]))
    at = [columns.index(key) for key in KEYS[table]]
    copied = await target.ask(partial(_count_rows, table=table))
    behind = await target.ask(partial(_find_last, table))
    while True:
        next_rows = NEXT_ROWS.format(behind=where if behind else "", **named)
        found = await source.ask(partial(_fetch, next_rows, behind))
        if not found:
            return
        await target.transact(partial(_add_rows, target, table, columns, found), Lock.LABELS | Lock.NUMBERS)
        behind = tuple(found[-1][place] for place in at)
        copied += len(found)
        tell(table, copied)


async def _find_last(table: str, reader: SqlConnection) -> Sequence[Any]:
    """Give the key of the last row of *table*; empty where there is none."""
    last = ", ".join(f"{key} DESC" for key in KEYS[table])
    rows = await reader.fetch(LAST_ROW.format(keys=", ".join(KEYS[table]), table=table, last=last))
    return tuple(rows[0]) if rows else ()


async def _fetch(statement: str, values: Sequence[Any], reader: SqlConnection) -> list[Any]:
    return await reader.fetch(statement, values)


async def _add_rows(
    target: SqlDatabase, table: str, columns: Sequence[str], rows: Sequence[Any], writer: SqlConnection
) -> None:
    if table == "clicks":
        at = columns.index("clicked_at")
        await target.make_room(writer, [row[at] for row in rows])
    names, values = ", ".join(f'"{name}"' for name in columns), ", ".join("?" for _ in columns)
    await writer.execute_many(COPY_ROW.format(table=table, columns=names, values=values), rows)

"""Copying a store from one engine to another, table by table.

Promise: it can be stopped and begun again at any time, and goes on where it was; at the end both have the same number
of rows in every table. The tables have the same columns in each engine, and numbers stay what they are, so that what
routers and webhook endpoints have read up to holds.
"""

from collections.abc import Callable
from typing import NamedTuple

from linkrouter.central.store.sql.database import Lock, SqlDatabase
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
    await _begin(target)
    for table in KEYS:
        await _copy_table(source, target, table, tell, step_rows)
    await target.set_numbers(await source.last_numbers())
    counts = []
    for table in KEYS:
        async with source.snapshot() as reader:
            there = await reader.fetch_value(COUNT_ROWS.format(table=table))
        async with target.snapshot() as reader:
            counts.append(CopiedTable(table, there, await reader.fetch_value(COUNT_ROWS.format(table=table))))
    return counts


async def _begin(target: SqlDatabase) -> None:
    """Let a new store lose what it begins with; until the copy is whole, it has no progress."""
    async with target.transaction(Lock.LABELS | Lock.NUMBERS) as writer:
        has_progress = await writer.fetch_value(COUNT_ROWS.format(table="progress"))
        if has_progress and await writer.fetch_value("SELECT max(seq) FROM clicks"):
            raise StoreError("the target has clicks already; name a new database")
        if has_progress:
            await writer.execute(EMPTY_TABLE.format(table="progress"))
            await writer.execute(EMPTY_TABLE.format(table="words"))


async def _copy_table(
    source: SqlDatabase, target: SqlDatabase, table: str, tell: Callable[[str, int], object], step_rows: int
) -> None:
    keys = KEYS[table]
    columns = await target.columns_of(table)
    names = ", ".join(f'"{name}"' for name in columns)
    places = ", ".join("?" for _ in columns)
    where = "WHERE ({}) > ({})".format(", ".join(keys), ", ".join("?" for _ in keys))
    at = [columns.index(key) for key in keys]
    async with target.snapshot() as reader:
        last = ", ".join(f"{key} DESC" for key in keys)
        rows = await reader.fetch(LAST_ROW.format(keys=", ".join(keys), table=table, last=last))
        copied = await reader.fetch_value(COUNT_ROWS.format(table=table))
    behind = rows[0] if rows else None
    while True:
        named = {"columns": names, "table": table, "keys": ", ".join(keys), "limit": step_rows}
        async with source.snapshot() as reader:
            found = await reader.fetch(NEXT_ROWS.format(behind=where if behind else "", **named), behind or ())
        if not found:
            return
        async with target.transaction(Lock.LABELS | Lock.NUMBERS) as writer:
            if table == "clicks":
                await target.make_room(writer, [row[columns.index("clicked_at")] for row in found])
            await writer.execute_many(COPY_ROW.format(table=table, columns=names, values=places), found)
        behind = tuple(found[-1][place] for place in at)
        copied += len(found)
        tell(table, copied)

"""Labels and roll-ups in an SQLite file: which clicks are labelled next, with what they hang together with.

Promise: labels, firsts and roll-ups change in one transaction, so that figures are a sum over labels at any moment and
after a kill. What is written is only what changed.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from linkrouter.central.labels import Insight
from linkrouter.central.roll_ups import LabelRow, RollUpKey, count_labels
from linkrouter.central.store.sqlite.database import SqliteDatabase
from linkrouter.central.store.sqlite.label_groups import Pair, Window, label_groups, read_rows
from linkrouter.errors import StoreError

__all__ = ["LATEST", "PROGRESS", "SET_PROGRESS", "SqliteLabels", "replace_rows"]

Result = TypeVar("Result")

STEP_CLICKS = 500  # labelled in one transaction: some 40 ms, in which ingest waits

LATEST = "SELECT coalesce(max(seq), 0) FROM clicks"
PROGRESS = "SELECT seq FROM progress WHERE name = ?"
SET_PROGRESS = """
INSERT INTO progress (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq
"""
NEXT_CLICKS = "SELECT link_id, tenant, clicked_at, seq FROM clicks WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
NEXT_LINKS = "SELECT link_id, tenant FROM to_label LIMIT ?"
DONE_LINK = "DELETE FROM to_label WHERE link_id = ? AND tenant = ?"
WRITE_LABEL = "INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
WRITE_FIRST = "INSERT OR REPLACE INTO firsts (link_id, tenant, clicked_at, seq) VALUES (?, ?, ?, ?)"
# A change of what was told of a click is an event, where a webhook endpoint asks for such.
ARE_CHANGES_WANTED = "SELECT 1 FROM webhooks WHERE types LIKE '%\"link.relabelled\"%' LIMIT 1"
ADD_CHANGE = "INSERT INTO relabelled (click, at, was) VALUES (?, ?, ?)"
DROP_FIRST = "DELETE FROM firsts WHERE link_id = ? AND tenant = ?"
ADD_COUNTS = """
INSERT INTO roll_ups (tenant, tag, dimension, span, bucket, value, part, robot, clicks, uniques)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
SET clicks = clicks + excluded.clicks, uniques = uniques + excluded.uniques
"""
DROP_EMPTY = """
DELETE FROM roll_ups WHERE tenant = ? AND tag = ? AND dimension = ? AND span = ? AND bucket = ? AND value = ?
    AND part = ? AND robot = ? AND clicks = 0 AND uniques = 0
"""


class SqliteLabels(SqliteDatabase):
    """The part of a `ClickLog` that labels clicks. Its work runs in a thread: it is Python's more than SQLite's."""

    _labelling: sqlite3.Connection | None = None

    async def latest_seq(self) -> int:
        """See `ClickLog`."""
        async with self.snapshot() as reader:
            [[seq]] = await reader.execute_fetchall(LATEST)
        return int(seq)

    async def label_next(self, insight: Insight, until_seq: int) -> int:
        """See `ClickLog`."""
        return await self.in_thread(partial(_label_next, insight=insight, until_seq=until_seq))

    async def relabel_next(self, insight: Insight, after_seq: int, since: int) -> int | None:
        """See `ClickLog`."""
        return await self.in_thread(partial(_relabel_next, insight=insight, after_seq=after_seq, since=since))

    async def close(self) -> None:
        """See `ClickLog`."""
        async with self._writing:
            connection, self._labelling = self._labelling, None
            if connection is not None:
                connection.close()
        await super().close()

    async def in_thread(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run *work* in one transaction of its own; a caller that is cancelled waits for its end."""
        async with self._writing:
            if not self.is_open:
                raise StoreError("the database is closed")
            task = asyncio.ensure_future(asyncio.to_thread(self._transact, work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait([task])
                raise
            except sqlite3.Error as exc:
                raise self.error_of(exc) from exc

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._labelling is None:
            self._labelling = self.connect_plainly()
        connection = self._labelling
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return result


def _label_next(connection: sqlite3.Connection, insight: Insight, until_seq: int) -> int:
    [after] = connection.execute(PROGRESS, ("labelled",)).fetchone()
    clicks = connection.execute(NEXT_CLICKS, (after, until_seq, STEP_CLICKS)).fetchall()
    links = connection.execute(NEXT_LINKS, (STEP_CLICKS,)).fetchall()
    times: dict[Pair, list[int]] = {}
    for link_id, tenant, clicked_at, _ in clicks:
        times.setdefault((link_id, tenant), []).append(clicked_at)
    windows: dict[Pair, Window | None] = {pair: (min(found), max(found)) for pair, found in times.items()}
    windows |= dict.fromkeys(links, None)  # whose message has come: all of their clicks
    if windows:
        _write(connection, windows, insight)
    connection.executemany(DONE_LINK, links)
    if clicks:
        connection.execute(SET_PROGRESS, ("labelled", clicks[-1][3]))
    return len(clicks) + len(links)


def _relabel_next(connection: sqlite3.Connection, insight: Insight, after_seq: int, since: int) -> int | None:
    [labelled] = connection.execute(PROGRESS, ("labelled",)).fetchone()
    clicks = connection.execute(NEXT_CLICKS, (after_seq, labelled, STEP_CLICKS)).fetchall()
    if not clicks:
        return None
    pairs = {(link_id, tenant) for link_id, tenant, clicked_at, _ in clicks if clicked_at >= since}
    if pairs:
        _write(connection, dict.fromkeys(pairs, None), insight)
    return int(clicks[-1][3])


def _write(connection: sqlite3.Connection, windows: dict[Pair, Window | None], insight: Insight) -> None:
    """Label what hangs together with the links of *windows*, and write what changed."""
    labelled = label_groups(connection, windows, insight)
    old = read_rows(connection, labelled.rows)
    _note_changes(connection, old, labelled.rows)
    replace_rows(connection, old, labelled.rows.values())
    connection.executemany(DROP_FIRST, [pair for pair, first in labelled.firsts.items() if first is None])
    connection.executemany(
        WRITE_FIRST, [(*pair, *first) for pair, first in labelled.firsts.items() if first is not None]
    )


def _note_changes(connection: sqlite3.Connection, old: Mapping[int, LabelRow], rows: Mapping[int, LabelRow]) -> None:
    """Put into the outbox which clicks, of those that had settled, are told of otherwise now."""
    if connection.execute(ARE_CHANGES_WANTED).fetchone() is None:
        return
    [settled] = connection.execute(PROGRESS, ("labelled",)).fetchone()
    told_before = ((seq, row) for seq, row in old.items() if seq <= settled)
    changed = [(seq, row.robot) for seq, row in told_before if _told(row) != _told(rows[seq])]
    now_us = time.time_ns() // 1000
    connection.executemany(ADD_CHANGE, [(seq, now_us, was) for seq, was in sorted(changed)])


def _told(row: LabelRow) -> LabelRow:
    """Give what endpoints are told of a label: not by which version it was made, nor whether the click was a first."""
    return row._replace(version=0, is_first=0)


def replace_rows(connection: sqlite3.Connection, old: Mapping[int, LabelRow], rows: Iterable[LabelRow]) -> None:
    """Write *rows* in place of those in *old* (by `seq`), and let the roll-ups follow."""
    changed = [row for row in rows if old.get(row.seq) != row]
    connection.executemany(WRITE_LABEL, changed)
    _add_counts(connection, count_labels(changed, without=(old[row.seq] for row in changed if row.seq in old)))


def _add_counts(connection: sqlite3.Connection, counts: dict[RollUpKey, list[int]]) -> None:
    moved = [(*key, *count) for key, count in counts.items() if count != [0, 0]]
    connection.executemany(ADD_COUNTS, moved)
    connection.executemany(DROP_EMPTY, [row[:8] for row in moved if row[8] < 0 or row[9] < 0])

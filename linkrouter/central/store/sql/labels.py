"""Labels and roll-ups in SQL: which clicks are labelled next, with what they hang together with.

Promise: labels, firsts and roll-ups change in one transaction, so that figures are a sum over labels at any moment and
after a kill. What is written is only what changed.
"""

import time
from collections.abc import Iterable, Mapping

from linkrouter.central.labels import Insight
from linkrouter.central.roll_ups import LabelRow, count_labels
from linkrouter.central.store.sql.database import Lock, SqlConnection, SqlDatabase, in_snapshot, in_transaction
from linkrouter.central.store.sql.label_groups import Pair, Window, find_groups, judge_groups
from linkrouter.central.store.sql.label_rows import make_rows

__all__ = ["LATEST", "PROGRESS", "SET_PROGRESS", "SqlLabels", "replace_rows"]

STEP_CLICKS = 1000  # labelled in one transaction: some 80 ms, in which ingest waits

LATEST = "SELECT coalesce(max(seq), 0) FROM clicks"
PROGRESS = "SELECT seq FROM progress WHERE name = ?"
SET_PROGRESS = """
INSERT INTO progress (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq
"""
NEXT_CLICKS = "SELECT link_id, tenant, clicked_at, seq FROM clicks WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
NEXT_LINKS = "SELECT link_id, tenant FROM to_label LIMIT ?"
DONE_LINK = "DELETE FROM to_label WHERE link_id = ? AND tenant = ?"
WRITE_LABEL = """
INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO UPDATE SET
    tenant = excluded.tenant, clicked_at = excluded.clicked_at, message = excluded.message, tag = excluded.tag,
    part = excluded.part, kind = excluded.kind, browser = excluded.browser, os = excluded.os,
    platform = excluded.platform, country = excluded.country, region = excluded.region, city = excluded.city,
    url = excluded.url, robot = excluded.robot, reason = excluded.reason, reasons = excluded.reasons,
    version = excluded.version, is_first = excluded.is_first
"""
WRITE_FIRST = """
INSERT INTO firsts (link_id, tenant, clicked_at, seq) VALUES (?, ?, ?, ?)
ON CONFLICT (link_id, tenant) DO UPDATE SET clicked_at = excluded.clicked_at, seq = excluded.seq
"""
# A change of what was told of a click is an event, where a webhook endpoint asks for such.
ARE_CHANGES_WANTED = "SELECT 1 FROM webhooks WHERE types LIKE '%\"link.relabelled\"%' LIMIT 1"
ADD_CHANGE = "INSERT INTO relabelled (click, at, was) VALUES (?, ?, ?)"
DROP_FIRST = "DELETE FROM firsts WHERE link_id = ? AND tenant = ?"
ADD_COUNTS = """
INSERT INTO roll_ups (tenant, tag, dimension, span, bucket, value, part, robot, clicks, uniques)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, tag, dimension, span, bucket, value, part, robot) DO UPDATE
SET clicks = roll_ups.clicks + excluded.clicks, uniques = roll_ups.uniques + excluded.uniques
"""
DROP_EMPTY = """
DELETE FROM roll_ups WHERE tenant = ? AND tag = ? AND dimension = ? AND span = ? AND bucket = ? AND value = ?
    AND part = ? AND robot = ? AND clicks = 0 AND uniques = 0
"""


class SqlLabels(SqlDatabase):
    """The part of a `ClickLog` that labels clicks."""

    @in_snapshot
    async def latest_seq(self, reader: SqlConnection) -> int:
        """See `ClickLog`."""
        return int(await reader.fetch_value(LATEST))

    @in_transaction(Lock.LABELS)
    async def label_next(self, writer: SqlConnection, insight: Insight, until_seq: int) -> int:
        """See `ClickLog`."""
        after = await writer.fetch_value(PROGRESS, ("labelled",))
        clicks = await writer.fetch(NEXT_CLICKS, (after, until_seq, STEP_CLICKS))
        links = await writer.fetch(NEXT_LINKS, (STEP_CLICKS,))
        times: dict[Pair, list[int]] = {}
        for link_id, tenant, clicked_at, _ in clicks:
            times.setdefault((link_id, tenant), []).append(clicked_at)
        windows: dict[Pair, Window | None] = {pair: (min(found), max(found)) for pair, found in times.items()}
        windows |= dict.fromkeys(map(tuple, links), None)  # whose message has come: all of their clicks
        if windows:
            await _label(writer, windows, insight)
        await writer.execute_many(DONE_LINK, links)
        if clicks:
            await writer.execute(SET_PROGRESS, ("labelled", clicks[-1][3]))
        return len(clicks) + len(links)

    @in_transaction(Lock.LABELS)
    async def relabel_next(self, writer: SqlConnection, insight: Insight, after_seq: int, since: int) -> int | None:
        """See `ClickLog`."""
        labelled = await writer.fetch_value(PROGRESS, ("labelled",))
        clicks = await writer.fetch(NEXT_CLICKS, (after_seq, labelled, STEP_CLICKS))
        if not clicks:
            return None
        pairs = {(link_id, tenant) for link_id, tenant, clicked_at, _ in clicks if clicked_at >= since}
        if pairs:
            await _label(writer, dict.fromkeys(pairs, None), insight)
        return int(clicks[-1][3])


async def _label(writer: SqlConnection, windows: dict[Pair, Window | None], insight: Insight) -> None:
    """Label what hangs together with the links of *windows*, and write what changed."""
    groups = await find_groups(writer, windows)
    labelled = await make_rows(writer, await writer.compute(judge_groups, groups, insight))
    await _note_changes(writer, labelled.old, labelled.rows)
    await replace_rows(writer, labelled.old, labelled.rows.values())
    await writer.execute_many(DROP_FIRST, [pair for pair, first in labelled.firsts.items() if first is None])
    await writer.execute_many(
        WRITE_FIRST, [(*pair, *first) for pair, first in labelled.firsts.items() if first is not None]
    )


async def _note_changes(writer: SqlConnection, old: Mapping[int, LabelRow], rows: Mapping[int, LabelRow]) -> None:
    """Put into the outbox which clicks, of those that had settled, are told of otherwise now."""
    if await writer.fetch_value(ARE_CHANGES_WANTED) is None:
        return
    settled = await writer.fetch_value(PROGRESS, ("labelled",))
    told_before = ((seq, row) for seq, row in old.items() if seq <= settled)
    changed = [(seq, row.robot) for seq, row in told_before if _told(row) != _told(rows[seq])]
    now_us = time.time_ns() // 1000
    await writer.execute_many(ADD_CHANGE, [(seq, now_us, was) for seq, was in sorted(changed)])


def _told(row: LabelRow) -> LabelRow:
    """Give what endpoints are told of a label: not by which version it was made, nor whether the click was a first."""
    return row._replace(version=0, is_first=0)


async def replace_rows(writer: SqlConnection, old: Mapping[int, LabelRow], rows: Iterable[LabelRow]) -> None:
    """Write *rows* in place of those in *old* (by `seq`), and let the roll-ups follow."""
    changed = [row for row in rows if old.get(row.seq) != row]
    await writer.execute_many(WRITE_LABEL, changed)
    counts = await writer.compute(count_labels, changed, without=[old[row.seq] for row in changed if row.seq in old])
    moved = sorted((*key, *count) for key, count in counts.items() if count != [0, 0])
    await writer.execute_many(ADD_COUNTS, moved)
    await writer.execute_many(DROP_EMPTY, [row[:8] for row in moved if row[8] < 0 or row[9] < 0])

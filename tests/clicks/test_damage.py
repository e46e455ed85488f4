"""Every way to damage a segment: the rest is served, what is missing is counted, and a start never waits.

Rows are what a killed process leaves: a database and a write-ahead log, each with half of the clicks and more.
"""

import asyncio
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from linkrouter.clicks import Click, StoreLimits
from linkrouter.clicks.click import write_click
from linkrouter.clicks.spool.claim import CHECKPOINT_BYTES, claim, segment_names
from linkrouter.clicks.spool.frame import RECORD_START
from linkrouter.clicks.spool.store import Spool
from linkrouter.clicks.spool.timings import SpoolTimings

CLICKS = 6000  # over one checkpoint of SQLite's log, so that both files matter
LIMITS = StoreLimits(reserve_bytes=0)


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory):
    """A directory as a kill leaves it, copied while its store is open."""

    async def make():
        store = Spool(directory, LIMITS)
        await store.open()
        for first in range(0, CLICKS, 100):
            await store.append(
                [
                    write_click(
                        Click(f"id-{n:06d}", "-----w", 0, "html", n, "203.0.113.7", "Mozilla/5.0 (X11)", "click")
                    )
                    for n in range(first, first + 100)
                ]
            )
        shutil.copytree(directory, copy)
        await store.close()

    directory, copy = tmp_path_factory.mktemp("spool"), tmp_path_factory.mktemp("left") / "spool"
    asyncio.run(make())
    return copy


@pytest.fixture
def segment(left_behind, tmp_path) -> Path:
    """The database of a copy of that directory."""
    shutil.copytree(left_behind, tmp_path / "spool")
    return next((tmp_path / "spool").glob("*.db"))


def log_of(segment: Path) -> Path:
    return segment.with_suffix(".db-wal")


def overwrite(path: Path, at: int, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)


def overwrite_rows(path: Path, part: float) -> None:
    """Put rubbish over a page in the middle of the rows of *path*."""
    middle = path.read_bytes().find(RECORD_START, int(path.stat().st_size * part))
    overwrite(path, middle // 4096 * 4096, random.Random(1).randbytes(4096))


def flip_payload(path: Path) -> None:
    at = path.read_bytes().find(b"Mozilla", path.stat().st_size // 2)
    overwrite(path, at, b"XXXX")


def spoil_click(path: Path, number: int) -> None:
    """Change every copy of click *number* in *path*."""
    spoilt = path.read_bytes().replace(b'"id-%06d"' % number, b'"id-XXXXXX"')
    path.write_bytes(spoilt)


DAMAGES = {
    # name: (what is done, whether clicks are missing, whether the segment is kept for a person)
    "nothing": (lambda db: None, False, False),
    "one bad word in the log": (lambda db: overwrite(log_of(db), 24 + 4120 * 100 + 4, b"BAD!"), False, False),
    "a row in the log": (lambda db: spoil_click(log_of(db), CLICKS - 50), True, True),
    "the log cut in half": (lambda db: os.truncate(log_of(db), log_of(db).stat().st_size // 2), True, True),
    "the log deleted": (lambda db: log_of(db).unlink(), True, True),
    "four bytes in a row": (flip_payload, True, True),
    "a random page": (lambda db: overwrite_rows(db, 0.5), True, True),
    "the header overwritten": (lambda db: overwrite(db, 0, bytes(100)), False, True),
    "the database cut in half": (lambda db: os.truncate(db, db.stat().st_size // 2), True, True),
    "the database emptied": (lambda db: os.truncate(db, 0), True, True),
    "the database deleted": (lambda db: db.unlink(), True, True),
    "the lock deleted": (lambda db: db.with_suffix(".lock").unlink(), False, False),
    "a wrong checkpoint": (lambda db: overwrite(db.with_suffix(".lock"), 0, b"f" * CHECKPOINT_BYTES), False, False),
    "an empty checkpoint": (lambda db: os.truncate(db.with_suffix(".lock"), 0), False, False),
    "a shared memory file of rubbish": (lambda db: db.with_suffix(".db-shm").write_bytes(b"x" * 32768), False, False),
}


def start(directory: Path) -> Spool:
    return Spool(directory, LIMITS, SpoolTimings(search_interval_s=0.0))


async def drain(store, max_clicks=1000):
    taken = []
    while batch := await store.next_batch(max_clicks):
        taken += batch.records
        await store.ack(batch)
    return taken


@pytest.mark.parametrize(("damage", "is_missing", "is_kept"), DAMAGES.values(), ids=DAMAGES)
async def test_serves_what_is_left_and_counts_what_is_not(segment, make_records, damage, is_missing, is_kept):
    fresh = make_records(10)
    damage(segment)

    store = start(segment.parent)
    await store.open()
    try:
        await store.append(make_records(10))
        taken = await drain(store)
        status = await store.status()
    finally:
        await store.close()

    assert taken[:10] == fresh
    served, lost = taken[10:], status.lost.get("damaged", 0)
    assert len(served) == len(set(served))
    assert (lost > 0) == is_missing
    assert len(served) + lost == CLICKS
    assert all(record.startswith(b'{"id":"id-') and b"Mozilla/5.0 (X11)" in record for record in served)
    assert status.quarantined == is_kept
    assert status.pending == 0
    assert [name for name in segment_names(segment.parent) if name == segment.stem] == []


@pytest.mark.parametrize("damage", [damage for damage, _, is_kept in DAMAGES.values() if is_kept])
async def test_a_damaged_segment_is_served_once_and_kept_as_it_was(segment, damage):
    damage(segment)
    before = {path.name: path.read_bytes() for path in segment.parent.iterdir() if path.suffix != ".lock"}
    store = start(segment.parent)
    await store.open()
    await drain(store)
    await store.close()

    again = start(segment.parent)
    await again.open()
    try:
        assert await drain(again) == []
    finally:
        await again.close()

    kept = {p.name: p.read_bytes() for p in (segment.parent / "quarantine").iterdir() if p.suffix != ".json"}
    assert kept == before


async def test_says_once_and_for_all_what_is_missing_and_between_which_times(segment):
    owned = claim(segment.parent, segment.stem)
    owned.write_checkpoint(oldest_at=1_000_000)
    owned.release()
    flip_payload(segment)
    before_us = time.time_ns() // 1000
    seen = []

    for _ in range(2):
        store = start(segment.parent)
        await store.open()
        try:
            await drain(store)
            seen.append((await store.status()).losses)
        finally:
            await store.close()

    ((loss,), again) = seen
    assert again == (loss,)
    assert (loss.id, loss.reason, loss.count, loss.since) == (segment.stem, "damaged", 1, 1_000_000)
    assert loss.since < loss.until <= before_us


async def test_a_process_killed_in_the_middle_of_a_damaged_segment_costs_nothing(segment):
    overwrite_rows(segment, 0.5)
    store = start(segment.parent)
    await store.open()
    first = await store.next_batch(1000)
    await store.ack(first)
    second = await store.next_batch(1000)
    await store.close()  # the second was not acknowledged

    again = start(segment.parent)
    await again.open()
    try:
        rest = await drain(again)
        status = await again.status()
    finally:
        await again.close()

    assert rest[:1000] == list(second.records)
    assert len(first.records) + len(rest) + status.lost["damaged"] == CLICKS
    assert status.quarantined == 1


async def test_rows_that_a_kill_cut_off_are_no_loss(segment):
    owned = claim(segment.parent, segment.stem)
    owned.write_checkpoint(committed=CLICKS - 100)  # the last commit was under way
    owned.release()
    spoil_click(log_of(segment), CLICKS - 50)
    store = start(segment.parent)
    await store.open()
    try:
        found = len(await drain(store))
        status = await store.status()
    finally:
        await store.close()

    assert found == CLICKS - 1
    assert (status.quarantined, status.lost) == (0, {})


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"SQLite format 3\0" + bytes(4080), bytes(4096)],
    ids=["empty", "text", "header", "zeros"],
)
async def test_foreign_files_under_our_names_harm_nothing_and_are_not_deleted(tmp_path, make_records, content):
    name = f"{1:016x}-{1:08x}"
    (tmp_path / f"{name}.db").write_bytes(content)
    (tmp_path / "checkpoints.txt").write_text("mine")
    (tmp_path / "other.db").write_bytes(content)
    store = start(tmp_path)
    await store.open()
    try:
        await store.append(make_records(10))
        assert len(await drain(store)) == 10
    finally:
        await store.close()

    assert (tmp_path / "checkpoints.txt").read_text() == "mine"
    assert (tmp_path / "other.db").read_bytes() == content
    assert [path.read_bytes() for path in tmp_path.rglob(f"{name}.db")] == [content]


@pytest.mark.parametrize("suffix", [".db", ".db-wal", ".lock"])
async def test_a_file_that_may_not_be_read_is_left_alone_and_served_when_it_may(segment, make_records, suffix):
    path, hidden = segment.with_suffix(suffix), segment.with_name("hidden")
    path.rename(hidden)
    path.symlink_to(path)  # not even root can open it
    store = start(segment.parent)
    await store.open()
    try:
        await store.append(make_records(10))
        before = len(await drain(store))
        path.unlink()
        hidden.rename(path)

        after = len(await drain(store))
        status = await store.status()
    finally:
        await store.close()

    assert (before, after) == (10, CLICKS)
    assert (status.quarantined, status.lost) == (0, {})


async def test_a_start_waits_for_nothing_that_lies_there(left_behind, tmp_path, make_records):
    directory = tmp_path / "spool"
    for number in range(40):
        shutil.copytree(left_behind, tmp_path / "copy")
        for path in (tmp_path / "copy").iterdir():
            directory.mkdir(exist_ok=True)
            path.rename(directory / f"{number:016x}-{number:08x}{path.suffix}")
        shutil.rmtree(tmp_path / "copy")
    store = start(directory)

    await store.open()
    await store.append(make_records(10))
    batch = await store.next_batch(10)
    await store.close()

    assert batch.records == tuple(make_records(10))
    assert len(segment_names(directory)) == 41


async def test_a_segment_damaged_while_it_is_in_use_is_abandoned_and_read_back(tmp_path, make_records):
    store = start(tmp_path)
    await store.open()
    try:
        await store.append(make_records(30_000))  # more than SQLite keeps in memory
        overwrite_rows(next(tmp_path.glob("*.db")), 0.5)

        taken = await drain(store)
        await store.append(make_records(10, first=40_000))
        taken += await drain(store)
        status = await store.status()
    finally:
        await store.close()

    assert status.lost["damaged"] > 0
    assert len(set(taken)) + status.lost["damaged"] == 30_010


async def test_status_counts_what_waits_in_a_damaged_directory_without_touching_it(segment):
    flip_payload(segment)
    segment.with_suffix(".lock").unlink()
    before = {path.name: path.read_bytes() for path in segment.parent.iterdir()}

    status = await Spool(segment.parent, LIMITS).status()

    assert status.pending == CLICKS - 1
    assert {path.name: path.read_bytes() for path in segment.parent.iterdir()} == before


async def test_a_damaged_segment_that_cannot_be_moved_is_served_and_left_where_it_is(segment):
    (segment.parent / "quarantine").write_text("in the way")
    flip_payload(segment)
    damaged = segment.read_bytes()
    store = start(segment.parent)
    await store.open()
    try:
        first, second = await drain(store), await drain(store)
    finally:
        await store.close()

    assert (len(first), second) == (CLICKS - 1, [])
    assert segment.read_bytes() == damaged

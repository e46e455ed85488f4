"""Segments: whose they are, when they roll, and what becomes of them."""

import asyncio
import contextlib
import os
import stat
import subprocess
import sys

import pytest

from linkrouter.clicks import OwnShare, StoreLimits
from linkrouter.clicks.click import clicked_at
from linkrouter.clicks.spool.claim import claim, segment_names
from linkrouter.clicks.spool.segment import RECENT_CLICKS
from linkrouter.clicks.spool.store import Spool
from linkrouter.clicks.spool.timings import SpoolTimings
from linkrouter.errors import StoreError

LIMITS = StoreLimits(reserve_bytes=0)

# Appends clicks in commits of ten until it is killed, and says how many are durable after each.
WRITER = """
import asyncio, os, sys
from linkrouter.clicks import Click, open_click_store
from linkrouter.clicks.click import write_click
async def main():
    store = open_click_store(sys.argv[1])
    await store.open()
    done = 0
    while True:
        ids = [f"{os.getpid()}-{number:06d}" for number in range(done, done + 10)]
        clicks = [Click(name, "-----w", 0, "html", 0, None, None, "click") for name in ids]
        await store.append([write_click(click) for click in clicks])
        done += 10
        print(done, flush=True)
asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def opened(directory, **timings):
    store = Spool(directory, LIMITS, SpoolTimings(**timings))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def drain(store, max_clicks=1000):
    taken = []
    while batch := await store.next_batch(max_clicks):
        taken += batch.records
        await store.ack(batch)
    return taken


def start_a_writer(directory):
    command = [sys.executable, "-c", WRITER, f"sqlite:///{directory}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill(writer, commits) -> int:
    """Kill *writer* after *commits* more, and give how many clicks it was told are durable."""
    with writer:
        lines = [writer.stdout.readline() for _ in range(commits)]
        writer.kill()
        lines += writer.stdout
    return int(lines[-1])


async def test_what_was_appended_is_there_after_closing_and_opening(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(10))

    async with opened(tmp_path) as store:
        assert await drain(store) == make_records(10)


async def test_acknowledgements_outlive_the_process(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(10))
        await store.ack(await store.next_batch(4))

    async with opened(tmp_path) as store:
        assert await drain(store) == make_records(10)[4:]


async def test_a_closed_store_leaves_nothing_of_what_was_acknowledged(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(10))
        await drain(store)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("commits", [1, 7, 150])
async def test_a_killed_process_loses_nothing_it_was_told_is_durable(tmp_path, commits):
    done = kill(start_a_writer(tmp_path), commits)

    async with opened(tmp_path) as store:
        status = await store.status()
        taken = await drain(store)

    assert status.pending >= done - 10  # the checkpoint is written right behind the commit
    assert len(taken) == len(set(taken)) >= done
    assert (status.quarantined, status.lost) == (0, {})
    assert list(tmp_path.iterdir()) == []


async def test_what_several_killed_processes_left_is_drained_while_others_still_write(tmp_path):
    writers = [start_a_writer(tmp_path) for _ in range(3)]
    taken, durable = [], 0
    async with opened(tmp_path, search_interval_s=0.0) as store:
        for writer in writers:
            durable += await asyncio.to_thread(kill, writer, 20)
            taken += await drain(store)
        status = await store.status()

    assert len(taken) == len(set(taken)) >= durable
    assert (status.pending, status.quarantined, status.lost) == (0, 0, {})


async def test_a_search_outlives_the_caller_that_gave_up(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(10))
    async with opened(tmp_path) as store:
        taking = asyncio.create_task(store.next_batch(10))
        while store._reader._search is None:
            await asyncio.sleep(0)
        await asyncio.wait([store._reader._search])
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

        assert await drain(store) == make_records(10)


async def test_two_stores_in_one_directory_keep_out_of_each_others_way(tmp_path, make_records):
    async with opened(tmp_path) as blue, opened(tmp_path) as green:
        await blue.append(make_records(10))
        await green.append(make_records(10, first=10))

        assert await drain(blue) == make_records(10)
        assert await drain(green) == make_records(10, first=10)


async def test_a_living_process_takes_over_what_another_left(tmp_path, make_records):
    async with opened(tmp_path, search_interval_s=0.0) as green:
        assert await drain(green) == []
        async with opened(tmp_path) as blue:
            await blue.append(make_records(10))

        assert await drain(green) == make_records(10)


async def test_several_processes_share_a_backlog_without_handing_a_click_out_twice(tmp_path, make_records):
    for part in range(6):
        async with opened(tmp_path) as store:
            await store.append(make_records(50, first=part * 50))
    async with opened(tmp_path) as blue, opened(tmp_path) as green:
        taken = []
        for _ in range(30):
            for store in (blue, green):
                if batch := await store.next_batch(10):
                    taken += batch.records
                    await store.ack(batch)

    assert sorted(taken) == make_records(300)


async def test_a_full_segment_is_left_to_the_backlog_and_unlinked_when_acknowledged(tmp_path, make_records):
    async with opened(tmp_path, segment_bytes=20_000) as store:
        for part in range(10):
            await store.append(make_records(100, first=part * 100))
        segments = len(segment_names(tmp_path))

        taken = await drain(store)

        assert segments >= 5
        assert sorted(taken) == make_records(1000)
        assert len(segment_names(tmp_path)) == 1


async def test_an_old_segment_is_left_to_the_backlog(tmp_path, make_records):
    async with opened(tmp_path, segment_age_s=0.0) as store:
        await store.append(make_records(10))
        await store.append(make_records(10, first=10))

        assert sorted(await drain(store)) == make_records(20)


async def test_the_freshest_clicks_go_before_the_backlog_and_the_newest_segment_first(tmp_path, make_records):
    for part in (1, 2):
        async with opened(tmp_path) as store:
            await store.append(make_records(10, first=part * 100))
    async with opened(tmp_path) as store:
        await store.append(make_records(10, first=300))

        taken = await drain(store)

    assert taken == make_records(10, 300) + make_records(10, 200) + make_records(10, 100)


async def test_an_idle_process_keeps_nothing_on_disk_that_was_acknowledged(tmp_path, make_records):
    async with opened(tmp_path, idle_s=0.0) as store:
        await store.append(make_records(10))
        await store.ack(await store.next_batch(10))

        assert await store.next_batch(10) is None

        assert list(tmp_path.iterdir()) == []
        await store.append(make_records(1, first=10))
        assert await drain(store) == make_records(1, first=10)


@pytest.mark.parametrize(("acknowledged", "idle_s"), [(9, 0.0), (10, 60.0)], ids=["one click waits", "not idle yet"])
async def test_a_segment_that_is_needed_is_not_dropped_for_idleness(tmp_path, make_records, acknowledged, idle_s):
    async with opened(tmp_path, idle_s=idle_s) as store:
        await store.append(make_records(10))
        await store.ack(await store.next_batch(acknowledged))
        before = segment_names(tmp_path)

        await store.next_batch(10)

        assert len(before) == 1
        assert segment_names(tmp_path) == before


async def test_the_shares_of_two_processes_add_up_to_what_waits_in_their_directory(tmp_path, make_records):
    async with opened(tmp_path) as blue, opened(tmp_path) as green:
        await blue.append(make_records(10))
        await green.append(make_records(5, first=10))
        await blue.ack(await blue.next_batch(4))

        own, others = blue.own_share(), green.own_share()

        assert (own.pending, own.oldest_at) == (6, clicked_at(make_records(10)[4]))
        assert (others.pending, others.oldest_at) == (5, clicked_at(make_records(11)[10]))
        assert own.pending + others.pending == (await blue.status()).pending
        assert (await blue.status()).own_pending == own.pending


async def test_a_process_counts_what_it_left_to_the_backlog_until_another_owns_it(tmp_path, make_records):
    async with opened(tmp_path, segment_bytes=1) as blue, opened(tmp_path, search_interval_s=0.0) as green:
        for part in range(3):
            await blue.append(make_records(10, first=part * 10))
        alone = blue.own_share()

        batch = await green.next_batch(10)
        status = await blue.status()

        assert (alone.pending, alone.oldest_at) == (30, clicked_at(make_records(1)[0]))
        assert (status.own_pending, green.own_share().pending, status.pending) == (20, 10, 30)
        await green.ack(batch)
        assert green.own_share().pending == 0
        assert (await blue.status()).pending == 20


async def test_a_process_counts_the_backlog_that_it_adopted_from_a_dead_one(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(10))
    async with opened(tmp_path) as store:
        await store.ack(await store.next_batch(4))

        share = store.own_share()

        assert (share.pending, share.oldest_at) == (6, clicked_at(make_records(5)[4]))
        assert share.bytes > 0
        await drain(store)
        assert store.own_share() == OwnShare()


async def test_a_trickle_of_live_clicks_does_not_hold_up_the_backlog(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(100))
    async with opened(tmp_path, live_interval_s=60.0) as store:
        taken = []
        for number in range(12):
            await store.append(make_records(1, first=1000 + number))
            batch = await store.next_batch(10)
            taken += batch.records
            await store.ack(batch)

    assert taken[:1] == make_records(1, first=1000)
    assert set(make_records(100)) <= set(taken)


async def test_full_batches_of_live_clicks_do_hold_up_the_backlog(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(100))
    async with opened(tmp_path) as store:
        await store.append(make_records(30, first=1000))
        taken = []
        for _ in range(3):
            batch = await store.next_batch(10)
            taken += batch.records
            await store.ack(batch)

    assert taken == make_records(30, first=1000)


async def test_a_reader_that_keeps_up_needs_no_file(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(100))
        for path in tmp_path.glob("*.db*"):
            os.truncate(path, 0)

        batch = await store.next_batch(1000)

        assert list(batch.records) == make_records(100)


@pytest.mark.parametrize("behind", [0, RECENT_CLICKS - 1, RECENT_CLICKS, RECENT_CLICKS + 1, 2 * RECENT_CLICKS])
async def test_a_reader_gets_every_click_in_order_however_far_behind(tmp_path, make_records, behind):
    async with opened(tmp_path) as store:
        await store.append(make_records(500))
        await store.ack(await store.next_batch(300))
        if behind:
            await store.append(make_records(behind, first=500))

        assert await drain(store, max_clicks=700) == make_records(behind + 200, first=300)


async def test_an_acknowledgement_is_kept_when_the_segment_rolled_in_between(tmp_path, make_records):
    async with opened(tmp_path, segment_bytes=1) as store:
        await store.append(make_records(10))
        batch = await store.next_batch(4)
        await store.append(make_records(1, first=10))

        await store.ack(batch)

        assert sorted(await drain(store)) == make_records(7, first=4)


async def test_a_cancelled_append_leaves_a_store_that_goes_on(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(10))
        appending = asyncio.create_task(store.append(make_records(500, first=100)))
        while not store._writer.lock.locked():
            await asyncio.sleep(0)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending

        await store.append(make_records(10, first=10))
        wanted, taken = set(make_records(20)), set()
        async with asyncio.timeout(60):
            while not wanted <= taken:  # the segment is closed, and found again, when its thread has come to it
                taken |= set(await drain(store))
                await asyncio.sleep(0.01)

    assert wanted <= taken


async def test_files_are_for_their_owner_alone(tmp_path, make_records):
    async with opened(tmp_path / "spool") as store:
        await store.append(make_records(10))
        await store.add_dead_letters(make_records(1), "refused")

        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool").iterdir()}

        assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
        assert modes == {0o600}


async def test_a_removed_directory_is_made_again_with_what_was_in_it(tmp_path, make_records):
    directory = tmp_path / "spool"
    async with opened(directory, measure_interval_s=0.0) as store:
        await store.append(make_records(10))
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()

        await store.append(make_records(10, first=10))

    async with opened(directory) as store:
        assert sorted(await drain(store)) == make_records(20)


async def test_a_directory_that_cannot_be_made_again_is_an_error_until_it_can(tmp_path, make_records):
    directory = tmp_path / "spool"
    async with opened(directory, measure_interval_s=0.0) as store:
        await store.append(make_records(10))
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        directory.write_text("in the way")
        with pytest.raises(StoreError, match="not where it was"):
            await store.append(make_records(10, first=10))
        directory.unlink()

        await store.append(make_records(10, first=10))

        assert sorted(await drain(store)) == make_records(20)


async def test_a_place_that_cannot_be_a_directory_is_named_with_the_cure(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=r"CLICK_STORE: directory .* cannot be written \(.*\); make it writable"):
        async with opened(tmp_path / "file" / "spool"):
            pass


async def test_dead_letters_stay_readable_for_a_person(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.add_dead_letters(make_records(1), "refused")
        await store.add_dead_letters(make_records(1, first=1), "refused")

    lines = (tmp_path / "dead-letters.jsonl").read_bytes().splitlines()
    assert lines == [b'{"reason":"refused","click":%b}' % record for record in make_records(2)]


async def test_dead_letters_of_an_older_version_are_counted_and_renamed(tmp_path, make_records):
    line = b'{"reason":"refused","click":%b}\n'
    (tmp_path / "set-aside.jsonl").write_bytes(line % make_records(1)[0])
    before = await Spool(tmp_path, LIMITS).status()

    async with opened(tmp_path) as store:
        await store.add_dead_letters(make_records(1, first=1), "refused")
        after = await store.status()

    assert (before.dead_letters, after.dead_letters) == (1, 2)
    assert (tmp_path / "dead-letters.jsonl").read_bytes() == b"".join(line % record for record in make_records(2))
    assert not (tmp_path / "set-aside.jsonl").exists()


async def test_dead_letters_that_two_versions_wrote_at_once_are_counted_together(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.add_dead_letters(make_records(1), "refused")
        (tmp_path / "set-aside.jsonl").write_bytes(b"{}\n{}\n")

    async with opened(tmp_path) as store:
        assert (await store.status()).dead_letters == 3


async def test_status_from_outside_sees_a_running_router_and_changes_nothing(tmp_path, make_records):
    async with opened(tmp_path) as store:
        await store.append(make_records(10))
        await store.ack(await store.next_batch(4))
        before = sorted(path.name for path in tmp_path.iterdir())

        seen = await Spool(tmp_path, LIMITS).status()

        assert (seen.own_pending, seen.own_bytes) == (0, 0)
        assert (seen.pending, seen.quarantined, seen.lost) == (6, 0, {})
        assert sorted(path.name for path in tmp_path.iterdir()) == before


async def test_status_of_a_directory_that_does_not_exist_is_empty(tmp_path):
    assert (await Spool(tmp_path / "none", LIMITS).status()).pending == 0
    assert not (tmp_path / "none").exists()


def test_a_claim_on_a_lock_file_that_was_just_unlinked_is_none(tmp_path):
    name = "0" * 16 + "-" + "0" * 8
    first = claim(tmp_path, name)
    late = os.open(first.lock, os.O_RDWR)
    os.rename(first.lock, tmp_path / "elsewhere")

    second = claim(tmp_path, name)

    assert second is not None
    assert not first.is_in_place()
    os.close(late)
    first.release()
    second.release()

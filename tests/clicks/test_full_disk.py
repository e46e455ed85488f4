"""A full disk: nothing that was kept is lost, the spool can be drained, and clicks are taken again at once."""

import contextlib
import os
import subprocess

import pytest

from linkrouter.clicks import StoreLimits
from linkrouter.clicks.spool.store import Spool
from linkrouter.clicks.spool.timings import SpoolTimings
from linkrouter.errors import StoreFull

TIMINGS = SpoolTimings(segment_bytes=256 * 1024, search_interval_s=0.0, measure_interval_s=0.0)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB and 200 files."""
    if os.geteuid():
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m,nr_inodes=200", "tmpfs", tmp_path], stderr=subprocess.PIPE
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@contextlib.asynccontextmanager
async def opened(directory, **limits):
    store = Spool(directory, StoreLimits(**({"reserve_bytes": 0} | limits)), TIMINGS)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def fill_up(path):
    """Write to *path* until the disk is full."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(descriptor, bytes(4096)):
            pass
    os.close(descriptor)


async def fill(store, make_records, step=200):
    kept = []
    for first in range(0, 1_000_000, step):
        try:
            await store.append(make_records(step, first))
        except StoreFull:
            return kept
        kept += make_records(step, first)
    raise AssertionError("the disk does not fill")


async def drain(store):
    taken = []
    while batch := await store.next_batch(1000):
        taken += batch.records
        await store.ack(batch)
    return taken


@pytest.mark.slow
async def test_a_disk_filled_by_clicks_gives_them_back_and_takes_more(small_disk, make_records):
    async with opened(small_disk / "spool") as store:
        for _ in range(2):
            kept = await fill(store, make_records)
            assert len(kept) > 10_000
            assert set(kept) <= set(await drain(store))
            assert os.statvfs(small_disk).f_bavail * 4096 > 5_000_000


async def test_a_disk_filled_by_others_is_no_reason_not_to_start_or_not_to_send(small_disk, make_records):
    async with opened(small_disk / "spool") as store:
        await store.append(make_records(1000))
    fill_up(small_disk / "filler")

    async with opened(small_disk / "spool") as store:
        with pytest.raises(StoreFull):
            await store.append(make_records(1000, first=1000))
        sent = await drain(store)
        (small_disk / "filler").unlink()
        await store.append(make_records(1000, first=1000))
        sent += await drain(store)

    assert sorted(set(sent)) == make_records(2000)


async def test_a_disk_without_room_for_another_file_is_a_full_disk(small_disk, make_records):
    (small_disk / "spool").mkdir()
    with contextlib.suppress(OSError):
        for number in range(1000):
            (small_disk / f"file-{number}").touch()

    async with opened(small_disk / "spool") as store:
        with pytest.raises(StoreFull):
            await store.append(make_records(10))
        for number in range(20):
            (small_disk / f"file-{number}").unlink()

        await store.append(make_records(10))

        assert len(await drain(store)) == 10


async def test_the_reserve_is_left_to_others(small_disk, make_records):
    async with opened(small_disk / "spool", reserve_bytes=3 * 1024**2) as store:
        await fill(store, make_records)

        assert os.statvfs(small_disk).f_bavail * 4096 > 2_500_000


async def test_a_small_disk_keeps_clicks_when_nobody_says_how_much_to_leave_free(small_disk, make_records):
    async with opened(small_disk / "spool", reserve_bytes=None) as store:
        kept = await fill(store, make_records)

        free_bytes = os.statvfs(small_disk).f_bavail * 4096
        assert kept
        assert 250_000 < free_bytes < 2_000_000  # 5 % of 6 MB, and what is written at once


@pytest.mark.slow
async def test_the_directory_stays_within_its_limit(tmp_path, make_records):
    async with opened(tmp_path, max_bytes=3 * 1024**2) as store:
        for _ in range(3):
            kept = await fill(store, make_records)
            size = (await store.status()).bytes

            assert set(kept) <= set(await drain(store))
            assert size < 1.5 * 3 * 1024**2

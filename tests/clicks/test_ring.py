"""The ring by itself: what is written comes out once, in order, whatever becomes of the processes and the bytes."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.clicks.memory import MemoryStore
from linkrouter.clicks.ring.carrier import Carrier
from linkrouter.clicks.ring.file import RingFile, ring_files
from linkrouter.clicks.ring.group import ALIGNMENT, pack_group, read_group
from linkrouter.clicks.ring.page import CLICKS, HEAD, PAGE_BYTES, VERSION
from linkrouter.clicks.ring.place import find_ring_directory
from linkrouter.clicks.ring.reader import RingReader
from linkrouter.clicks.ring.writer import RingWriter
from linkrouter.errors import NoRing, StoreFull
from linkrouter.metrics import Metrics

OWNER = 4711
DATA_BYTES = 64 * 1024


@pytest.fixture
def write(tmp_path):
    """Give a function that makes a ring and its writer."""
    writers = []

    def make(data_bytes=DATA_BYTES, owner=OWNER, worker=0):
        writers.append(RingWriter(RingFile.create(tmp_path, owner, worker, data_bytes)))
        return writers[-1]

    yield make
    for writer in writers:
        with contextlib.suppress(ValueError, OSError):  # the test has closed it
            writer.close()


def open_reader(directory):
    (path,) = ring_files(directory)
    return RingReader(RingFile.find(path, OWNER))


@given(first=st.integers(0, 2**63), records=st.lists(st.binary(min_size=1).map(bytes.hex).map(str.encode), min_size=1))
def test_a_group_is_read_as_it_was_written_and_no_other_way(first, records):
    packed = pack_group(first, records)

    group = read_group(memoryview(packed), 0)

    assert (group.first, group.records, group.end) == (first, records, len(packed))
    assert len(packed) % ALIGNMENT == 0
    torn = bytearray(packed)
    torn[len(packed) // 2] ^= 1
    assert read_group(memoryview(torn), 0) is None or torn[16:].rstrip(b"\0") != packed[16:].rstrip(b"\0")


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=60), most=st.integers(1, 100))
def test_everything_comes_out_once_and_in_order_over_many_laps(tmp_path_factory, sizes, most):
    directory = tmp_path_factory.mktemp("ring")
    writer = RingWriter(RingFile.create(directory, OWNER, 0, 16 * 1024))
    reader = open_reader(directory)
    sent, kept, number = [], [], 0

    for size in sizes:
        records = [b"%06d" % (number + at) + b"x" * 300 for at in range(size)]
        number += size
        if writer.append(records):
            sent += records
        else:
            kept += reader.read(most)
            reader.release()
    while found := reader.read(most):
        kept += found
        reader.release()

    assert kept == sent
    reader.ring.close()
    writer.close()


def test_what_was_not_released_is_read_again_by_the_next_reader(tmp_path, write, make_records):
    writer = write()
    writer.append(make_records(10))
    first = open_reader(tmp_path)
    assert first.read(100) == make_records(10)
    first.ring.close()

    second = open_reader(tmp_path)

    assert second.read(100) == make_records(10)
    second.release()
    assert second.read(100) == []
    assert writer.page.waiting == 0
    second.ring.close()


def test_a_ring_has_one_reader_and_a_stranger_waits_for_its_writer_to_end(tmp_path, write, make_records):
    writer = write()
    writer.append(make_records(3))
    (path,) = ring_files(tmp_path)

    assert RingFile.find(path, OWNER + 1) is None
    own = RingFile.find(path, OWNER)
    assert RingFile.find(path, OWNER) is None
    own.close()
    writer.close()

    stranger = RingReader(RingFile.find(path, OWNER + 1))
    stranger.look()
    assert stranger.read(100) == make_records(3)
    stranger.release()
    assert stranger.is_drained
    stranger.ring.close()


def test_a_full_ring_takes_no_more_and_counts_what_it_did_not_take(tmp_path, write, make_records):
    writer = write(16 * 1024)
    taken = 0
    while writer.append(make_records(8, taken)):
        taken += 8
    writer.page.count_drops("queue_full", 8, 5_000_000)
    writer.page.count_drops("queue_full", 2, 7_000_000)

    reader = open_reader(tmp_path)
    assert reader.read(10_000) == make_records(taken)
    (loss,) = reader.page.untold_losses("ring")
    again = reader.page.untold_losses("ring")

    assert (loss.reason, loss.count, loss.since, loss.until) == ("queue_full", 10, 5_000_000, 7_000_000)
    assert again == [loss]  # a carrier that died before it knew tells it again, under the same id
    reader.page.confirm_told()
    assert reader.page.untold_losses("ring") == []
    reader.release()
    assert writer.append(make_records(8))
    reader.ring.close()


@pytest.mark.parametrize("flip", [0, 5, 9, 40], ids=["checksum", "length", "number", "record"])
def test_a_damaged_group_is_stepped_over_and_what_it_held_is_counted(tmp_path, write, make_records, flip):
    writer = write()
    writer.append(make_records(4))
    damaged_at = writer.page.words[HEAD]
    writer.append(make_records(3, 4))
    writer.append(make_records(5, 7))
    reader = open_reader(tmp_path)
    reader.ring.data[damaged_at + flip] ^= 0x10

    assert reader.read(100) == make_records(4)  # it may be a store that is still on its way
    writer.close()
    reader.look()
    assert reader.read(100) == make_records(5, 7)

    assert reader.release() == 3
    assert reader.is_drained
    reader.ring.close()


@pytest.mark.parametrize("laps", [1, 3])
def test_a_ring_without_its_page_is_mended_from_what_lies_in_it(tmp_path, write, make_records, laps):
    store, writer = MemoryStore(1 << 24), write(32 * 1024)
    reader, number = open_reader(tmp_path), 0
    while writer.page.words[HEAD] < (laps - 0.5) * 32 * 1024:
        assert writer.append(make_records(6, number))
        number += 6
        if number > 60:
            reader.read(6)
            reader.release()
    waiting = reader.read(10_000)
    reader.ring.data.obj[:PAGE_BYTES] = os.urandom(PAGE_BYTES)
    reader.ring.close()
    writer.close()

    kept = asyncio.run(carry(tmp_path, store))

    assert kept[-len(waiting) :] == waiting  # some that were carried before come again: central knows them
    assert kept == make_records(len(kept), number - len(kept))
    assert ring_files(tmp_path) == []


async def carry(directory, store, owner=OWNER, metrics=None):
    """Run a carrier until everything its workers left is in *store*; give what that is."""
    carrier = Carrier(directory, owner, store, metrics or Metrics(), interval_s=0.001, tells_losses=False)
    carrier.stop()
    async with asyncio.timeout(20):
        await carrier.run()
    carrier.close()
    batch = await store.next_batch(1_000_000)
    return list(batch.records) if batch else []


async def test_a_carrier_adopts_what_the_dead_of_another_supervisor_left(tmp_path, write, make_records):
    write(owner=1).append(make_records(5))
    alive = write(owner=2)
    alive.append(make_records(5, 5))
    dead = write(owner=3)
    dead.append(make_records(5, 10))
    dead.close()
    store, metrics = MemoryStore(1 << 24), Metrics()

    kept = await carry(tmp_path, store, owner=3, metrics=metrics)

    assert kept == make_records(5, 10)  # those whose writers live belong to others
    assert metrics.counter("linkrouter_clicks_recorded")["click"] == 5
    assert len(ring_files(tmp_path)) == 2


async def test_a_ring_of_another_version_is_left_to_it_and_keeps_nobody_from_starting(tmp_path, write, make_records):
    newer, writer = write(), write()
    newer.append(make_records(5))
    newer.page.words[VERSION] = 99
    newer.close()
    writer.append(make_records(5, 5))
    writer.close()

    kept = await carry(tmp_path, MemoryStore(1 << 24))

    assert kept == make_records(5, 5)
    assert len(ring_files(tmp_path)) == 1


@pytest.mark.parametrize("size", [0, 100, PAGE_BYTES, PAGE_BYTES + 999], ids=str)
async def test_a_file_that_was_cut_keeps_nobody_from_starting(tmp_path, write, make_records, size):
    writer = write()
    writer.append(make_records(5))
    writer.close()
    (path,) = ring_files(tmp_path)
    os.truncate(path, size)

    await carry(tmp_path, MemoryStore(1 << 24))

    assert ring_files(tmp_path) == []


async def test_a_store_that_is_full_keeps_clicks_in_the_ring_and_tells_the_writer(tmp_path, write, make_records):
    class Full(MemoryStore):
        is_full = True

        async def append(self, records):
            if self.is_full:
                raise StoreFull("full")
            await super().append(records)

    writer, store = write(), Full(1 << 24)
    writer.append(make_records(5))
    carrier = Carrier(tmp_path, OWNER, store, Metrics(), interval_s=0.001, tells_losses=False)
    running = asyncio.create_task(carrier.run())
    async with asyncio.timeout(10):
        while writer.page.trouble is None:
            await asyncio.sleep(0.005)
        told = (writer.page.trouble, writer.is_carried(60), writer.page.waiting)
        store.is_full = False
        while writer.page.waiting:
            await asyncio.sleep(0.005)
        while not writer.is_carried(60):
            await asyncio.sleep(0.005)
    writer.close()
    carrier.stop()
    await running

    assert told == ("store_full", False, 5)
    assert (await store.next_batch(100)).records == tuple(make_records(5))


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from linkrouter.clicks.ring.file import RingFile
from linkrouter.clicks.ring.writer import RingWriter

writer, number = RingWriter(RingFile.create(Path(sys.argv[1]), int(sys.argv[2]), 0, 1 << 24)), 0
while True:
    written = writer.append([b"%08d" % at for at in range(number, number + 5)])
    number += 5 * written
    if written and not number % 1000:
        print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 30])
def test_what_a_killed_process_wrote_is_there_and_half_of_a_group_is_not(tmp_path, after):
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path), str(OWNER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = [int(process.stdout.readline()) for _ in range(after)][-1]
        process.send_signal(signal.SIGKILL)

    reader = open_reader(tmp_path)
    reader.look()
    kept = reader.read(1 << 30)

    assert kept == [b"%08d" % at for at in range(len(kept))]
    assert len(kept) >= said
    assert len(kept) % 5 == 0
    assert reader.page.words[CLICKS] in (len(kept), len(kept) - 5)
    assert reader.release() == 0
    reader.ring.close()


def test_rings_are_in_systemds_directory_or_in_shared_memory_and_each_store_has_its_own(tmp_path):
    if not os.path.isdir("/dev/shm"):
        pytest.skip("there is no /dev/shm here")
    one, other = f"sqlite:///{tmp_path}/one", f"sqlite:///{tmp_path}/other"
    made = [find_ring_directory(url, 1, 1 << 20, None) for url in (one, other)]
    runtime = made[0] / "runtime"
    runtime.mkdir()

    inside = find_ring_directory(one, 1, 1 << 20, runtime)

    assert made[0] != made[1]
    assert find_ring_directory(one, 1, 1 << 20, None) == made[0]
    assert inside.parent == runtime
    inside.chmod(0o755)
    with pytest.raises(NoRing, match="not this user's alone"):
        find_ring_directory(one, 1, 1 << 20, runtime)
    with pytest.raises(NoRing, match="lower RING_BYTES"):
        find_ring_directory(other, 64, 1 << 50, None)
    for directory in (inside, runtime, *made):
        directory.rmdir()

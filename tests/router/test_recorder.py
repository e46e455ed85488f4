"""The recorder before a store that is slow, full, broken or well."""

import asyncio

import pytest
from processes import HANG_S

from linkrouter.clicks.click import OVERHEAD_BYTES, Click, mint_click_ids, write_click
from linkrouter.errors import StoreError, StoreFull
from linkrouter.metrics import Metrics
from linkrouter.router.recorder import Recorder, RecorderLimits


def click(number, agent="Agent/1"):
    return Click(f"id-{number:08}", "-----w", 0, "html", number, "192.0.2.1", agent, "click")


def record_of(number):
    return write_click(click(number))


class ToldStore:
    """A third party's store that does what it is told: raises what is in `failing`, waits for `open_gate`."""

    def __init__(self):
        self.batches = []
        self.failing = None
        self.tries = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, records):
        self.tries += 1
        await self.gate.wait()
        if self.failing is not None:
            raise self.failing
        self.batches.append(list(records))

    @property
    def kept(self):
        return [record for batch in self.batches for record in batch]


@pytest.fixture
async def start_recorder():
    tasks = []

    def start(**limits):
        store, metrics = ToldStore(), Metrics()
        recorder = Recorder(store, RecorderLimits(**limits), metrics, mint_click_ids(b"12345678"))
        tasks.append((asyncio.create_task(recorder.run()), recorder, store))
        return recorder, store, metrics

    yield start
    for task, recorder, store in tasks:
        store.failing = None
        store.gate.set()
        recorder.stop()
        async with asyncio.timeout(HANG_S):
            await task


async def until(condition):
    async with asyncio.timeout(HANG_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_commits_all_that_is_full_and_in_order(start_recorder):
    recorder, store, metrics = start_recorder(commit_max_clicks=10)

    for number in range(255):
        recorder.record(click(number))
    await until(lambda: len(store.kept) == 255)

    assert store.kept == [record_of(number) for number in range(255)]
    assert [len(batch) for batch in store.batches] == [100, 100, 50, 5]  # ten groups at most
    assert metrics.counter("linkrouter_clicks_recorded")["click"] == 255


async def test_commits_less_at_once_after_a_failure(start_recorder):
    recorder, store, _ = start_recorder(commit_max_clicks=10)
    store.failing = StoreFull("there is room for ten")

    for number in range(55):
        recorder.record(click(number))
    await until(lambda: store.tries == 2)
    store.failing = None
    await until(lambda: len(store.kept) == 55)

    assert len(store.batches[0]) == 10
    assert store.kept == [record_of(number) for number in range(55)]


async def test_keeps_clicks_while_the_store_is_broken_and_commits_them_after(start_recorder):
    recorder, store, metrics = start_recorder(commit_interval_s=0.001)
    store.failing = StoreError("the disk is gone")
    recorder.record(click(1))
    await until(lambda: store.tries >= 2)
    ready_while_broken = recorder.accepting
    recorder.record(click(2))

    store.failing = None
    await until(lambda: len(store.kept) == 2)

    assert not ready_while_broken
    assert recorder.accepting
    assert store.kept == [record_of(1), record_of(2)]
    assert metrics.counter("linkrouter_clicks_dropped") == {"queue_full": 0, "store_full": 0, "store_failed": 0}


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(StoreFull("full"), "store_full"), (StoreError("broken"), "store_failed"), (RuntimeError("odd"), "store_failed")],
    ids=["full", "broken", "of a third party"],
)
async def test_drops_the_newest_by_reason_when_memory_is_used_up(start_recorder, failure, reason):
    recorder, store, metrics = start_recorder(max_clicks=10, commit_max_clicks=5, commit_interval_s=0.001)
    store.failing = failure
    recorder.record(click(0))
    await until(lambda: not recorder.accepting)

    for number in range(1, 16):
        recorder.record(click(number))
    store.failing = None
    await until(lambda: len(store.kept) == 10)

    assert store.kept == [record_of(number) for number in range(10)]
    assert metrics.counter("linkrouter_clicks_dropped")[reason] == 6
    (loss,) = recorder.take_losses()
    assert (loss.reason, loss.count, loss.since, loss.until) == (reason, 6, 10, 15)
    assert recorder.take_losses() == []


async def test_bounds_memory_by_bytes_too(start_recorder):
    each_bytes = OVERHEAD_BYTES + len(write_click(click(0, agent="x" * 400)))
    recorder, store, metrics = start_recorder(max_bytes=10 * each_bytes)
    store.gate.clear()

    for number in range(100):
        recorder.record(click(number, agent="x" * 400))

    assert metrics.counter("linkrouter_clicks_dropped")["queue_full"] == 90
    store.gate.set()
    await until(lambda: len(store.kept) == 10)
    for number in range(100, 105):
        recorder.record(click(number, agent="x" * 400))
    await until(lambda: len(store.kept) == 15)  # what is durable is no longer counted


async def test_a_slow_store_delays_clicks_and_nothing_else(start_recorder):
    recorder, store, _ = start_recorder()
    store.gate.clear()
    recorder.record(click(1))
    await until(lambda: store.tries == 1)

    for number in range(2, 1000):
        recorder.record(click(number))  # returns at once: there is nothing to await
    store.gate.set()
    await until(lambda: len(store.kept) == 999)

    assert store.kept[-1] == record_of(999)


async def test_tells_each_loss_once_with_the_times_it_lies_between(start_recorder):
    recorder, store, _ = start_recorder(max_clicks=1)
    store.gate.clear()
    for number in range(3):
        recorder.record(click(number))

    (loss,) = recorder.take_losses()
    recorder.record(click(9))
    (later,) = recorder.take_losses()

    assert later.id != loss.id
    assert later.count == 1
    assert loss.to_wire() == {
        "id": loss.id,
        "reason": "queue_full",
        "count": 2,
        "since": "1970-01-01T00:00:00.000001Z",
        "until": "1970-01-01T00:00:00.000002Z",
    }


async def test_stopping_commits_what_waits():
    store, metrics = ToldStore(), Metrics()
    recorder = Recorder(store, RecorderLimits(commit_interval_s=1000), metrics, mint_click_ids(b"12345678"))
    running = asyncio.create_task(recorder.run())
    recorder.record(click(1))

    recorder.stop()
    async with asyncio.timeout(HANG_S):
        await running

    assert store.kept == [record_of(1)]


async def test_what_a_stopping_process_cannot_commit_is_counted():
    store, metrics = ToldStore(), Metrics()
    store.failing = StoreFull("full")
    recorder = Recorder(store, RecorderLimits(commit_max_clicks=3), metrics, mint_click_ids(b"12345678"))
    running = asyncio.create_task(recorder.run())
    for number in range(5):
        recorder.record(click(number))
    await until(lambda: store.tries > 0)

    running.cancel()
    recorder.abandon()

    assert metrics.counter("linkrouter_clicks_dropped")["store_full"] == 5

"""What every click store promises. A new store is one line in `STORES`."""

import asyncio

import pytest

from linkrouter.clicks import ClickStore, StoreLimits, open_store
from linkrouter.clicks.click import clicked_at
from linkrouter.errors import SettingsError, StoreFull

STORES = {
    # name: URL in which {} is a fresh directory
    "sqlite": "sqlite:///{}/spool",
    "memory": "memory:",
}


@pytest.fixture(params=STORES)
def url(request, tmp_path) -> str:
    return STORES[request.param].format(tmp_path)


@pytest.fixture
async def store(url):
    opened = open_store(url)
    await opened.open()
    yield opened
    await opened.close()


async def drain(store: ClickStore, max_clicks: int = 1000) -> list[bytes]:
    taken = []
    while batch := await store.take(max_clicks):
        taken += batch.records
        await store.ack(batch)
    return taken


async def test_an_empty_store_hands_out_nothing(store):
    assert await store.take(1000) is None
    assert (await store.status()).pending == 0


async def test_hands_out_what_was_appended_in_order(store, make_records):
    records = make_records(25)

    await store.append(records[:10])
    await store.append(records[10:])

    assert await drain(store, 7) == records


async def test_hands_out_the_same_clicks_until_they_are_acknowledged(store, make_records):
    await store.append(make_records(10))

    first, second = await store.take(4), await store.take(4)

    assert first.records == second.records


async def test_an_acknowledged_click_is_never_handed_out_again(store, make_records):
    records = make_records(10)
    await store.append(records)

    await store.ack(await store.take(4))

    assert await drain(store) == records[4:]


async def test_acknowledging_twice_is_harmless(store, make_records):
    records = make_records(10)
    await store.append(records)
    batch = await store.take(4)

    await store.ack(batch)
    await store.ack(batch)

    assert await drain(store) == records[4:]


async def test_clicks_that_come_while_a_batch_is_out_are_not_acknowledged_with_it(store, make_records):
    records = make_records(20)
    await store.append(records[:10])
    batch = await store.take(1000)

    await store.append(records[10:])
    await store.ack(batch)

    assert await drain(store) == records[10:]


async def test_status_tells_what_waits_and_how_old_it_is(store, make_records):
    records = make_records(10)
    await store.append(records)
    before = await store.status()

    await store.ack(await store.take(4))
    after = await store.status()

    assert (before.pending, before.oldest_at) == (10, clicked_at(records[0]))
    assert after.pending == 6
    assert clicked_at(records[0]) < after.oldest_at <= clicked_at(records[4])
    assert before.bytes > 0


async def test_set_aside_clicks_are_counted_and_not_handed_out(store, make_records):
    records = make_records(3)
    await store.append(records)
    batch = await store.take(3)

    await store.set_aside(batch.records[1:2], "refused")
    await store.ack(batch)

    assert (await store.status()).set_aside == 1
    assert await drain(store) == []


async def test_appending_nothing_is_no_error(store):
    await store.append([])

    assert await store.take(10) is None


async def fill(store: ClickStore, make_records) -> list[bytes]:
    """Append until the store is full, and give what it took."""
    kept = []
    for first in range(0, 1_000_000, 100):
        try:
            await store.append(make_records(100, first))
        except StoreFull:
            return kept
        kept += make_records(100, first)
    raise AssertionError("the store has no limit")


async def test_says_when_it_is_full_and_takes_clicks_again_once_drained(url, make_records):
    store = open_store(url, StoreLimits(max_bytes=200_000, reserve_bytes=0))
    await store.open()
    try:
        kept = await fill(store, make_records)
        assert await drain(store) == kept

        await store.append(make_records(3))

        assert await drain(store) == make_records(3)
    finally:
        await store.close()


async def test_reading_and_writing_at_the_same_time_loses_nothing(store, make_records):
    records, taken = make_records(3000), []

    async def write():
        for first in range(0, 3000, 30):
            await store.append(records[first : first + 30])

    writing = asyncio.create_task(write())
    while not writing.done():
        taken += await drain(store, 100)
        await asyncio.sleep(0)
    await writing
    taken += await drain(store)

    assert taken == records


@pytest.mark.parametrize("bad", ["memory:x", "sqlite:spool", "sqlite://spool", "sqlite:///", "nosuch:x", "nocolon", ""])
def test_a_url_that_is_none_is_refused_by_name(bad):
    with pytest.raises(SettingsError, match="CLICK_STORE"):
        open_store(bad)


def test_a_third_party_adds_a_store_by_an_entry_point(tmp_path, monkeypatch):
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[linkrouter.click_stores]\ntheirs = theirs:make\n")
    (tmp_path / "theirs.py").write_text("def make(url, limits):\n    return (url, limits)\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert open_store("theirs://host/name", StoreLimits(5, 6)) == ("theirs://host/name", StoreLimits(5, 6))

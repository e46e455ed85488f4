"""What every click store promises. A new store is one line in `STORES`."""

import asyncio

import pytest

from linkrouter.clicks import Click, ClickStore, StoreLimits, open_store
from linkrouter.clicks.click import click_json
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


def records_of(clicks) -> list[bytes]:
    return [click_json(click).encode("ascii") for click in clicks]


async def drain(store: ClickStore, max_clicks: int = 1000) -> list[bytes]:
    taken = []
    while batch := await store.take(max_clicks):
        taken += batch.records
        await store.ack(batch)
    return taken


async def test_an_empty_store_hands_out_nothing(store):
    assert await store.take(1000) is None
    assert (await store.status()).pending == 0


async def test_hands_out_what_was_appended_in_order(store, make_clicks):
    clicks = make_clicks(25)

    await store.append(clicks[:10])
    await store.append(clicks[10:])

    assert await drain(store, 7) == records_of(clicks)


async def test_hands_out_the_same_clicks_until_they_are_acknowledged(store, make_clicks):
    await store.append(make_clicks(10))

    first, second = await store.take(4), await store.take(4)

    assert first.records == second.records


async def test_an_acknowledged_click_is_never_handed_out_again(store, make_clicks):
    clicks = make_clicks(10)
    await store.append(clicks)

    await store.ack(await store.take(4))

    assert await drain(store) == records_of(clicks[4:])


async def test_acknowledging_twice_is_harmless(store, make_clicks):
    clicks = make_clicks(10)
    await store.append(clicks)
    batch = await store.take(4)

    await store.ack(batch)
    await store.ack(batch)

    assert await drain(store) == records_of(clicks[4:])


async def test_clicks_that_come_while_a_batch_is_out_are_not_acknowledged_with_it(store, make_clicks):
    clicks = make_clicks(20)
    await store.append(clicks[:10])
    batch = await store.take(1000)

    await store.append(clicks[10:])
    await store.ack(batch)

    assert await drain(store) == records_of(clicks[10:])


async def test_status_tells_what_waits_and_how_old_it_is(store, make_clicks):
    clicks = make_clicks(10)
    await store.append(clicks)
    before = await store.status()

    await store.ack(await store.take(4))
    after = await store.status()

    assert (before.pending, before.oldest_at) == (10, clicks[0].clicked_at)
    assert after.pending == 6
    assert clicks[0].clicked_at < after.oldest_at <= clicks[4].clicked_at
    assert before.bytes > 0


async def test_set_aside_clicks_are_counted_and_not_handed_out(store, make_clicks):
    clicks = make_clicks(3)
    await store.append(clicks)
    batch = await store.take(3)

    await store.set_aside(batch.records[1:2], "refused")
    await store.ack(batch)

    assert (await store.status()).set_aside == 1
    assert await drain(store) == []


async def test_appending_nothing_is_no_error(store):
    await store.append([])

    assert await store.take(10) is None


async def fill(store: ClickStore, make_clicks) -> list[Click]:
    """Append until the store is full, and give what it took."""
    kept = []
    for first in range(0, 1_000_000, 100):
        try:
            await store.append(make_clicks(100, first))
        except StoreFull:
            return kept
        kept += make_clicks(100, first)
    raise AssertionError("the store has no limit")


async def test_says_when_it_is_full_and_takes_clicks_again_once_drained(url, make_clicks):
    store = open_store(url, StoreLimits(max_bytes=200_000, reserve_bytes=0))
    await store.open()
    try:
        kept = await fill(store, make_clicks)
        assert await drain(store) == records_of(kept)

        await store.append(make_clicks(3))

        assert await drain(store) == records_of(make_clicks(3))
    finally:
        await store.close()


async def test_reading_and_writing_at_the_same_time_loses_nothing(store, make_clicks):
    clicks, taken = make_clicks(3000), []

    async def write():
        for first in range(0, 3000, 30):
            await store.append(clicks[first : first + 30])

    writing = asyncio.create_task(write())
    while not writing.done():
        taken += await drain(store, 100)
        await asyncio.sleep(0)
    await writing
    taken += await drain(store)

    assert taken == records_of(clicks)


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

"""What every click store promises. A new store is one line in `STORES`."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

import pytest
from brokers import start_postgres, start_redis

from linkrouter.clicks import ClickStore, StoreLimits, open_click_store
from linkrouter.clicks.click import clicked_at
from linkrouter.errors import SettingsError, StoreFull

SRC = Path(__file__).parents[2]

STORES = {
    # name: URL in which {fresh} is a fresh directory, {word} a fresh word, and the others are ports of servers
    "sqlite": "sqlite:///{fresh}/spool",
    "memory": "memory:",
    "redis": "redis://127.0.0.1:{redis}?prefix={word}&lease=1",
    "postgresql": "postgresql://postgres@127.0.0.1:{postgres}/postgres?prefix={word}&lease=1",
}


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    server = start_redis(tmp_path_factory.mktemp("redis"))
    yield server.port
    server.stop()


@pytest.fixture(scope="session")
def postgres():
    server = start_postgres()
    yield server.port
    server.stop()


@pytest.fixture(params=STORES)
def url(request, tmp_path) -> str:
    text = STORES[request.param]
    servers = {name: request.getfixturevalue(name) for name in ("redis", "postgres") if f"{{{name}}}" in text}
    return text.format(fresh=tmp_path, word=f"t{uuid.uuid4().hex[:12]}", **servers)


@pytest.fixture
async def store(url):
    opened = open_click_store(url)
    await opened.open()
    yield opened
    await opened.close()


async def drain(store: ClickStore, max_clicks: int = 1000) -> list[bytes]:
    taken = []
    while batch := await store.next_batch(max_clicks):
        taken += batch.records
        await store.ack(batch)
    return taken


async def test_an_empty_store_hands_out_nothing(store):
    assert await store.next_batch(1000) is None
    assert (await store.status()).pending == 0


async def test_hands_out_what_was_appended_in_order(store, make_records):
    records = make_records(25)

    await store.append(records[:10])
    await store.append(records[10:])

    assert await drain(store, 7) == records


async def test_hands_out_the_same_clicks_until_they_are_acknowledged(store, make_records):
    await store.append(make_records(10))

    first, second = await store.next_batch(4), await store.next_batch(4)

    assert first.records == second.records


async def test_an_acknowledged_click_is_never_handed_out_again(store, make_records):
    records = make_records(10)
    await store.append(records)

    await store.ack(await store.next_batch(4))

    assert await drain(store) == records[4:]


async def test_acknowledging_twice_is_harmless(store, make_records):
    records = make_records(10)
    await store.append(records)
    batch = await store.next_batch(4)

    await store.ack(batch)
    await store.ack(batch)

    assert await drain(store) == records[4:]


async def test_clicks_that_come_while_a_batch_is_out_are_not_acknowledged_with_it(store, make_records):
    records = make_records(20)
    await store.append(records[:10])
    batch = await store.next_batch(1000)

    await store.append(records[10:])
    await store.ack(batch)

    assert await drain(store) == records[10:]


async def test_status_tells_what_waits_and_how_old_it_is(store, make_records):
    records = make_records(10)
    await store.append(records)
    before = await store.status()

    await store.ack(await store.next_batch(4))
    after = await store.status()

    assert (before.pending, before.oldest_at) == (10, clicked_at(records[0]))
    assert after.pending == 6
    assert clicked_at(records[0]) < after.oldest_at <= clicked_at(records[4])
    assert before.bytes > 0


async def test_the_own_share_is_true_as_soon_as_a_call_returns(store, make_records):
    records = make_records(10)

    await store.append(records)
    appended = store.own_share()
    await store.ack(await store.next_batch(4))
    acknowledged = store.own_share()
    await drain(store)

    assert (appended.pending, appended.oldest_at) == (10, clicked_at(records[0]))
    assert (acknowledged.pending, acknowledged.oldest_at) == (6, clicked_at(records[4]))
    assert appended.bytes > 0
    assert (store.own_share().pending, store.own_share().oldest_at) == (0, None)


async def test_dead_letters_are_counted_and_not_handed_out(store, make_records):
    records = make_records(3)
    await store.append(records)
    batch = await store.next_batch(3)

    await store.add_dead_letters(batch.records[1:2], "refused")
    await store.ack(batch)

    assert (await store.status()).dead_letters == 1
    assert await drain(store) == []


async def test_appending_nothing_is_no_error(store):
    await store.append([])

    assert await store.next_batch(10) is None


async def check_closing(url, make_records):
    """Close a store with clicks in it, open it again, and see that they are there."""
    store = open_click_store(url)
    await store.open()
    await store.append(make_records(10))
    await store.ack(await store.next_batch(4))
    await store.close()
    again = open_click_store(url)
    await again.open()
    try:
        assert (await again.status()).pending == 6
        assert await drain(again) == make_records(10)[4:]
    finally:
        await again.close()


# Appends the records it reads, acknowledges four of them, says so, and waits to be killed.
WRITER = """
import asyncio, json, sys
from linkrouter.clicks import open_click_store
async def main():
    store = open_click_store(sys.argv[1])
    await store.open()
    await store.append([record.encode() for record in json.loads(sys.stdin.readline())])
    await store.ack(await store.next_batch(4))
    print("durable", flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


def write_and_be_killed(url, records):
    """Keep *records* in a process of its own, acknowledge four of them there, and kill it."""
    command = [sys.executable, "-c", WRITER, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        writer.stdin.write(json.dumps([record.decode() for record in records]) + "\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "durable\n"
        writer.kill()


async def check_kill(url, make_records, within_s=20.0):
    """Kill a process that has clicks in a store, open the store in this one, and see that they are there.

    A broker hands out another's clicks once its lease has ended.
    """
    records = make_records(10)
    await asyncio.to_thread(write_and_be_killed, url, records)
    store = open_click_store(url)
    await store.open()
    try:
        found = set()
        async with asyncio.timeout(within_s):
            while not set(records[4:]) <= found:
                found |= set(await drain(store))
                await asyncio.sleep(0.05)
        assert found <= set(records)
    except TimeoutError as exc:
        raise AssertionError("clicks are missing") from exc
    finally:
        await store.close()


@pytest.mark.parametrize("check", [check_closing, check_kill])
async def test_a_durable_store_has_its_clicks_when_it_is_opened_again(url, make_records, check):
    if not open_click_store(url).is_durable:
        pytest.skip("it says that it forgets")

    await check(url, make_records)


@pytest.mark.parametrize("check", [check_closing, partial(check_kill, within_s=0.5)], ids=["closing", "kill"])
async def test_a_store_that_forgets_and_says_that_it_does_not_is_found_out(third_party, make_records, check):
    third_party(
        "from linkrouter.clicks.memory import MemoryStore\n"
        "class Forgetful(MemoryStore):\n    is_durable = True\n"
        "def make(url, limits):\n    return Forgetful(limits.max_bytes)\n"
    )

    with pytest.raises(AssertionError):
        await check("theirs:", make_records)


async def test_status_needs_no_open_store(url, make_records):
    store = open_click_store(url)

    assert (await store.status()).pending == 0


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
    store = open_click_store(url, StoreLimits(max_bytes=200_000, reserve_bytes=0))
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
        open_click_store(bad)


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """Give a function that installs a module whose `make` makes the store `theirs:`, here and in programs."""

    def install(code: str) -> None:
        info = tmp_path / "theirs-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[linkrouter.click_stores]\ntheirs = theirs:make\n")
        (tmp_path / "theirs.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(SRC)]))
        monkeypatch.delitem(sys.modules, "theirs", raising=False)

    return install


def test_a_third_party_adds_a_store_by_an_entry_point(third_party):
    third_party("def make(url, limits):\n    return (url, limits)\n")

    assert open_click_store("theirs://host/name", StoreLimits(5, 6)) == ("theirs://host/name", StoreLimits(5, 6))

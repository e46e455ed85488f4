"""What is SQLite's own: the file, its locks and its faults."""

import asyncio
import sqlite3
import stat
import threading

import pytest
from processes import HANG_S

from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.sql.figures import LABELS, UNSETTLED, label_where
from linkrouter.central.store.sql.messages import LINK_CELLS, MESSAGE_CELLS, OF_MESSAGES
from linkrouter.central.store.sqlite.schema import MIGRATIONS
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.errors import SettingsError, StoreError, StoreFull

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
async def store(tmp_path):
    opened = SqliteCentralStore(tmp_path / "central.db", lock_wait_s=0.1)
    await opened.open()
    yield opened
    await opened.close()


async def refusal(path, **limits) -> str:
    with pytest.raises(SettingsError) as caught:
        await SqliteCentralStore(path, **limits).open()
    text = str(caught.value)
    assert text.startswith("DATABASE: ")
    assert "\n" not in text
    return text


async def test_the_file_is_its_owners_alone(store, tmp_path, make_clicks):
    await store.add_clicks(make_clicks(1))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert modes["central.db"] == modes["central.db-wal"] == 0o600


async def test_writes_are_synced_to_a_log(store):
    async def modes(writer):
        return [await writer.fetch_value(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")]

    assert await store.transact(modes) == ["wal", 2]


async def test_refuses_a_file_that_is_not_sqlite(tmp_path):
    path = tmp_path / "central.db"
    path.write_bytes(b"this is no database, but it is long enough to look like one" * 100)

    assert "restore it from a backup" in await refusal(path)


async def test_refuses_a_database_of_another_program_and_leaves_it_alone(tmp_path):
    path = tmp_path / "central.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = path.read_bytes()

    assert "another program" in await refusal(path)
    assert path.read_bytes() == before


async def test_refuses_a_database_of_a_newer_version_and_leaves_it_alone(store, tmp_path):
    path = tmp_path / "central.db"
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()

    why = await refusal(path)

    assert f"has version {len(MIGRATIONS) + 1}" in why
    assert "restore a backup" in why


async def test_refuses_a_directory_that_is_not_there(tmp_path):
    assert "name a file in a directory that exists" in await refusal(tmp_path / "none" / "central.db")


async def test_refuses_a_directory_in_place_of_a_file(tmp_path):
    assert "name a file" in await refusal(tmp_path)


async def test_refuses_a_database_that_is_locked(tmp_path):
    path = tmp_path / "central.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert "locked by another process" in await refusal(path, lock_wait_s=0.1)
    finally:
        other.close()


async def test_a_lock_while_running_refuses_the_batch_and_goes_by(store, tmp_path, make_clicks):
    other = sqlite3.connect(tmp_path / "central.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match="SQLITE_BUSY"):
        await store.add_clicks(make_clicks(3))
    with pytest.raises(StoreError):
        await store.check()

    other.execute("ROLLBACK")
    other.close()
    assert await store.add_clicks(make_clicks(3)) == 3


async def test_a_full_disk_refuses_the_batch_whole_and_takes_it_later(store, make_clicks):
    await store.add_clicks(make_clicks(10))
    pages = await store.transact(lambda writer: writer.fetch_value("PRAGMA page_count"))
    full = f"PRAGMA max_page_count = {pages + 3}"  # as SQLite sees a full disk
    await store.transact(lambda writer: writer.fetch(full))

    with pytest.raises(StoreFull):
        await store.add_clicks(make_clicks(1000, 10, user_agent="x" * 500))
    kept = await store.find_clicks(ClickFilter(), None, 2000)

    await store.transact(lambda writer: writer.fetch("PRAGMA max_page_count = 1000000"))
    assert len(kept) == 10
    assert await store.add_clicks(make_clicks(1000, 10, user_agent="x" * 500)) == 1000


async def test_a_table_that_is_damaged_is_a_store_error(tmp_path, make_clicks):
    path = tmp_path / "central.db"
    store = SqliteCentralStore(path)
    await store.open()
    await store.add_clicks(make_clicks(1000, user_agent="x" * 200))
    await store.close()
    content = bytearray(path.read_bytes())
    sound = len(content) // 2  # the tables of tables stand at the beginning
    content[sound:] = b"\xff" * (len(content) - sound)
    path.write_bytes(content)

    await store.open()
    try:
        with pytest.raises(StoreError, match="SQLITE_CORRUPT"):
            await store.find_clicks(ClickFilter(), None, 2000)
    finally:
        await store.close()


async def test_a_reader_holds_up_no_writer(store, make_clicks):
    await store.add_clicks(make_clicks(10))

    has_begun, may_end = threading.Event(), threading.Event()

    async def count_twice(reader):
        before = await reader.fetch_value("SELECT count(*) FROM clicks")
        has_begun.set()
        may_end.wait(HANG_S)
        return before, await reader.fetch_value("SELECT count(*) FROM clicks")

    asking = asyncio.create_task(store.ask(count_twice))
    await asyncio.to_thread(has_begun.wait, HANG_S)
    stored = await store.add_clicks(make_clicks(10, 10))
    may_end.set()

    assert stored == 10
    assert await asking == (10, 10)


async def test_a_question_that_takes_too_long_is_given_up(tmp_path, make_clicks):
    store = SqliteCentralStore(tmp_path / "central.db", read_deadline_s=0.05)
    await store.open()
    try:
        with pytest.raises(StoreError, match="takes too long"):
            await store.ask(lambda reader: reader.fetch(ENDLESS))
        await store.add_clicks(make_clicks(2))

        assert len(await store.find_clicks(ClickFilter(), None, 10)) == 2
    finally:
        await store.close()


async def test_a_slow_question_holds_up_no_other(tmp_path, make_clicks):
    store = SqliteCentralStore(tmp_path / "central.db", read_deadline_s=60)
    await store.open()
    try:
        await store.add_clicks(make_clicks(2))
        slow = asyncio.create_task(store.ask(lambda reader: reader.fetch(ENDLESS)))
        found = [await store.find_clicks(ClickFilter(), None, 10) for _ in range(20)]
        still_running = not slow.done()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
    finally:
        await store.close()

    assert still_running
    assert [len(clicks) for clicks in found] == [2] * 20


async def test_a_writer_who_is_cancelled_waits_for_the_end_and_leaves_the_store_usable(store, make_clicks):
    has_begun, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    async def take_long(writer):
        has_begun.set()
        may_end.wait(HANG_S)
        has_ended.set()

    writing = asyncio.create_task(store.transact(take_long))
    await asyncio.to_thread(has_begun.wait, HANG_S)
    writing.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert has_ended.is_set()
    assert await store.add_clicks(make_clicks(3)) == 3


async def test_a_transaction_that_waits_for_anything_else_is_refused_and_rolled_back(store):
    async def dawdle(writer):
        await writer.execute("INSERT INTO words (word) VALUES ('half')")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="nothing but its connection"):
        await store.transact(dawdle)

    assert await store.ask(lambda reader: reader.fetch("SELECT word FROM words WHERE word = 'half'")) == []


async def test_the_log_stays_short_whatever_questions_follow_each_other(tmp_path, make_clicks):
    store = SqliteCentralStore(tmp_path / "central.db", max_log_bytes=500_000, log_look_s=0.01)
    log = tmp_path / "central.db-wal"
    await store.open()
    end = asyncio.Event()

    async def ask(held: threading.Event, next_held: threading.Event) -> None:  # lets go when the other has taken hold
        async def hold(reader):
            await reader.fetch_value("SELECT count(*) FROM clicks")
            held.set()
            next_held.wait(0.2)
            held.clear()

        while not end.is_set():
            await store.ask(hold)

    one, other = threading.Event(), threading.Event()
    asking = [asyncio.create_task(ask(one, other)), asyncio.create_task(ask(other, one))]
    try:
        largest, shortened = 0, 0
        for batch in range(200):
            await store.add_clicks(make_clicks(100, batch * 100, user_agent="x" * 200))
            size = log.stat().st_size
            shortened += size < largest
            largest = 0 if size < largest else size
            if shortened > 2:
                break
            await asyncio.sleep(0.02)
    finally:
        end.set()
        await asyncio.gather(*asking)
        await store.close()

    assert shortened > 2


async def test_a_question_is_answered_from_an_index(store):
    async def plan(asked: str) -> str:
        rows = await store.ask(lambda reader: reader.fetch(f"EXPLAIN QUERY PLAN SELECT id FROM clicks {asked}"))
        return " ".join(row[3] for row in rows)

    assert "clicks_by_link" in await plan("WHERE link_id = 'AQ'")
    assert "clicks_by_time" in await plan("WHERE clicked_at >= 1 ORDER BY clicked_at DESC, id DESC LIMIT 10")
    assert "clicks_by_link" in await plan(
        "WHERE (link_id, tenant) IN (SELECT link_id, tenant FROM links WHERE message = 1)"
    )


async def test_two_processes_may_share_the_file(tmp_path, make_clicks):
    stores = [SqliteCentralStore(tmp_path / "central.db", lock_wait_s=HANG_S) for _ in range(2)]
    for one in stores:
        await one.open()
    try:
        stored = await asyncio.gather(
            *(one.add_clicks(make_clicks(50, first)) for one in stores for first in range(0, 500, 50))
        )
    finally:
        for one in stores:
            await one.close()

    assert sum(stored) == 500


OF_ONE = ClickFilter(message_id="mail", tenant=0)


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        (MESSAGE_CELLS, label_where(ClickFilter(), [OF_MESSAGES])),
        (LINK_CELLS, label_where(OF_ONE, [OF_MESSAGES])),
        (LABELS, label_where(OF_ONE)),
        (LABELS, label_where(ClickFilter(recipient="reader@example.net"))),
        (LABELS, label_where(ClickFilter(link_id="AQ"))),
        (LABELS, label_where(ClickFilter(since=1, until=2, browser="Firefox"))),
        (UNSETTLED.replace("LIMIT ?", "LIMIT 20000"), ("", {})),
    ],
    ids=["messages", "links", "message", "recipient", "link", "time", "unsettled"],
)
async def test_what_asks_for_few_clicks_walks_over_few(store, statement, where):
    condition, values = where
    named = {"messages": [1], "step": 0} | values
    explain = "EXPLAIN QUERY PLAN " + statement.format(where=condition, value="browser")
    plan = await store.ask(lambda reader: reader.fetch(explain, named))

    steps = [row[3] for row in plan]
    assert any(step.startswith("SEARCH") for step in steps)
    assert [step for step in steps if step.startswith(("SCAN labels", "SCAN clicks"))] == []

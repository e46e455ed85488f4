"""Click stores in brokers, with the brokers killed, frozen, full or set up wrongly."""

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from brokers import Server, start_postgres, start_redis
from processes import HANG_S, free_port

from linkrouter.clicks import StoreLimits, open_click_store
from linkrouter.errors import SettingsError, StoreError, StoreFull


@pytest.fixture
def redis(tmp_path):
    servers = []

    def start(*options):
        servers.append(start_redis(tmp_path, *options))
        return servers[-1], f"redis://127.0.0.1:{servers[-1].port}?lease=1"

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def postgres():
    server = start_postgres()
    yield server, f"postgresql://postgres@127.0.0.1:{server.port}/postgres?lease=1"
    server.stop()


@pytest.fixture(params=["redis", "postgres"])
def broker(request):
    found = request.getfixturevalue(request.param)
    return found() if request.param == "redis" else found


@asynccontextmanager
async def opened(url, limits=None):
    store = open_click_store(url, limits)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def ids(records):
    return [json.loads(record)["id"] for record in records]


async def drain(store, into):
    while batch := await store.next_batch(1000):
        into += ids(batch.records)
        await store.ack(batch)


async def fill(store, make_records):
    """Append until the store is full, and give how many clicks it took."""
    for first in range(0, 100_000, 1000):
        try:
            await store.append(make_records(1000, first))
        except StoreFull:
            return first
    raise AssertionError("it has no limit")


async def append_until_kept(store, records):
    """Append as a router does: again and again, until the broker has said that it has them."""
    while True:
        try:
            return await store.append(records)
        except StoreError:
            await asyncio.sleep(0.05)


async def test_a_broker_that_is_killed_under_load_loses_nothing_it_acknowledged(broker, make_records):
    server, url = broker
    taken = []
    async with opened(url) as store:

        async def write():
            for first in range(0, 6000, 20):
                await append_until_kept(store, make_records(20, first))

        async def kill():
            for _ in range(2):
                await asyncio.sleep(0.2)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)

        async def read():
            while not writing.done():
                try:
                    await drain(store, taken)
                except StoreError:
                    pass
                await asyncio.sleep(0.02)

        writing = asyncio.create_task(write())
        await asyncio.gather(writing, kill(), read())
        async with asyncio.timeout(HANG_S):
            while len(set(taken)) < 6000:  # a commit whose answer was lost is in a stream that nobody has the lease of
                await drain(store, taken)
                await asyncio.sleep(0.1)
        status = await store.status()

    assert set(taken) == set(ids(make_records(6000)))
    assert (status.losses, store.own_share().pending) == ((), 0)


async def test_what_a_broker_forgot_in_a_crash_is_appended_again_from_memory(redis, make_records):
    server, url = redis("--appendonly", "no")
    taken = []
    async with opened(url) as store:
        for first in range(0, 300, 20):
            await store.append(make_records(20, first))
        server.kill()
        server.start()

        await append_until_kept(store, make_records(20, 300))
        await drain(store, taken)
        status = await store.status()

    assert set(taken) == set(ids(make_records(320)))
    assert status.losses == ()


async def test_what_a_broker_forgot_and_memory_has_not_is_counted_as_lost(redis, make_records):
    server, url = redis("--appendonly", "no")
    taken = []
    async with opened(url) as store:
        for first in range(0, 10_000, 1000):
            await store.append(make_records(1000, first))
        server.kill()
        server.start()

        await append_until_kept(store, make_records(1, 10_000))
        await drain(store, taken)
        status = await store.status()

    assert [(loss.reason, loss.count) for loss in status.losses] == [("broker_lost", 10_001 - len(set(taken)))]
    assert status.lost == {"broker_lost": 10_001 - len(set(taken))}


async def test_a_frozen_broker_is_an_error_within_a_deadline_and_no_click_is_lost(broker, make_records):
    server, url = broker
    taken = []
    async with opened(url) as store:
        await store.append(make_records(10))
        server.send(signal.SIGSTOP)
        with pytest.raises(StoreError):
            async with asyncio.timeout(60):
                await store.append(make_records(10, 10))
        server.send(signal.SIGCONT)

        await append_until_kept(store, make_records(10, 10))
        await drain(store, taken)

    assert set(taken) >= set(ids(make_records(20)))


async def test_a_redis_without_memory_left_says_so_and_takes_clicks_again_once_drained(redis, make_records):
    _, url = redis("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    taken = []
    async with opened(url) as store:
        kept = await fill(store, make_records)
        await drain(store, taken)

        await store.append(make_records(1, 100_000))

    assert len(taken) == kept > 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
async def test_a_redis_that_would_evict_clicks_is_refused(redis, policy):
    _, url = redis("--maxmemory", "100mb", "--maxmemory-policy", policy)
    store = open_click_store(url)

    with pytest.raises(StoreError, match="noeviction"):
        await store.open()
    await store.close()


async def test_a_wrong_password_is_said_at_the_start_and_not_shown(redis, tmp_path):
    server, url = redis("--requirepass", "right-one")
    secret = tmp_path / "password"
    secret.write_text("wrong-one\n")
    secret.chmod(0o600)

    store = open_click_store(f"{url}&password_file={secret}")
    with pytest.raises(StoreError, match="password_file") as caught:
        await store.open()
    await store.close()
    secret.write_text("right-one\n")
    async with opened(f"{url}&password_file={secret}") as store:
        assert await store.next_batch(1) is None

    assert "wrong-one" not in str(caught.value) + repr(store)
    assert server.port


async def test_a_broker_that_is_away_is_no_reason_not_to_start(broker, make_records):
    server, url = broker
    server.kill()
    taken = []
    async with opened(url) as store:
        with pytest.raises(StoreError):
            await store.append(make_records(1))
        server.start()

        await append_until_kept(store, make_records(1))
        await drain(store, taken)

    assert set(taken) == set(ids(make_records(1)))


async def test_the_freshest_clicks_go_before_those_of_a_router_that_is_gone(broker, make_records):
    _, url = broker
    async with opened(url) as gone:
        await gone.append(make_records(5))
    async with opened(url) as store:
        await store.append(make_records(5, 5))

        first, taken = await store.next_batch(100), []
        await store.ack(first)
        await drain(store, taken)

    assert ids(first.records) == ids(make_records(5, 5))
    assert taken == ids(make_records(5))


async def test_two_routers_share_a_limit_and_each_tells_its_own_share(broker, make_records):
    _, url = broker
    limits = StoreLimits(max_bytes=len(b"\n".join(make_records(10))))
    async with opened(url, limits) as one, opened(url, limits) as other:
        await one.append(make_records(6))
        with pytest.raises(StoreFull):
            await other.append(make_records(6, 6))
        await other.append(make_records(4, 6))
        status = await other.status()

        assert (status.pending, status.own_pending, one.own_share().pending) == (10, 4, 6)


@pytest.fixture
def sentinel(tmp_path, redis):
    """A sentinel that watches a Redis under the name `clicks`; its port."""
    port, config = free_port(), tmp_path / "sentinel.conf"
    watched = f"sentinel monitor clicks 127.0.0.1 {redis()[0].port} 1"
    config.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n{watched}\n")
    server = Server(["redis-server", config, "--sentinel"], port)
    yield port
    server.stop()


async def test_sentinels_lead_to_the_master_of_the_day(sentinel, make_records):
    async with opened(f"redis+sentinel://127.0.0.1:{sentinel}/clicks/0") as store:
        await append_until_kept(store, make_records(3))
        batch = await store.next_batch(10)

    assert ids(batch.records) == ids(make_records(3))


BAD_URLS = {
    "a password in it": "redis://user:secret-word@host/0",
    "a password in postgresql": "postgresql://user:secret-word@host/clicks",
    "an unknown option": "redis://host?colour=secret-word",
    "two hosts": "redis://one,two/0",
    "no number": "redis://host/secret-word",
    "no service": "redis+sentinel://host",
    "no database": "postgresql://host",
    "a prefix that is none": "redis://host?prefix=secret-word",
    "no such password file": "redis://host?password_file=/nowhere",
    "no such sslmode": "postgresql://host/clicks?sslmode=secret-word",
    "no lease": "redis://host?lease=0",
    "no host": "redis://",
    "a port that is none": "redis://host:secret-word",
}


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS)
def test_a_wrong_url_is_one_line_that_names_the_setting_and_no_secret(url):
    with pytest.raises(SettingsError, match="CLICK_STORE") as caught:
        open_click_store(url)

    assert "\n" not in str(caught.value)
    assert "user:secret-word" not in str(caught.value)


@pytest.mark.parametrize(("name", "url"), [("redis", "redis://host"), ("asyncpg", "postgresql://host/clicks")])
def test_a_missing_library_is_said_with_the_command_that_installs_it(monkeypatch, name, url):
    for module in [module for module in sys.modules if module.startswith("linkrouter.clicks.broker.")]:
        if module.endswith((".redis", ".postgres")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(SettingsError, match=r"pip install 'linkrouter\["):
        open_click_store(url)

"""Clicks as they are labelled: in their order, of one's own tenant, from where one left off, in bounded number."""

import asyncio

import pytest
from central.labelled import label_all
from processes import HANG_S

from linkrouter.central.live import MAX_LIVE_STREAMS, Live
from linkrouter.central.store.opening import open_central_store
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import ADMIN, Caller


@pytest.fixture
async def store(database):
    opened = open_central_store(database)
    await opened.open()
    yield opened
    await opened.close()


async def take(stream, count):
    found = []
    async with asyncio.timeout(HANG_S):
        async for event in stream:
            if event is not None:
                found.append(event)
            if len(found) == count:
                break
    await stream.aclose()
    return found


async def test_a_click_comes_when_it_has_its_label(store, make_clicks):
    await store.add_clicks(make_clicks(3))
    await label_all(store)
    stream = await Live(store).follow({}, ADMIN)
    await store.add_clicks(make_clicks(2, first=3))  # not labelled yet
    first = await anext(stream)

    assert first is None  # says that the stream stands
    await label_all(store)
    found = await take(stream, 2)

    assert [(seq, name, click["id"]) for seq, name, click in found] == [
        (4, "click", "id-000003"),
        (5, "click", "id-000004"),
    ]


async def test_who_comes_back_misses_nothing(store, make_clicks):
    await store.add_clicks(make_clicks(250))
    await label_all(store)

    found = await take(await Live(store).follow({"last_event_id": 5}, ADMIN), 245)

    assert [seq for seq, _, _ in found] == list(range(6, 251))


async def test_a_tenants_token_sees_its_own(store, make_clicks):
    await store.add_clicks(make_clicks(5) + make_clicks(2, first=5, tenant=7, link_id="AQ"))
    await label_all(store)
    seven = Caller(ADMIN.scopes, 7)

    found = await take(await Live(store).follow({"last_event_id": 0}, seven), 2)

    assert {click["tenant"] for _, _, click in found} == {7}
    assert await Live(store).follow({"tenant": 8}, seven) == Refusal(403)


async def test_there_are_no_more_streams_than_so_many(store):
    live = Live(store)
    streams = [await live.follow({}, ADMIN) for _ in range(MAX_LIVE_STREAMS)]
    for stream in streams:
        await anext(stream)

    assert await live.follow({}, ADMIN) == Refusal(429)
    await streams[0].aclose()
    assert not isinstance(await live.follow({}, ADMIN), Refusal)
    for stream in streams:
        await stream.aclose()

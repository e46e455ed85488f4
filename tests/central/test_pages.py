"""Pages of clicks by any filter: the same as looking at every click, and quick where few match."""

import itertools
from dataclasses import replace

import pytest
from central.history import BEGIN, HOUR, make_history

from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import Position

FILTERS = {
    "tenant": 1,
    "tag": "november",
    "part": "text",
    "browser": "Firefox",
    "os": "iOS",
    "platform": "unknown",
    "url": "https://example.com/3",
    "country": "unknown",
    "since": BEGIN + 29 * HOUR + 1,
    "until": BEGIN + 31 * HOUR + 1,
    "robots": "exclude",
    "recipient": "r3@example.net",
    "message_id": "m3",
}


@pytest.fixture
async def store(database):
    opened = open_central_store(database)
    await opened.open()
    yield opened
    await opened.close()


async def read_pages(store, asked: ClickFilter, limit: int) -> list[str]:
    ids: list[str] = []
    after = None
    while found := await store.find_clicks(asked, after, limit):
        assert len(found) <= limit
        ids += [one.click.id for one in found]
        after = Position(found[-1].click.clicked_at, found[-1].click.id)
    return ids


@pytest.mark.parametrize("limit", [7, 1000])
async def test_pages_by_each_two_filters_are_those_of_a_look_at_every_click(store, limit):
    history = await make_history(store, seed=limit)
    assert len(history.clicks) == 500

    for names in (*itertools.combinations(FILTERS, 2), *((name,) for name in FILTERS), ()):
        asked = replace(ClickFilter(), **{name: FILTERS[name] for name in names})
        wanted = [one.click.id for one in history.matching(asked)]

        assert await read_pages(store, asked, limit) == wanted, names
        assert await store.count_clicks(asked, 10_000) == len(wanted), names


async def test_machines_alone_come_in_pages_too(store):
    history = await make_history(store, seed=3)

    for more in ({}, {"tag": "december"}, {"platform": "desktop"}, {"tenant": 0, "part": "html"}):
        asked = ClickFilter(robots="only", **more)

        assert await read_pages(store, asked, 9) == [one.click.id for one in history.matching(asked)]


async def test_what_was_skipped_and_any_of_several_texts(store):
    history = await make_history(store, seed=4)
    asked = ClickFilter(any_of=(("browser", ("Firefox", "Safari")), ("platform", ("desktop", "mobile"))))

    wanted = [one.click.id for one in history.clicks if one.label and one.label.browser in ("Firefox", "Safari")]

    assert len(wanted) > 50
    assert await read_pages(store, asked, 11) == wanted
    assert [one.click.id for one in await store.find_clicks(asked, None, 10, skip=25)] == wanted[25:35]
    assert await store.count_clicks(asked, 20) == 20


async def test_clicks_kept_without_a_person_can_be_left_out(store):
    history = await make_history(store, seed=5)
    asked = ClickFilter(with_person=True)

    wanted = [one.click.id for one in history.clicks if one.click.ip or one.click.user_agent]

    assert 0 < len(wanted) < len(history.clicks)
    assert await read_pages(store, asked, 50) == wanted
    machines = ClickFilter(with_person=True, robots="only")
    assert set(await read_pages(store, machines, 50)) <= set(wanted)


async def test_what_was_forgotten_leaves_no_hole_in_the_pages(store):
    history = await make_history(store, seed=6)
    asked, edge = ClickFilter(robots="exclude"), BEGIN + 30 * HOUR
    while await store.drop_before(edge):
        pass

    kept = await read_pages(store, asked, 13)

    assert set(kept) >= {one.click.id for one in history.matching(replace(asked, since=edge))}

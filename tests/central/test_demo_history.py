"""The demo's history: the same each time, and one in which every page has something to show."""

from central.labelled import label_all

from linkrouter.central.labels import Insight
from linkrouter.central.statistics import break_down, count_totals
from linkrouter.central.store.questions import ClickFilter, MessageFilter
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.processes.demo_history import HISTORY_DAYS, MAILINGS, add_history

NOW = 1_795_262_400_000_000
DAY_US = 86_400_000_000


async def history(folder):
    store = SqliteCentralStore(folder / "central.db")
    await store.open()
    try:
        count = await add_history(store, NOW)
        await label_all(store)
        totals = await count_totals(store, Insight(), ClickFilter(robots="exclude"))
        sizes = {}
        for dimension in ("part", "browser", "os", "platform", "country", "tag", "url", "robot_reason"):
            broken = await break_down(store, Insight(), ClickFilter(robots="exclude"), dimension, 1000)
            sizes[dimension] = len(broken.rows)
        messages = await store.find_messages(MessageFilter(), None, 10_000)
        routers = await store.list_routers()
    finally:
        await store.close()
    return count, totals, sizes, messages, routers


async def test_every_page_has_something_to_show(tmp_path):
    count, totals, sizes, messages, routers = await history(tmp_path)

    assert count == totals.figures.clicks + totals.figures.robots
    assert totals.figures.clicks > 500
    assert 0.3 < totals.figures.robots / count < 0.8
    assert totals.figures.unique <= totals.figures.clicks
    assert NOW - HISTORY_DAYS * DAY_US <= totals.first < totals.last < NOW
    assert sum(loss.clicks for loss in totals.missing) == 57
    assert len({message.metadata["issue"] for message in messages}) == MAILINGS
    assert all(message.has_html for message in messages)
    assert len(routers) == 3
    assert all(size > 1 for size in sizes.values()), sizes


async def test_it_is_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()

    one, two = await history(tmp_path / "one"), await history(tmp_path / "two")

    assert one[:3] == two[:3]

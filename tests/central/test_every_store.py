"""What every central store promises, whatever keeps it."""

import asyncio
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linkrouter.central.labels import Insight
from linkrouter.central.statistics import count_totals
from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import Message, MessageLink, Position, RouterLoss
from linkrouter.errors import SettingsError, StoreError

NOON = 1_795_262_400_000_000
ALL = ClickFilter()


def a_message(message_id="mail-1", links=(("-----w", "html"),), digest=b"1", **changes) -> Message:
    fields = {"tenant": 0, "sent_at": NOON, "recipient": "r@example.net", "tag": "november", "metadata": {"a": "b"}}
    parts = tuple(
        MessageLink(link_id, f"https://example.com/{part}", part, n) for n, (link_id, part) in enumerate(links)
    )
    return Message(message_id=message_id, digest=digest, links=parts, **(fields | changes))


async def ids(store, asked=ALL, after=None, limit=1000) -> list[str]:
    return [found.click.id for found in await store.find_clicks(asked, after, limit)]


async def test_an_empty_store_counts_nothing(store):
    totals = await count_totals(store, Insight(), ALL)

    assert (totals.figures.clicks, totals.figures.unique, totals.first, totals.missing) == (0, 0, None, [])
    assert await ids(store) == []


async def test_keeps_every_field_of_a_click(store, make_clicks):
    [click] = make_clicks(1, tenant=2**32 - 1, part="text", ip="2001:db8::1", user_agent="Ünï ☃", kind="prefetch")

    await store.add_clicks([click])

    [found] = await store.find_clicks(ALL, None, 10)
    assert found.click == click


async def test_a_batch_of_none_is_nothing(store):
    assert await store.add_clicks([]) == 0


async def test_the_same_batch_again_adds_nothing(store, make_clicks):
    clicks = make_clicks(100)

    assert await store.add_clicks(clicks) == 100
    assert await store.add_clicks(clicks) == 0
    assert await store.add_clicks(make_clicks(10, first=95)) == 5
    assert len(await ids(store)) == 105


async def test_one_id_twice_in_a_batch_is_kept_once(store, make_clicks):
    assert await store.add_clicks(make_clicks(1) * 3) == 1


async def test_the_first_to_come_with_an_id_stays(store, make_clicks):
    await store.add_clicks(make_clicks(1, kind="head"))
    await store.add_clicks(make_clicks(1, kind="click"))

    assert [found.click.kind for found in await store.find_clicks(ALL, None, 10)] == ["head"]


async def test_the_same_batch_at_once_is_kept_once(store, make_clicks):
    clicks = make_clicks(500)

    stored = await asyncio.gather(*(store.add_clicks(clicks) for _ in range(5)))

    assert sorted(stored) == [0, 0, 0, 0, 500]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.integers(0, 30), max_size=20), max_size=6))
async def test_however_batches_overlap_each_click_is_kept_once(store, make_clicks, batches):
    example = uuid4()  # the store is the same for all of them

    def named(n):
        [click] = make_clicks(1, n, link_id=example.hex[:20])
        return click._replace(id=f"{example}-{n}")

    stored = [await store.add_clicks([named(n) for n in batch]) for batch in batches]

    kept = await store.find_clicks(ClickFilter(link_id=example.hex[:20]), None, 1000)
    assert sum(stored) == len(kept) == len({n for batch in batches for n in batch})


async def test_what_was_kept_is_there_after_a_restart(url, make_clicks):
    first = open_central_store(url)
    await first.open()
    await first.add_clicks(make_clicks(3), [RouterLoss("loss-1", "ams", "full", 7, NOON, NOON + 1)])
    await first.add_message(a_message())
    await first.close()

    second = open_central_store(url)
    await second.open()
    found = await second.find_clicks(ALL, None, 10)
    missing = await second.missing(None, None)
    await second.close()

    assert [one.message_id for one in found] == ["mail-1"] * 3
    assert [(loss.reason, loss.clicks) for loss in missing] == [("full", 7)]


async def test_newest_first_and_pages_join_without_gap_or_repeat(store, make_clicks):
    same_time = make_clicks(5, first=50, clicked_at=NOON + 10_000_000)
    await store.add_clicks(make_clicks(20) + same_time)
    whole = await store.find_clicks(ALL, None, 100)

    paged, after = [], None
    while page := await store.find_clicks(ALL, after, 3):
        paged += page
        after = Position(page[-1].click.clicked_at, page[-1].click.id)

    assert paged == whole
    assert [(one.click.clicked_at, one.click.id) for one in whole] == sorted(
        ((one.click.clicked_at, one.click.id) for one in whole), reverse=True
    )


async def test_a_filter_by_link_and_tenant(store, make_clicks):
    await store.add_clicks(make_clicks(2) + make_clicks(1, 2, link_id="AQ") + make_clicks(1, 3, tenant=7))

    assert await ids(store, ClickFilter(link_id="AQ")) == ["id-000002"]
    assert await ids(store, ClickFilter(link_id="-----w", tenant=7)) == ["id-000003"]
    assert await ids(store, ClickFilter(link_id="-----w", tenant=0)) == ["id-000001", "id-000000"]


async def test_a_filter_by_time_has_its_start_and_not_its_end(store, make_clicks):
    await store.add_clicks(make_clicks(4))

    assert await ids(store, ClickFilter(since=NOON + 1_000_000, until=NOON + 3_000_000)) == ["id-000002", "id-000001"]


async def test_a_message_may_come_after_its_clicks(store, make_clicks):
    await store.add_clicks(make_clicks(1))
    [before] = await store.find_clicks(ALL, None, 10)

    kept = await store.add_message(a_message())

    [after] = await store.find_clicks(ClickFilter(message_id="mail-1"), None, 10)
    assert (before.message_id, before.url) == (None, None)
    assert kept == "stored"
    assert (after.message_id, after.recipient, after.tag, after.url) == (
        "mail-1",
        "r@example.net",
        "november",
        "https://example.com/html",
    )


async def test_filters_by_message_and_tag(store, make_clicks):
    await store.add_message(a_message("mail-1", [("AQ", "html"), ("Ag", "html")], tag="a"))
    await store.add_message(a_message("mail-2", [("Aw", "html")], tag="a"))
    await store.add_message(a_message("mail-3", [("BA", "html")], tag=None))
    links = ["AQ", "Ag", "Aw", "BA", "BQ"]
    await store.add_clicks([make_clicks(1, n, link_id=link_id)[0] for n, link_id in enumerate(links)])

    assert await ids(store, ClickFilter(message_id="mail-1")) == ["id-000001", "id-000000"]
    assert await ids(store, ClickFilter(tag="a")) == ["id-000002", "id-000001", "id-000000"]
    assert await ids(store, ClickFilter(tag="a", message_id="mail-3")) == []
    assert (await count_totals(store, Insight(), ClickFilter(tag="a"))).figures.unique == 3


async def test_a_link_id_belongs_to_its_tenant(store, make_clicks):
    await store.add_message(a_message("mail-1", tenant=1))
    await store.add_clicks(make_clicks(1) + make_clicks(1, 1, tenant=1))

    assert await ids(store, ClickFilter(message_id="mail-1")) == ["id-000001"]


async def test_the_same_message_again_is_known(store):
    assert await store.add_message(a_message()) == "stored"
    assert await store.add_message(a_message()) == "known"


async def test_another_message_with_the_same_id_is_a_conflict(store):
    await store.add_message(a_message())

    assert await store.add_message(a_message(digest=b"2", links=[("AQ", "html")])) == "conflict"
    assert await store.add_message(a_message()) == "known"


async def test_a_link_of_another_message_is_a_conflict_and_nothing_is_kept(store, make_clicks):
    await store.add_message(a_message("mail-1"))

    assert await store.add_message(a_message("mail-2", [("AQ", "html"), ("-----w", "text")])) == "conflict"

    await store.add_clicks(make_clicks(1, link_id="AQ"))
    assert await ids(store, ClickFilter(message_id="mail-2")) == []
    assert await store.add_message(a_message("mail-2", [("AQ", "html")])) == "stored"


async def test_one_link_id_may_stand_in_both_parts_of_a_message(store, make_clicks):
    await store.add_message(a_message(links=[("-----w", "html"), ("-----w", "text")]))
    await store.add_clicks(make_clicks(1) + make_clicks(1, 1, part="text"))

    found = await store.find_clicks(ClickFilter(message_id="mail-1"), None, 10)

    assert [one.url for one in found] == ["https://example.com/text", "https://example.com/html"]


async def test_counts_by_kind_and_part_and_distinct_links(store, make_clicks):
    await store.add_clicks(
        make_clicks(3)
        + make_clicks(1, 3, part="text", link_id="AQ")
        + make_clicks(2, 4, kind="head", link_id="Ag")
        + make_clicks(1, 6, kind="prefetch")
    )

    totals = await count_totals(store, Insight(), ClickFilter(robots="exclude"))

    assert totals.by_part == {"html": 3, "text": 1}
    assert totals.by_kind == {"click": 4, "head": 2, "prefetch": 1}
    assert totals.figures.unique == 2
    assert (totals.first, totals.last) == (NOON, NOON + 3_000_000)


async def test_losses_are_kept_once_and_told_where_they_touch_the_time(store):
    losses = [
        RouterLoss("loss-1", "ams", "full", 5, NOON, NOON + 100),
        RouterLoss("loss-2", "ams", "memory", 2, NOON + 200, NOON + 300),
    ]
    await store.add_clicks([], losses)
    await store.add_clicks([], losses)

    both = await store.missing(None, None)
    first = await store.missing(None, NOON + 200)
    second = await store.missing(NOON + 101, None)

    assert [(loss.reason, loss.clicks) for loss in both] == [("full", 5), ("memory", 2)]
    assert (both[0].since, both[-1].until) == (NOON, NOON + 300)
    assert [loss.reason for loss in first] == ["full"]
    assert [loss.reason for loss in second] == ["memory"]


async def test_pages_have_all_that_was_there_while_more_comes_in(store, make_clicks):
    await store.add_clicks(make_clicks(300))
    seen: list[str] = []

    async def read() -> None:
        after = None
        while page := await store.find_clicks(ALL, after, 7):
            seen.extend(one.click.id for one in page)
            after = Position(page[-1].click.clicked_at, page[-1].click.id)

    async def write() -> None:
        for first in range(1000, 2000, 50):
            await store.add_clicks(make_clicks(50, first))

    await asyncio.gather(read(), write())

    assert len(seen) == len(set(seen))
    assert {click.id for click in make_clicks(300)} <= set(seen)


async def test_a_cancelled_batch_leaves_the_store_usable(store, make_clicks):
    for first in range(0, 5000, 500):
        task = asyncio.create_task(store.add_clicks(make_clicks(500, first)))
        for _ in range(first // 500):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    assert await store.add_clicks(make_clicks(1, 9000)) == 1
    # Whole or not at all: what a cancelled call left behind is a number of whole batches.
    assert (len(await ids(store, limit=10_000)) - 1) % 500 == 0


async def test_a_store_tells_what_it_holds(store, make_clicks):
    assert (await store.holdings())[2:] == (None, None, {})
    clicks = make_clicks(3)
    losses = [RouterLoss(f"loss-{n}", router, "full", 7, NOON, NOON) for n, router in enumerate(("ams", "fra", "ams"))]
    await store.add_clicks(clicks, losses)

    held = await store.holdings()

    assert held.lost == {"ams": 14, "fra": 7}
    assert (held.oldest_at, held.newest_at) == (clicks[0].clicked_at, clicks[-1].clicked_at)
    assert store.size() > (held.journal_bytes or 0)
    assert held.free_bytes is None or held.free_bytes > 0


async def test_a_closed_store_says_so(url, make_clicks):
    store = open_central_store(url)
    await store.open()
    await store.close()
    await store.close()

    with pytest.raises(StoreError):
        await store.add_clicks(make_clicks(1))
    with pytest.raises(StoreError):
        await store.extent(None)


async def test_a_ready_store_passes_its_check(store):
    await store.check()


@pytest.mark.parametrize(
    "url", ["", "central.db", "mysql://user:s3cret-pass@db/x", "sqlite:", "sqlite:///", "sqlite:///d/"]
)
def test_refuses_a_url_it_cannot_use_without_quoting_it(url):
    with pytest.raises(SettingsError, match=r"^DATABASE: ") as caught:
        open_central_store(url)

    assert "s3cret" not in str(caught.value)

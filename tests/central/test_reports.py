"""Asking: which clicks, how many, and page by page."""

import pytest


async def test_counts_clicks_and_reports_the_rest_apart(centre, click):
    await centre.take(
        click("a"),
        click("b", part="text", clicked_at="2026-11-21T18:00:00Z"),
        click("c", link_id="AQ"),
        click("d", link_id="Ag", kind="head"),
        click("e", kind="prefetch", clicked_at="2026-11-22T00:00:00Z"),
    )

    assert await centre.stats() == {
        "total": 3,
        "unique": 2,
        "by_part": {"html": 2, "text": 1},
        "by_kind": {"click": 3, "head": 1, "prefetch": 1},
        "robots": {"total": 2, "by_reason": {"head": 1, "prefetch": 1}},
        "unsure": 0,
        "without_consent": 0,
        "unsettled": 5,
        "first": "2026-11-21T17:33:38.123456Z",
        "last": "2026-11-21T18:00:00.000000Z",
        "missing": {"count": 0, "by_reason": {}, "since": None, "until": None},
    }


async def test_nothing_was_clicked_yet(centre):
    stats = await centre.stats()

    assert (stats["total"], stats["unique"], stats["first"], stats["last"]) == (0, 0, None, None)


async def test_a_click_is_told_as_it_was_sent(centre, click, message):
    sent = click()
    await centre.take(sent)
    await centre.sender.post("/v1/messages", json=message())

    [found] = (await centre.sender.get("/v1/clicks")).json()["clicks"]

    assert found == sent | {
        "message_id": "mail-1@example.com",
        "recipient": "reader@example.net",
        "tag": "november",
        "url": "https://example.com/-----w",
        "agent": {"browser": "unknown", "os": "unknown", "platform": "unknown"},
        "place": {"country": "unknown", "region": "", "city": ""},
        "robot": {"label": "unsure", "reasons": [], "version": 0},
        "takeback": None,
    }


async def test_an_unknown_link_is_told_without_its_message(centre, click):
    await centre.take(click())

    [found] = (await centre.sender.get("/v1/clicks")).json()["clicks"]

    assert (found["message_id"], found["recipient"], found["tag"], found["url"]) == (None, None, None, None)


async def test_filters(centre, click, message):
    await centre.sender.post("/v1/messages", json=message("mail-1", ("AQ", "Ag"), tag="a"))
    await centre.sender.post("/v1/messages", json=message("mail-2", ("Aw",), tag="b", tenant=3))
    await centre.take(
        click("1", link_id="AQ", clicked_at="2026-11-21T10:00:00Z"),
        click("2", link_id="Ag", clicked_at="2026-11-21T11:00:00Z"),
        click("3", link_id="Aw", clicked_at="2026-11-21T12:00:00Z", tenant=3),
        click("4", link_id="BA", clicked_at="2026-11-21T13:00:00Z"),
    )

    assert await centre.ids() == ["4", "3", "2", "1"]
    assert await centre.ids(link_id="Ag") == ["2"]
    assert await centre.ids(message_id="mail-1") == ["2", "1"]
    assert await centre.ids(tag="b") == ["3"]
    assert await centre.ids(tenant=3) == ["3"]
    assert await centre.ids(since="2026-11-21T11:00:00Z", until="2026-11-21T13:00:00Z") == ["3", "2"]
    assert await centre.ids(tag="a", since="2026-11-21T11:00:00Z") == ["2"]
    assert await centre.ids(message_id="none") == []
    assert (await centre.stats(tag="a"))["total"] == 2


async def test_pages_join_while_more_clicks_come_in(centre, click):
    sent = [click(f"id-{n:03d}", clicked_at=f"2026-11-21T10:{n // 4:02d}:00Z") for n in range(100)]
    await centre.take(*sent)

    seen, query = [], {"limit": 9}
    while True:
        page = (await centre.sender.get("/v1/clicks", params=query)).json()
        seen += [found["id"] for found in page["clicks"]]
        await centre.take(click(f"new-{len(seen)}", clicked_at="2026-11-21T23:00:00Z"))
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert seen == sorted((one["id"] for one in sent), reverse=True)


async def test_the_last_page_has_no_next(centre, click):
    await centre.take(*(click(f"id-{n}") for n in range(4)))

    full = (await centre.sender.get("/v1/clicks", params={"limit": 4})).json()
    short = (await centre.sender.get("/v1/clicks", params={"limit": 3})).json()

    assert full["next_cursor"] is None
    assert short["next_cursor"] is not None


QUERIES = {
    "limit=0": "limit",
    "limit=1001": "limit",
    "limit=+1": "limit",
    "limit=%201": "limit",
    "limit=1_0": "limit",
    "limit=01": "limit",
    "limit=": "limit",
    "limit=99999999999999999999": "limit",
    "tenant=4294967296": "tenant",
    "tenant=-1": "tenant",
    "since=yesterday": "since",
    "since=1795282418": "since",
    "until=2026-11-21": "until",
    "cursor=": "cursor",
    "cursor=AA": "cursor",
    "cursor=MTox": None,  # "1:1", which is one
    "cursor=MTox=": "cursor",
    "cursor=MDE6MQ": "cursor",  # "01:1", a second spelling
    "cursor=LTE6MQ": "cursor",  # "-1:1"
    "cursor=MTo": "cursor",  # "1:"
    "cursor=____": "cursor",
    "link_id=-----x": "link_id",
    "message_id=": "message_id",
    "message_id=%00": "message_id",
    "tag=%0A": "tag",
}


@pytest.mark.parametrize("query", QUERIES)
async def test_checks_a_query_as_strictly_as_a_body(centre, query):
    answer = await centre.sender.get(f"/v1/clicks?{query}")

    if QUERIES[query] is None:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 422
        assert answer.json()["reason"].startswith(f"{QUERIES[query]} must be ")


@pytest.mark.parametrize("query", ["tags=a", "Tag=a", "limit=1&limit=1"])
async def test_a_filter_that_is_not_understood_is_not_ignored(centre, query):
    assert (await centre.sender.get(f"/v1/clicks?{query}")).status_code == 422


async def test_the_statistics_have_no_pages(centre):
    assert (await centre.sender.get("/v1/stats/clicks?limit=1")).status_code == 422


async def test_a_clock_that_runs_ahead_is_counted_and_is_not_the_last(centre, click):
    await centre.take(click("id-now"), click("id-ahead", clicked_at="9999-12-31T23:59:59Z"))

    stats = await centre.stats()

    assert stats["total"] == 2
    assert stats["last"] == "2026-11-21T17:33:38.123456Z"


async def test_a_loss_ends_after_it_began(centre):
    loss = {"id": "a", "reason": "full", "count": 1, "since": "2026-11-21T12:00:01Z", "until": "2026-11-21T12:00:00Z"}

    answer = await centre.take(losses=[loss])

    assert answer.status_code == 422
    assert answer.json() | {"detail": ""} == {
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "",
        "list": "losses",
        "index": 0,
        "reason": "until must not be before since",
    }

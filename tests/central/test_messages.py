"""Messages: pages, tables, one with its links, and what was clicked in them."""

import csv
import io

import pytest

LINKS = ("-----w", "AQ", "Ag")


async def test_a_message_tells_what_was_clicked_in_it(centre, click, message):
    await centre.sender.post("/v1/messages", json=message(link_ids=LINKS, html="<p>Hello</p>"))
    await centre.take(
        click("a"),
        click("b", clicked_at="2026-11-21T17:40:00Z"),
        click("c", link_id="AQ", kind="head"),
    )

    [found] = (await centre.sender.get("/v1/messages")).json()["messages"]

    assert found == {
        "message_id": "mail-1@example.com",
        "tenant": 0,
        "sent_at": "2026-11-21T12:00:00.000000Z",
        "recipient": "reader@example.net",
        "tag": "november",
        "metadata": {"issue": "47"},
        "message_key": None,
        "links": 3,
        "has_html": True,
        "withheld": False,
        "clicks": 2,
        "unique": 1,
        "robots": 1,
        "first": "2026-11-21T17:33:38.123456Z",
        "last": "2026-11-21T17:40:00.000000Z",
    }


async def test_the_links_of_a_message_stand_by_position(centre, click, message):
    await centre.sender.post("/v1/messages", json=message("<a/b>@x", link_ids=LINKS))
    await centre.take(click("a", link_id="Ag"), click("b", link_id="AQ", kind="prefetch"))

    answer = await centre.sender.get("/v1/messages/%3Ca%2Fb%3E@x")

    assert [(link["link_id"], link["position"]) for link in answer.json()["links"]] == [
        *zip(LINKS, range(3), strict=True)
    ]
    assert [(link["clicks"], link["unique"], link["robots"]) for link in answer.json()["links"]] == [
        (0, 0, 0),
        (0, 0, 1),
        (1, 1, 0),
    ]


async def test_pages_follow_each_other_and_later_messages_move_none(centre, message):
    for number in range(5):
        sent = message(f"mail-{number}", link_ids=(), sent_at=f"2026-11-21T12:00:0{number}Z")
        await centre.sender.post("/v1/messages", json=sent)

    first = (await centre.sender.get("/v1/messages", params={"limit": 2})).json()
    await centre.sender.post("/v1/messages", json=message("mail-9", link_ids=(), sent_at="2026-11-22T12:00:00Z"))
    rest = (await centre.sender.get("/v1/messages", params={"limit": 9, "cursor": first["next_cursor"]})).json()

    assert [one["message_id"] for one in first["messages"] + rest["messages"]] == [f"mail-{n}" for n in (4, 3, 2, 1, 0)]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"tag": "b"}, ["mail-2"]),
        ({"recipient": "READER@example.net"}, ["mail-2", "mail-1"]),
        ({"recipient": "nobody@example.net"}, []),
        ({"message_id": "mail-1"}, ["mail-1"]),
        ({"since": "2026-11-21T12:30:00Z"}, ["mail-2"]),
        ({"until": "2026-11-21T12:30:00Z"}, ["mail-1"]),
        ({"tenant": "7"}, []),
    ],
)
async def test_messages_are_found_by_what_is_known_of_them(centre, message, query, found):
    await centre.sender.post("/v1/messages", json=message("mail-1", ("AQ",), tag="a"))
    await centre.sender.post("/v1/messages", json=message("mail-2", ("Ag",), tag="b", sent_at="2026-11-21T13:00:00Z"))

    answer = await centre.sender.get("/v1/messages", params=query)

    assert [one["message_id"] for one in answer.json()["messages"]] == found


async def test_a_table_of_messages_is_safe_in_a_spreadsheet(centre, message):
    await centre.sender.post("/v1/messages", json=message("=1+1", ("AQ",)))

    table = list(csv.reader(io.StringIO((await centre.sender.get("/v1/messages.csv")).text)))

    assert table[0][:2] == ["message_id", "sent_at"]
    assert table[1][0] == "'=1+1"


async def test_what_is_not_there_or_not_one_is_refused(centre, message):
    for tenant in (1, 2):
        await centre.sender.post("/v1/messages", json=message("mail", (), tenant=tenant))

    unknown = await centre.sender.get("/v1/messages/nothing")
    two = await centre.sender.get("/v1/messages/mail")
    one = await centre.sender.get("/v1/messages/mail", params={"tenant": "2"})
    bad = await centre.sender.get("/v1/messages", params={"cursor": "MTIzOmFi"})

    assert (unknown.status_code, two.status_code, one.status_code, bad.status_code) == (404, 422, 200, 422)
    assert "tenant" in two.json()["reason"]
    assert "cursor" in bad.json()["reason"]


async def test_routers_are_seen_by_their_last_report(centre):
    state = {"version": "0.1.0", "pending": 5, "oldest_seconds": 1.5, "dropped": 2}
    await centre.take(state=state)
    await centre.take(state=state | {"worker": 1, "pending": 7, "oldest_seconds": 9})
    await centre.take(state=state | {"pending": 0})

    [router] = (await centre.sender.get("/v1/routers")).json()["routers"]

    assert (router["router"], router["pending"], router["oldest_seconds"], router["dropped"]) == ("ams-blue-1", 7, 9, 4)
    assert [worker["worker"] for worker in router["workers"]] == [0, 1]
    assert 0 <= router["silent_seconds"] < 60


async def test_a_router_tells_its_keys_and_the_take_backs_in_force(centre):
    state = {"version": "0.1.0", "pending": 0, "oldest_seconds": 0, "dropped": 0}
    told = {"keys": [{"id": 1, "state": "verify"}, {"id": 2, "state": "sign"}], "take_backs": {"rules": 3, "seq": 7}}
    await centre.take(state=state | told)
    await centre.take(state=state | {"worker": 1})

    [router] = (await centre.sender.get("/v1/routers")).json()["routers"]

    first, older = router["workers"]
    assert {name: first[name] for name in told} == told
    assert (older["keys"], older["take_backs"]) == (None, None)


async def test_a_report_of_a_newer_router_costs_no_click(centre, click):
    state = {"version": "9.0.0", "pending": 0, "oldest_seconds": 0, "dropped": 0}
    answer = await centre.take(click(), state=state | {"mood": "good", "take_backs": {"rules": 0, "seq": 0, "x": 1}})

    assert answer.status_code == 200
    [router] = (await centre.sender.get("/v1/routers")).json()["routers"]
    assert "mood" not in router["workers"][0]
    assert router["workers"][0]["take_backs"] == {"rules": 0, "seq": 0}


@pytest.mark.parametrize(
    "told",
    [
        {"keys": [{"id": 1, "state": "lost"}]},
        {"keys": [{"id": "1", "state": "sign"}]},
        {"keys": {}},
        {"take_backs": {"rules": -1, "seq": 0}},
        {"take_backs": {"rules": 1}},
    ],
    ids=str,
)
async def test_keys_and_take_backs_that_are_none_are_refused(centre, told):
    state = {"version": "0.1.0", "pending": 0, "oldest_seconds": 0, "dropped": 0}

    assert (await centre.take(state=state | told)).status_code == 422


async def test_a_report_that_is_none_is_refused_whole(centre, click):
    answer = await centre.take(click(), state={"version": "0.1.0", "pending": -1, "oldest_seconds": 0, "dropped": 0})

    assert answer.status_code == 422
    assert "state" in answer.json()["reason"] or "pending" in answer.json()["reason"]
    assert await centre.ids() == []

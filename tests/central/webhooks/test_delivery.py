"""What endpoints get: which events, when, signed how, and again until they take them."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web
from central.conftest import NOON
from central.webhooks.conftest import BROWSER, person, until, verify

from linkrouter.central.store.watch import WatchEvent

HOUR_US = 3_600_000_000


async def test_a_click_is_sent_once_under_its_own_id(sending, receive, click):
    receiver = await receive()
    endpoint = await sending.add(receiver.url)

    await sending.take(person(click, 1), person(click, 2))
    await sending.take(person(click, 2))

    await until(lambda: len(receiver.requests) >= 2)
    await until(lambda: sending.deliveries(endpoint))
    assert sorted(receiver.ids) == ["click-1", "click-2"]
    assert receiver.events[0]["type"] == "link.clicked"
    assert receiver.events[0]["timestamp"] == receiver.events[0]["data"]["clicked_at"] == "2026-11-21T17:33:38.123456Z"
    assert receiver.events[0]["data"]["robot"]["label"] == "human"
    assert [(one["state"], one["attempts"], one["status"]) for one in await sending.deliveries(endpoint)] == [
        ("delivered", 1, 204)
    ] * 2


async def test_an_event_has_what_was_told_of_its_message(sending, receive, click, message):
    receiver = await receive()
    await sending.add(receiver.url)
    await sending.api.post("/v1/messages", json=message())

    await sending.take(person(click))

    await until(lambda: receiver.requests)
    data = receiver.events[0]["data"]
    assert (data["recipient"], data["tag"], data["metadata"]) == ("reader@example.net", "november", {"issue": "47"})
    assert data["url"] == "https://example.com/-----w"


async def test_a_click_without_consent_tells_of_nobody(sending, receive, click, message):
    receiver = await receive()
    await sending.add(receiver.url)
    await sending.api.post("/v1/messages", json=message())

    await sending.take(click(ip=None, user_agent=None))

    await until(lambda: receiver.requests)
    assert "reader@example.net" not in receiver.requests[0][1].decode()
    assert "mail-1@example.com" not in receiver.requests[0][1].decode()


async def test_what_is_sent_is_what_is_signed(sending, receive, click):
    receiver = await receive()
    endpoint = await sending.add(receiver.url)

    await sending.take(person(click))

    await until(lambda: receiver.requests)
    headers, body = receiver.requests[0]
    assert verify(endpoint["secret"], headers, body)
    assert not verify(endpoint["secret"], headers, body + b" ")


async def test_an_id_with_a_dot_is_written_without(sending, receive, click):
    receiver = await receive()
    await sending.add(receiver.url)

    await sending.take(click("a.b%c", user_agent=BROWSER))

    await until(lambda: receiver.requests)
    assert receiver.ids == ["a%2Eb%25c"]
    assert receiver.events[0]["data"]["id"] == "a.b%c"


async def test_only_what_is_stored_from_then_on_is_sent(sending, receive, click):
    receiver = await receive()
    await sending.take(person(click, 1))
    await sending.add(receiver.url)

    await sending.take(person(click, 2))

    await until(lambda: receiver.requests)
    assert receiver.ids == ["click-2"]


async def test_machines_are_sent_to_who_asks_for_them(sending, receive, click):
    people, all_of_them, machines = await receive(), await receive(), await receive()
    await sending.add(people.url)
    await sending.add(all_of_them.url, filters={"robots": "include"})
    await sending.add(machines.url, filters={"robots": "only"})

    await sending.take(person(click, 1), click("click-2", kind="head"))

    await until(lambda: people.requests and len(all_of_them.requests) == 2 and machines.requests)
    assert (people.ids, machines.ids) == (["click-1"], ["click-2"])
    assert machines.events[0]["data"]["robot"]["label"] == "machine"


async def test_tenant_and_tag_are_filters(sending, receive, click, message):
    of_seven, of_tag = await receive(), await receive()
    await sending.add(of_seven.url, filters={"tenant": 7})
    await sending.add(of_tag.url, filters={"tag": "november"})
    await sending.api.post("/v1/messages", json=message())

    await sending.take(person(click, 1), person(click, 2, tenant=7, link_id="BBBB"))

    await until(lambda: of_seven.requests and of_tag.requests)
    assert (of_seven.ids, of_tag.ids) == (["click-2"], ["click-1"])


async def test_a_click_that_a_rule_turned_says_so_to_who_asks(sending, receive, click):
    asks, counts = await receive(), await receive()
    await sending.add(asks.url, types=["link.clicked", "takeback.applied"])
    await sending.add(counts.url)
    only = await receive()
    await sending.add(only.url, types=["takeback.applied"])

    await sending.take(person(click, 1), person(click, 2, takeback="ASNFZ4mrze-BI0VniavN7w"))

    await until(lambda: len(asks.requests) == len(counts.requests) == 2 and only.requests)
    assert {event["data"]["id"]: event["type"] for event in asks.events} == {
        "click-1": "link.clicked",
        "click-2": "takeback.applied",
    }
    assert {event["type"] for event in counts.events} == {"link.clicked"}
    assert only.ids == ["click-2"]


async def test_a_click_that_is_told_of_otherwise_later_is_an_event_of_its_own(sending, receive, click, message):
    receiver = await receive()
    await sending.add(receiver.url, types=["link.clicked", "link.relabelled"])
    await sending.take(person(click, 1))
    await until(lambda: receiver.requests)

    await sending.api.post("/v1/messages", json=message())

    await until(lambda: len(receiver.requests) == 2)
    assert receiver.events[1]["type"] == "link.relabelled"
    assert receiver.ids == ["click-1", "click-1:1"]
    assert (receiver.events[1]["data"]["tag"], receiver.events[1]["data"]["was"]) == ("november", "human")


async def test_a_person_who_turns_out_to_be_a_machine_is_told_to_who_heard_of_the_person(sending, receive, click):
    receiver = await receive()
    await sending.add(receiver.url, types=["link.relabelled"])
    await sending.take(person(click, 1))
    await until(sending.store.latest_labelled)
    await asyncio.sleep(0.3)  # a step of labelling is over

    at = "2026-11-21T17:33:38.2Z"
    burst = [person(click, number, link_id=f"AAA{number}", clicked_at=at) for number in range(2, 6)]
    links = [{"link_id": one["link_id"], "url": f"https://example.com/{n}", "part": "html", "position": n}
             for n, one in enumerate([*burst, {"link_id": "-----w"}])]  # fmt: skip
    await sending.take(*burst)
    await sending.api.post("/v1/messages", json={
        "message_id": "m", "sent_at": "2026-11-21T12:00:00Z", "links": links})  # fmt: skip

    event = await until(lambda: next((one for one in receiver.events if one["data"]["id"] == "click-1"), None))
    assert event["data"]["was"] == "human"
    assert event["data"]["robot"]["label"] == "machine"


async def break_link(sending, url, event_id, kind="link.broken"):
    """Let the look at *url*, which was sent, make an event."""
    await sending.store.fold_sent(0, NOON, HOUR_US)
    [link] = [one for one in await sending.store.due_links(NOON + 99 * HOUR_US, 10) if one.url == url]
    event = WatchEvent(event_id, kind, NOON, link.tenant, url, "status 404", link.messages, link.clicks)
    assert await sending.store.keep_look(link, replace(link, standing=kind.removeprefix("link.")), event)


async def test_a_destination_that_broke_is_told_to_who_asks_and_whose_it_is(sending, receive, message):
    asks, of_tag, other_tag, other_tenant, clicks = [await receive() for _ in range(5)]
    types = ["link.broken", "link.recovered"]
    await sending.add(asks.url, types=types)
    await sending.add(of_tag.url, types=types, filters={"tag": "november"})
    await sending.add(other_tag.url, types=types, filters={"tag": "december"})
    await sending.add(other_tenant.url, types=types, filters={"tenant": 7})
    await sending.add(clicks.url)
    await sending.api.post("/v1/messages", json=message("mail-1", ("AQ",)))
    await sending.api.post("/v1/messages", json=message("mail-2", ("Ag",)))

    await break_link(sending, "https://example.com/AQ", "ASNFZ4mrze-BI0VniavN7w")
    await break_link(sending, "https://example.com/Ag", "ASNFZ4mrze-BI0VniavN7Q", "link.flagged")

    await until(lambda: asks.requests and of_tag.requests)
    assert asks.ids == of_tag.ids == ["ASNFZ4mrze-BI0VniavN7w"]
    [event] = asks.events
    assert (event["type"], event["timestamp"]) == ("link.broken", "2026-11-21T12:00:00.000000Z")
    assert (event["data"]["url"], event["data"]["reason"]) == ("https://example.com/AQ", "status 404")
    assert event["data"]["command"].startswith("linkrouter takeback stop")
    assert other_tag.requests == other_tenant.requests == clicks.requests == []
    endpoint = (await sending.api.get("/v1/webhooks")).json()["webhooks"][0]

    async def noted():
        return await sending.deliveries(endpoint)

    await until(noted)
    assert await sending.post(endpoint, "replay", {"ids": asks.ids}) == {"replayed": 1}
    await until(lambda: len(asks.requests) == 2)
    assert asks.requests[0][1] == asks.requests[1][1]


@pytest.mark.parametrize("sending", [3600.0], indirect=True)
async def test_settle_0_sends_before_there_is_a_label(sending, receive, click):
    receiver = await receive()
    await sending.add(receiver.url, settle=0)

    await sending.take(person(click))

    await until(lambda: receiver.requests)
    assert receiver.ids == ["click-0"]
    assert receiver.events[0]["data"]["robot"]["version"] == 0  # no rules have judged it


async def test_an_event_is_sent_again_under_its_id_until_it_is_taken(sending, receive, click):
    receiver = await receive(500, 302, 204)
    endpoint = await sending.add(receiver.url)

    await sending.take(person(click))

    await until(lambda: len(receiver.requests) == 2)  # 5 s and then 5 min, times 0.02
    [delivery] = await until(lambda: sending.deliveries(endpoint, state="pending"))
    assert receiver.ids == ["click-0"] * 2
    assert (delivery["status"], delivery["attempts"]) in ((302, 2), (500, 1))
    await until(lambda: len(receiver.requests) == 3)
    await until(lambda: sending.deliveries(endpoint, state="delivered"))


async def test_a_redirect_is_not_followed(sending, receive, click):
    elsewhere = await receive()

    async def redirect(_):
        return web.Response(status=307, headers={"Location": elsewhere.url})

    receiver = await receive(redirect)
    endpoint = await sending.add(receiver.url)
    await sending.take(person(click))

    [delivery] = await until(lambda: sending.deliveries(endpoint))
    assert (delivery["state"], delivery["status"]) == ("pending", 307)
    assert elsewhere.requests == []


async def test_410_disables_and_an_endpoint_that_is_active_again_goes_on_where_it_stopped(sending, receive, click):
    receiver = await receive(410, 204)
    endpoint = await sending.add(receiver.url)
    await sending.take(person(click, 1))

    async def state():
        return (await sending.api.get(f"/v1/webhooks/{endpoint['id']}")).json()

    await until(lambda: receiver.requests)
    found = await until(state)
    while found["state"] == "active":
        found = await state()
    assert (found["state"], found["reason"]) == ("disabled", "gone")
    await sending.take(person(click, 2))
    await asyncio.sleep(1.0)
    assert len(receiver.requests) == 1

    await sending.api.patch(f"/v1/webhooks/{endpoint['id']}", json={"state": "active"})

    await until(lambda: {"click-1", "click-2"} <= set(receiver.ids[1:]))


async def test_retry_after_is_obeyed(sending, receive, click):
    times = []

    async def slow_down(_):
        times.append(asyncio.get_running_loop().time())
        return web.Response(status=429, headers={"Retry-After": "2"}) if len(times) == 1 else web.Response()

    receiver = await receive(slow_down)
    await sending.add(receiver.url)

    await sending.take(person(click))

    await until(lambda: len(times) == 2)
    assert times[1] - times[0] >= 2


async def test_an_endpoint_that_hangs_holds_up_no_other(sending, receive, click):
    async def hang(_):
        await asyncio.sleep(30)

    hanging, well = await receive(hang), await receive()
    endpoint = await sending.add(hanging.url)
    await sending.add(well.url)

    await sending.take(*(person(click, number) for number in range(50)))

    await until(lambda: len(well.requests) == 50)
    assert len(hanging.requests) == 1  # a dead endpoint costs one connection
    [delivery] = await until(lambda: sending.deliveries(endpoint))
    assert (delivery["status"], delivery["error"]) == (None, "no answer in time")


@pytest.mark.parametrize("count", [300])
async def test_a_backlog_is_sent_each_once(sending, receive, click, count):
    receiver = await receive()
    await sending.add(receiver.url)

    await sending.take(*(person(click, number, link_id="-----w") for number in range(count)))

    await until(lambda: len(receiver.requests) >= count)
    assert sorted(receiver.ids) == sorted(f"click-{number}" for number in range(count))


async def test_who_was_erased_while_an_event_waited_is_not_told_of(sending, receive, click, message):
    receiver = await receive(503, 204)
    await sending.add(receiver.url)
    await sending.api.post("/v1/messages", json=message())
    await sending.take(person(click))
    await until(lambda: receiver.requests)

    erased = await sending.api.post("/v1/erasures", json={"recipient": "reader@example.net"})

    assert erased.json()["messages"] == 1
    await until(lambda: len(receiver.requests) == 2)
    assert b"reader@example.net" in receiver.requests[0][1]
    for told in (b"reader@example.net", b"203.0.113.7", BROWSER.encode(), b"https://example.com/"):
        assert told not in receiver.requests[1][1]


async def test_nothing_that_is_logged_tells_where_events_go(sending, receive, click, caplog):
    receiver = await receive(500, 410)
    endpoint = await sending.add(receiver.url.replace("://", "://reader:password@"))
    await sending.take(person(click))

    async def is_disabled():
        return (await sending.api.get(f"/v1/webhooks/{endpoint['id']}")).json()["state"] == "disabled"

    await until(is_disabled)
    written = " ".join(str(record.__dict__) for record in caplog.records)
    assert "webhooks.disabled" in written
    for secret in (endpoint["secret"], "password", "/hook", BROWSER, "203.0.113.7"):
        assert secret not in written

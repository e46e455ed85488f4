"""Endpoints by the API: who may make them, what is shown of them, what was sent to them."""

from datetime import datetime
from typing import get_type_hints

import pytest
from central.webhooks.conftest import person, until, verify

from linkrouter.central.api import central_routes
from linkrouter.central.store.opening import open_central_store
from linkrouter.central.webhooks import models
from linkrouter.central.webhooks.bodies import DIALECTS, EVENT_TYPES
from linkrouter.web.openapi import api_document

PUBLIC = "https://hooks.example.com/in?key=1"


async def test_the_secret_is_shown_once(sending):
    made = await sending.add(PUBLIC)

    shown = (await sending.api.get(f"/v1/webhooks/{made['id']}")).json()
    listed = (await sending.api.get("/v1/webhooks")).json()["webhooks"]
    assert made["secret"].startswith("whsec_")
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert listed == [shown]


async def test_credentials_in_the_url_are_sent_and_not_shown(sending, receive, click):
    receiver = await receive()
    made = await sending.add(receiver.url.replace("://", "://reader:pass%20word@"))

    await sending.take(person(click))

    await until(lambda: receiver.requests)
    assert receiver.requests[0][0]["authorization"] == "Basic cmVhZGVyOnBhc3Mgd29yZA=="
    assert "pass" not in made["url"]
    endpoint = await sending.store.find_endpoint(made["id"])
    assert made["secret"] not in repr(endpoint)
    assert "word" not in repr(endpoint)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",  # plain, and its address may be public
        "http://93.184.216.34/",
        "https://10.1.2.3/",
        "https://0x0a010203/",
        "https://[::1]/",
        "https://169.254.169.254/latest/",
        "https://hooks.example.com:99999/",
        "ftp://hooks.example.com/",
        "nonsense",
    ],
)
async def test_an_endpoint_that_may_not_be_reached_is_refused_or_never_asked(sending, url, click):
    answer = await sending.api.post("/v1/webhooks", json={"url": url})

    if answer.status_code == 201:  # by its name, which is asked for when there is something to send
        result = await sending.post(answer.json(), "test")
        assert result["delivered"] is False
        assert result["error"] in ("address not public", "host does not exist", "no answer in time")
    else:
        assert answer.status_code == 422
        assert url not in answer.text


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"types": ["link.opened"]}, "types must be"),
        ({"types": []}, "types must be"),
        ({"dialect": "sendgrid"}, "dialect must be"),
        ({"dialect": "postmark", "types": ["link.relabelled"]}, "types must be link.clicked alone"),
        ({"filters": {"robots": "some"}}, "filters must be"),
        ({"settle": 2}, "settle must be"),
        ({"more": 1}, "not known"),
    ],
)
async def test_a_wrong_field_is_named_with_its_rule(sending, order, reason):
    answer = await sending.api.post("/v1/webhooks", json={"url": PUBLIC} | order)

    assert answer.status_code == 422
    assert reason in answer.json()["reason"]


async def test_fields_are_changed_one_by_one(sending):
    made = await sending.add(PUBLIC, filters={"tag": "november"})

    answer = await sending.api.patch(f"/v1/webhooks/{made['id']}", json={"types": ["link.relabelled"], "settle": 0})

    changed = answer.json()
    assert (changed["types"], changed["settle"], changed["filters"]["tag"]) == (["link.relabelled"], 0, "november")
    assert changed["url"] == PUBLIC


async def test_an_endpoint_that_was_dropped_gets_nothing_more(sending, receive, click):
    receiver, other = await receive(), await receive()
    made = await sending.add(receiver.url)
    await sending.add(other.url)

    assert (await sending.api.delete(f"/v1/webhooks/{made['id']}")).json() == {"id": made["id"]}
    await sending.take(person(click))

    await until(lambda: other.requests)
    assert receiver.requests == []
    assert (await sending.api.get(f"/v1/webhooks/{made['id']}")).status_code == 404


async def test_a_tenants_token_makes_and_sees_endpoints_of_its_tenant_alone(sending, receive, click):
    receiver = await receive()
    own = await sending.add(receiver.url, by=sending.tenant)
    await sending.add(PUBLIC)
    await sending.add(PUBLIC, filters={"tenant": 8})

    foreign = await sending.tenant.post("/v1/webhooks", json={"url": PUBLIC, "filters": {"tenant": 8}})
    await sending.take(person(click, 1), person(click, 2, tenant=7))

    assert foreign.status_code == 403
    assert own["filters"]["tenant"] == 7
    assert [one["id"] for one in (await sending.tenant.get("/v1/webhooks")).json()["webhooks"]] == [own["id"]]
    await until(lambda: receiver.requests)
    assert receiver.ids == ["click-2"]


async def test_a_test_sends_a_made_up_click_and_says_what_came_of_it(sending, receive):
    receiver = await receive(204, 500)
    made = await sending.add(receiver.url)

    first, second = await sending.post(made, "test"), await sending.post(made, "test")

    assert first == {"delivered": True, "status": 204, "error": None}
    assert second == {"delivered": False, "status": 500, "error": None}
    assert receiver.events[0]["type"] == "webhook.test"
    assert await sending.deliveries(made) == []


async def test_while_a_secret_is_replaced_both_sign(sending, receive):
    receiver = await receive()
    made = await sending.add(receiver.url)

    rotated = await sending.post(made, "rotate-secret")

    await sending.post(made, "test")
    headers, body = receiver.requests[0]
    assert len(headers["webhook-signature"].split()) == 2
    assert verify(made["secret"], headers, body)
    assert verify(rotated["secret"], headers, body)
    assert datetime.fromisoformat(rotated["old_until"])
    await sending.store.change_endpoint(made["id"], {"old_until": 0})
    await sending.post(made, "test")
    headers, body = receiver.requests[1]
    assert not verify(made["secret"], headers, body)
    assert verify(rotated["secret"], headers, body)


async def test_deliveries_are_listed_in_pages(sending, receive, click):
    receiver = await receive()
    made = await sending.add(receiver.url)
    await sending.take(*(person(click, number) for number in range(5)))
    await until(lambda: len(receiver.requests) == 5)

    async def all_noted():
        return len(await sending.deliveries(made)) == 5

    await until(all_noted)
    found, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await sending.api.get(f"/v1/webhooks/{made['id']}/deliveries", params=query)).json()
        found += [one["event_id"] for one in page["deliveries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert sorted(found) == [f"click-{number}" for number in range(5)]


async def test_what_was_sent_is_sent_again_by_id_by_time_and_by_state(sending, receive, click):
    receiver = await receive()
    made = await sending.add(receiver.url)
    await sending.take(person(click, 1), person(click, 2))

    async def noted():
        return len(await sending.deliveries(made, state="delivered")) == 2

    await until(noted)
    by_id = await sending.post(made, "replay", {"ids": ["click-1", "unknown"]})
    await until(lambda: len(receiver.requests) == 3)
    await until(noted)
    by_state = await sending.post(made, "replay", {"state": "delivered"})
    await until(lambda: len(receiver.requests) == 5)
    await until(noted)
    past = await sending.post(made, "replay", {"until": "2020-01-01T00:00:00Z"})
    by_time = await sending.post(made, "replay", {"since": "2020-01-01T00:00:00Z"})

    await until(lambda: len(receiver.requests) == 7)
    assert [one["replayed"] for one in (by_id, by_state, past, by_time)] == [1, 2, 0, 2]
    assert sorted(receiver.ids) == ["click-1"] * 4 + ["click-2"] * 3
    nothing = await sending.api.post(f"/v1/webhooks/{made['id']}/replay", json={})
    assert nothing.status_code == 422


async def test_old_deliveries_are_forgotten_and_those_of_dropped_endpoints(sending, receive, click):
    receiver = await receive()
    kept, dropped = await sending.add(receiver.url), await sending.add(receiver.url)
    await sending.take(person(click))

    async def noted():
        return await sending.deliveries(kept) and await sending.deliveries(dropped)

    await until(noted)
    await sending.api.delete(f"/v1/webhooks/{dropped['id']}")

    assert await sending.store.forget_deliveries(0) == 1
    assert len(await sending.deliveries(kept)) == 1
    assert await sending.store.forget_deliveries(2**60) == 1
    assert await sending.deliveries(kept) == []


def test_every_field_that_comes_in_has_its_rule_in_the_document():
    routes = central_routes(open_central_store("sqlite:///unused.db"))
    schemas = api_document(routes, "central", "1")["components"]["schemas"]
    inputs = ["EndpointOrder", "EndpointChanges", "EndpointFilters", "EndpointsQuery", "EndpointQuery",
              "DeliveriesQuery", "ReplayOrder"]  # fmt: skip

    described = {}
    for name in inputs:
        assert schemas[name]["additionalProperties"] is False
        assert set(schemas[name]["properties"]) == set(get_type_hints(getattr(models, name)))
        described |= {field: of.get("description") for field, of in schemas[name]["properties"].items()}
    assert described == models.WEBHOOK_RULES


def test_the_words_of_the_api_are_those_of_the_code():
    schema = api_document(central_routes(open_central_store("sqlite:///unused.db")), "central", "1")
    order = schema["components"]["schemas"]["EndpointOrder"]["properties"]

    assert order["dialect"]["enum"] == list(DIALECTS)
    assert order["types"]["items"]["enum"] == list(EVENT_TYPES)

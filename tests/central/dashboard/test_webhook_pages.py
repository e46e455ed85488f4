"""Webhook endpoints on the pages: made, tried, changed and taken away by clicking."""

import re

import pytest
from central.dashboard.pages import ALL, SEVEN, STATS, centre_with_pages, visitor

PAGE, ONE = "/dashboard/webhooks", "/dashboard/webhook"
FORM = {"url": "https://hooks.example/in", "link.clicked": "1", "dialect": "standard", "robots": "exclude", "tag": ""}


@pytest.fixture
async def origin(tmp_path):
    async with centre_with_pages(tmp_path) as (origin, _):
        yield origin


async def endpoint_of(client):
    return (await client.get("/v1/webhooks")).json()["webhooks"][-1]


async def test_an_endpoint_is_made_and_its_secret_shown_this_once(origin):
    async with visitor(origin, ALL) as client:
        made = await client.post(PAGE, data=FORM | {"link.relabelled": "1", "tag": "november"})
        listed = await client.get(PAGE)
        endpoint = await endpoint_of(client)

    assert re.search(r"whsec_[A-Za-z0-9+/]{43}=", made.text)
    assert "whsec_" not in listed.text
    assert "https://hooks.example/in" in listed.text
    assert (endpoint["types"], endpoint["filters"]["tag"]) == (["link.clicked", "link.relabelled"], "november")


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://hooks.example/"},
        {"url": "https://10.0.0.1/"},
        {"url": ""},
        {"dialect": "postmark", "link.relabelled": "1"},
    ],
    ids=["plain", "private", "none", "types"],
)
async def test_what_may_not_be_is_said_on_the_form(origin, changes):
    async with visitor(origin, ALL) as client:
        answer = await client.post(PAGE, data=FORM | changes)
        kept = (await client.get("/v1/webhooks")).json()["webhooks"]

    assert "Give an https URL of a public address" in answer.text
    assert len(kept) == 1


async def test_deliveries_are_shown_by_state(origin):
    async with visitor(origin, ALL) as client:
        everything = (await client.get(ONE, params={"id": "hook-1"})).text
        failed = (await client.get(ONE, params={"id": "hook-1", "state": "failed"})).text
        wrong = await client.get(ONE, params={"id": "hook-1", "cursor": "x"})

    assert "click-a" in everything
    assert "click-b" in everything
    assert "click-a" not in failed
    assert "refused" in failed
    assert wrong.status_code == 422


async def test_an_endpoint_is_tried_switched_off_and_taken_away(origin):
    async with visitor(origin, ALL) as client:

        async def act(action, **more):
            return await client.post(ONE, data={"id": "hook-1", "action": action} | more)

        tried = await act("test")  # the name does not exist
        off = await act("disable")
        on = await act("enable")
        again = await act("replay")
        rotated = await act("rotate")
        unconfirmed = await act("drop")
        gone = await act("drop", confirmed="1")
        left = (await client.get("/v1/webhooks")).json()["webhooks"]

    assert "The test was not taken" in tried.text
    assert "disabled (by hand)" in off.text
    assert "Enable" not in on.text
    assert "Sent again: " in again.text
    assert "whsec_" in rotated.text
    assert (unconfirmed.status_code, gone.status_code, left) == (422, 303, [])


async def test_another_tenants_endpoint_is_not_there_and_other_tokens_may_not_look(origin):
    async with visitor(origin, SEVEN) as client:
        shown = await client.get(ONE, params={"id": "hook-1"})
        acted = await client.post(ONE, data={"id": "hook-1", "action": "drop", "confirmed": "1"})
    async with visitor(origin, STATS) as client:
        refused = await client.get(PAGE)

    assert (shown.status_code, acted.status_code, refused.status_code) == (404, 404, 403)

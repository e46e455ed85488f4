"""What the API and the page say of watched destinations."""

import shlex
import time
from dataclasses import replace
from typing import get_type_hints

import pytest
from central.dashboard.pages import ALL, SEVEN, STATS, centre_with_pages, visitor
from central.test_every_store import a_message

from linkrouter import __version__
from linkrouter.central.api import central_routes
from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.records import MessageLink
from linkrouter.central.store.watch import WatchEvent
from linkrouter.central.watch import models
from linkrouter.central.watch.models import WATCH_RULES, take_back_command
from linkrouter.web.openapi import api_document

NOW = time.time_ns() // 1000
HOUR = 3_600_000_000
ODD = "https://example.com/it's?a=b&c=$(id)`id`\\\"|;<script>"
WHERE = ("--central", "http://127.0.0.1:8090", "--token-file", "api-token")


async def watch(store, url, standing, tenant=0, stop="", message_id="mail"):
    """Keep a destination that was sent and changed, with the event of that."""
    links = (MessageLink("AQ", url, "html", 0),) if standing != "fine" else (MessageLink("Ag", url, "html", 0),)
    message = a_message(f"{message_id}-{standing}", tenant=tenant, sent_at=NOW - 9 * HOUR)
    await store.add_message(replace(message, links=links))
    while await store.fold_sent(NOW - 99 * HOUR, NOW, HOUR):
        pass
    [link] = [one for one in await store.due_links(NOW, 100) if (one.url, one.tenant) == (url, tenant)]
    after = replace(link, standing=standing, verdict=standing, reason="not found", looked_at=NOW, changed_at=NOW)
    word = "recovered" if standing == "fine" else standing
    number = len(await store.link_events(0, 100, None))
    event = WatchEvent(f"{number:021d}A", f"link.{word}", NOW, tenant, url, "not found", 1, 0, stop)
    assert await store.keep_look(link, replace(after, due_at=None), event)


@pytest.fixture
async def served(tmp_path):
    async with centre_with_pages(tmp_path, filled=False) as (origin, store):
        yield origin, store


async def ask(origin, token, path, **query):
    async with visitor(origin, None, Authorization=f"Bearer {token}") as client:
        return await client.get(path, params=query)


async def test_what_changed_is_listed_with_the_command_that_answers_it(served):
    origin, store = served
    await watch(store, ODD, "broken")
    await watch(store, "https://example.com/back", "fine")

    answer = (await ask(origin, ALL, "/v1/watched")).json()

    broken, recovered = answer["links"]
    assert (answer["watched"], answer["due"]) == (2, 0)
    assert (broken["url"], broken["state"], broken["reason"], broken["messages"]) == (ODD, "broken", "not found", 1)
    assert shlex.split(broken["command"]) == [
        *("linkrouter", "takeback", "stop", "--keys", "keys.json", "--url", ODD),
        *WHERE,
    ]
    assert (recovered["state"], shlex.split(recovered["command"])[2]) == ("fine", "lift")


def test_the_command_names_the_tenant_and_where_central_is():
    words = shlex.split(take_back_command("stop", "https://a.example/", 7, "https://central.example.com"))

    assert words[7:11] == ["--tenant", "7", "--central", "https://central.example.com"]


async def test_events_are_read_on_from_a_number(served):
    origin, store = served
    await watch(store, "https://example.com/a", "broken")
    await watch(store, "https://example.com/b", "fine")
    await watch(store, "https://example.com/c", "flagged", tenant=7, stop="made", message_id="theirs")

    whole = (await ask(origin, ALL, "/v1/watched/events")).json()
    first = (await ask(origin, ALL, "/v1/watched/events", limit=1)).json()
    rest = (await ask(origin, ALL, "/v1/watched/events", after=first["seq"])).json()
    none = (await ask(origin, ALL, "/v1/watched/events", after=rest["seq"])).json()

    assert [event["type"] for event in whole["events"]] == ["link.broken", "link.recovered", "link.flagged"]
    assert first["events"] + rest["events"] == whole["events"]
    assert none == {"events": [], "seq": 3}
    flagged = whole["events"][2]
    assert (flagged["stopped_by"], shlex.split(flagged["command"])[2]) == (flagged["id"], "lift")
    assert [event["stopped_by"] for event in whole["events"][:2]] == [None, None]


async def test_a_tenants_token_sees_its_own_alone(served):
    origin, store = served
    await watch(store, "https://example.com/ours", "broken")
    await watch(store, "https://example.com/theirs", "broken", tenant=7, message_id="theirs")

    for path in ("/v1/watched", "/v1/watched/events"):
        own, asked = (await ask(origin, SEVEN, path)).text, (await ask(origin, ALL, path, tenant=7)).text
        assert own == asked
        assert "theirs" in own
        assert "ours" not in own
        assert (await ask(origin, SEVEN, path, tenant=0)).status_code == 403
    assert (await ask(origin, SEVEN, "/v1/watched")).json()["watched"] == 1
    assert (await ask(origin, STATS, "/v1/watched")).status_code == 200


async def test_the_page_shows_the_command_as_text_and_that_watching_is_off(served):
    origin, store = served
    await watch(store, ODD, "flagged", stop="made")

    async with visitor(origin, ALL) as client:
        english = await client.get("/dashboard/watched")
        german = await client.get("/dashboard/watched", headers={"Accept-Language": "de"})

    assert "<script>&" not in english.text
    assert "&lt;script&gt;" in english.text
    assert "linkrouter takeback lift --keys keys.json --url &#39;https://example.com/it" in english.text
    assert "Watching is off" in english.text
    assert "von der Zentrale gestoppt" in german.text


@pytest.mark.parametrize(
    ("path", "name"), [("/v1/watched", "WatchedQuery"), ("/v1/watched/events", "WatchEventsQuery")]
)
def test_every_field_that_comes_in_has_its_rule_in_the_document(path, name):
    document = api_document(central_routes(open_central_store("sqlite:///unused.db")), "central", __version__)

    described = {one["name"]: one["description"] for one in document["paths"][path]["get"]["parameters"]}

    assert described == {field: WATCH_RULES[field] for field in get_type_hints(getattr(models, name))}

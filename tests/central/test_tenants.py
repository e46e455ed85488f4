"""A tenant's token: what it gets of another tenant on every route of the table."""

import json

import httpx
import pytest
from processes import HANG_S

from linkrouter import __version__
from linkrouter.central.api import central_routes
from linkrouter.central.store.opening import open_central_store
from linkrouter.settings import Address
from linkrouter.web.openapi import with_document
from linkrouter.web.server import create_app, serving
from linkrouter.web.tokens import ADMIN, Caller, Tokens

SEVEN = "token-of-tenant-seven-0123456789"
ALL = "token-of-all-0123456789-0123456789"
THEIRS = ("theirs@example.org", "https://theirs.example/", "their-tag", "their-mail", "their-click", "198.51.100.77")


@pytest.fixture
async def clients(database):
    store = open_central_store(database)
    await store.open()
    routes = with_document(central_routes(store), "central", __version__)
    tokens = Tokens.of_callers(
        {SEVEN: Caller(ADMIN.scopes, 7, "seven"), ALL: Caller(frozenset({"admin", "clicks:write"}))}
    )
    async with serving(create_app(tokens, routes), Address("127.0.0.1", 0)) as port:
        base = {"base_url": f"http://127.0.0.1:{port}", "trust_env": False, "verify": False, "timeout": HANG_S}
        async with (
            httpx.AsyncClient(headers=shown(SEVEN), **base) as seven,
            httpx.AsyncClient(headers=shown(ALL), **base) as everybody,
        ):
            yield routes, seven, everybody
    await store.close()


def shown(token):
    return {"Authorization": f"Bearer {token}", "X-Postmark-Server-Token": token}


async def fill(everybody, click, message):
    theirs = [{"link_id": "AQ", "url": "https://theirs.example/", "part": "html", "position": 0}]
    sent = message("their-mail", tenant=8, recipient="theirs@example.org", tag="their-tag", links=theirs)
    assert (await everybody.post("/v1/messages", json=sent)).status_code == 200
    clicks = [click("their-click", link_id="AQ", tenant=8, ip="198.51.100.77")]
    assert (await everybody.post("/v1/clicks", json={"router": "r", "clicks": clicks})).status_code == 200
    hook = {"url": "https://theirs.example/hook", "filters": {"tenant": 8}}
    return (await everybody.post("/v1/webhooks", json=hook)).json()["id"]


async def test_a_tenants_token_gets_nothing_of_another_on_any_route(clients, click, message):
    routes, seven, everybody = clients
    hook = await fill(everybody, click, message)
    bodies = {
        "/v1/webhooks": {"url": "https://mine.example/hook"},
        "/v1/webhooks/{id}": {"state": "disabled"},
        "/v1/webhooks/{id}/replay": {"state": "failed"},
        "/v1/messages": message("mine", ("Ag",), tenant=8),
        "/v1/erasures": {"recipient": "theirs@example.org"},
        "/v1/withheld": {"recipient": "theirs@example.org"},
        "/v1/clicks": {"router": "r", "clicks": []},
    }

    for route in routes:
        if route.streams:
            continue  # see test_live.py
        names = {"dimension": "url", "breakdown": "location", "message_id": "their-mail", "messageid": "their-mail"}
        path = route.path.format(id=hook, **names)
        page = {"count": "10", "offset": "0"} if route.path.startswith("/messages/outbound") else {}
        for more in ({}, {"tenant": "8"}, {"recipient": "theirs@example.org"}, {"message_id": "their-mail"}):
            query = page | more
            body = bodies.get(route.path) if route.method in ("POST", "PATCH") else None
            answer = await seven.request(route.method, path, params=query, json=body)
            if route.path != "/openapi.json":
                words = [word for word in THEIRS if word not in query.values()]  # an answer may repeat the question
                assert not any(word in answer.text for word in words), (route.operation, query)

    [kept] = (await everybody.get("/v1/clicks")).json()["clicks"]
    assert (kept["id"], kept["ip"], kept["recipient"]) == ("their-click", "198.51.100.77", "theirs@example.org")
    left = (await everybody.get(f"/v1/webhooks/{hook}")).json()
    assert (left["url"], left["state"]) == ("https://theirs.example/hook", "active")


async def test_a_tenants_token_writes_for_its_tenant_alone(clients, message):
    _, seven, everybody = clients

    own = await seven.post("/v1/messages", json=message("own", ("Ag",)))
    foreign = await seven.post("/v1/messages", json=message("foreign", ("Aw",), tenant=8))

    assert (own.status_code, foreign.status_code) == (200, 403)
    [found] = (await everybody.get("/v1/messages")).json()["messages"]
    assert (found["message_id"], found["tenant"]) == ("own", 7)


async def test_a_tenants_token_sees_no_router(clients, click, message):
    _, seven, everybody = clients
    state = {"version": "1", "pending": 0, "oldest_seconds": 0, "dropped": 0}
    await everybody.post("/v1/clicks", json={"router": "secret-name", "clicks": [], "state": state})

    assert "secret-name" not in (await seven.get("/v1/routers")).text
    assert "secret-name" in json.dumps((await everybody.get("/v1/routers")).json())

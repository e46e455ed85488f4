"""Every engine gives the same answers: one history goes through the API of each, and each question is asked of all.

The history has all that moves figures: late messages and clicks, clicks that come twice, labels that change, erasures,
withheld recipients, take-backs, webhooks and watched destinations.
"""

import itertools
import random
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx
import pytest
from central.history import AGENTS, BEGIN, HOUR
from central.labelled import ask_all, label_all

from linkrouter.central.api import central_routes
from linkrouter.central.labels import Insight
from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.take_backs import ListReader, SentLinkFilter
from linkrouter.central.store.watch import WatchEvent
from linkrouter.central.store.webhooks import HEALTHY, Attempted, DeliveryFilter, Endpoint, EventKey
from linkrouter.clicks.click import iso_utc
from linkrouter.link.codec import encode_base64url, varint
from linkrouter.link.takeback import TakeBack
from linkrouter.settings import Address
from linkrouter.web.server import create_app, serving
from linkrouter.web.tokens import Caller, Tokens

TOKEN = "admin-token-0123456789"
MAILS, CLICKS, LINKS = 80, 1200, 5
OWN = {"seen_at", "added_at", "silent_seconds", "next_cursor"}  # when it came, and by which number a store goes on
QUESTIONS = {
    "message_id": "m8@example.com",
    "tag": "november",
    "tenant": 1,
    "part": "html",
    "browser": "Chrome",
    "os": "Windows",
    "platform": "mobile",
    "url": "https://example.com/3",
    "since": iso_utc(BEGIN + 29 * HOUR + 1_234_567),
    "until": iso_utc(BEGIN + 31 * HOUR + 7_654_321),
    "recipient": "R3@example.net",
    "link_id": encode_base64url((8).to_bytes(8, "big") + varint(1)),
    "robots": "include",
}


def mails(rng):
    for number in range(MAILS):
        key = number.to_bytes(8, "big")
        links = [
            {
                "link_id": encode_base64url(key + varint(n)),
                "url": f"https://example.com/{n}",
                "part": part,
                "position": n,
            }
            for n, part in enumerate(rng.choices(("html", "text"), k=LINKS))
        ]
        links[4] |= {"url": f"https://example.com/for/{number}"}  # nobody else was sent it
        yield {
            "message_id": f"m{number}@example.com",
            "sent_at": iso_utc(BEGIN + number * HOUR),
            "recipient": f"r{number % 40}@example.net",
            "tenant": int(number % 8 == 0),
            "metadata": {"issue": str(number)},
            "message_key": encode_base64url(key),
            "links": links,
        } | ({"tag": rng.choice(("november", "december", "Über ☃"))} if number % 5 else {"html": "<p>Hello"})


def clicks(rng, sent):
    for number in range(CLICKS):
        mail = rng.choice(sent)
        link = rng.choice(mail["links"])
        agent = rng.choice(AGENTS)
        at = BEGIN + rng.choice((rng.randrange(240 * HOUR), 30 * HOUR, 30 * HOUR + rng.randrange(60_000_000)))
        yield {
            "id": f"click-{number}",
            "link_id": link["link_id"],
            "tenant": mail["tenant"],
            "part": link["part"],
            "clicked_at": iso_utc(at),
            "ip": f"203.0.113.{rng.randrange(20)}" if agent else None,
            "user_agent": agent,
            "kind": rng.choice(("click",) * 6 + ("head", "prefetch")),
            "takeback": encode_base64url(bytes(16)) if number % 50 == 0 else None,
        }


def rules():
    for number in range(4):
        yield TakeBack(
            encode_base64url(number.to_bytes(16, "big")),
            number % 2,
            f"match-{number % 3}",
            "stop",
            "",
            number,
            1,
            "tag",
        )


ENDPOINTS = [
    Endpoint(id=f"hook-{number}", url="https://hooks.example/", secret="whsec_AAAA", created_at=BEGIN, **fields)
    for number, fields in enumerate(
        (
            {"tenant": None, "types": ("link.clicked", "link.relabelled", "link.flagged"), "robots": "include"},
            {"tenant": 1, "types": ("link.clicked",), "settled": False},
            {"tenant": None, "types": ("takeback.applied", "link.flagged"), "tag": "november", "robots": "only"},
            {"tenant": 0, "types": ("link.clicked", "link.relabelled"), "dialect": "postmark", "tag": "december"},
        )
    )
]


async def watch(store):
    """Take up what was sent, find a destination flagged, and let an endpoint try two events; give all of it."""
    now = BEGIN + 300 * HOUR
    while await store.fold_sent(BEGIN - HOUR, now, HOUR):
        pass
    due = await store.due_links(now, 7)
    event = WatchEvent("e" * 21 + "A", "link.flagged", now, due[0].tenant, due[0].url, "listed", 2, 3, "wanted")
    after = replace(due[0], standing="flagged", looks=1, looked_at=now, changed_at=now, due_at=now + HOUR)
    kept = [await store.keep_look(due[0], after, event) for _ in range(2)]
    wanted = await store.wanted_stops(9)
    await store.note_stop(wanted[0])
    told = [await store.changed_links(9, None), await store.link_events(0, 9, None), await store.count_watched(now, 1)]
    return [due, kept, wanted, told, await store.wanted_stops(9)]


async def deliver(store):
    given = []
    for endpoint in await store.list_endpoints(None):
        for log in ("click", "relabelled", "watched"):
            page = await store.next_events(endpoint, log, 50)
            given.append((endpoint.id, log, len(page.events), *(what_is_told(event) for event in page.events)))
        tried = [
            Attempted(EventKey("click", n), f"click-{n}", "link.clicked", state, 1, 500, "no", BEGIN + n, BEGIN + n)
            for n, state in ((1, "pending"), (2, "failed"))
        ]
        await store.note_attempts(endpoint, tried, endpoint.after, HEALTHY._replace(failures=2, failing_since=BEGIN))
        given.append([(due.attempts, due.event is None) for due in await store.due_events(endpoint, BEGIN + 9, 9)])
        for asked in (DeliveryFilter(), DeliveryFilter(state="failed"), DeliveryFilter(ids=("click-1",), since=BEGIN)):
            given += await store.find_deliveries(endpoint, asked, None, 9)
        given.append(await store.replay(endpoint, DeliveryFilter(state="failed"), BEGIN))
    busy = [endpoint.id for endpoint in await store.busy_endpoints(BEGIN + 10)]
    return [given, busy, await store.forget_deliveries(BEGIN + 2)]


def what_is_told(event):
    if hasattr(event, "metadata"):
        return event.found, dict(event.metadata), event.was
    return replace(event.found, seq=0)


async def live_through(client, store):
    """Do all that happens, in its order; give what was answered on the way."""
    rng = random.Random(5)
    sent = list(mails(rng))
    made = list(clicks(rng, sent))
    said = []

    async def post(path, body):
        answer = await client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        said.append((path, answer.json()))

    async def come(some):
        for first in range(0, len(some), 150):
            batch = some[max(first - 40, 0) : first + 150]  # a part of what the last one had comes again
            state = {"version": "1", "pending": 3, "oldest_seconds": 0.5, "dropped": 0}
            await post("/v1/clicks", {"router": "ams", "clicks": batch, "state": state})

    for endpoint in ENDPOINTS:
        await store.add_endpoint(endpoint, 9)
    await post("/v1/withheld", {"recipient": "R5@example.net"})
    for mail in sent[:60]:
        await post("/v1/messages", mail)
    await come(made[:800])
    await label_all(store)
    for mail in sent[60:72]:  # after their clicks; some never come
        await post("/v1/messages", mail)
    await post("/v1/messages", sent[3])
    await come(made[800:1100])
    await label_all(store)
    await post("/v1/erasures", {"recipient": "r7@example.net"})
    await post("/v1/erasures", {"message_id": "m9@example.com"})
    loss = {"reason": "full", "count": 7, "since": iso_utc(BEGIN), "until": iso_utc(BEGIN + HOUR)}
    await post("/v1/clicks", {"router": "ams", "clicks": [], "losses": [{"id": "loss-1"} | loss]})
    after: int | None = 0
    while after is not None:
        after = await store.relabel_next(Insight(), after, BEGIN + 20 * HOUR)
    said += [await store.add_take_backs(list(rules()), BEGIN, "token") for _ in range(2)]
    await store.note_reader(ListReader("ams", 2, BEGIN))
    said += [await watch(store), await deliver(store)]
    said.append(await store.drop_before(BEGIN + 3 * HOUR) > 0)
    while await store.drop_before(BEGIN + 3 * HOUR):
        pass
    while await store.cut_addresses(BEGIN + 50 * HOUR):
        pass
    await come(made[1100:])  # not labelled yet
    await assert_figures_stand_where_they_can(store)
    return said


async def assert_figures_stand_where_they_can(store):
    """Old labels are gone and their figures stay; what is left must still be counted."""
    [[labels]], [[counted]] = await ask_all(
        store,
        "SELECT count(*) FROM labels",
        "SELECT sum(clicks) FROM roll_ups WHERE tag = 0 AND dimension = 0 AND span = 1",
    )
    assert 0 < labels < counted


def paths():
    pairs = itertools.combinations(QUESTIONS, 2)
    for names in ((), *((name,) for name in QUESTIONS), *itertools.islice(pairs, 0, None, 9)):
        asked = {name: QUESTIONS[name] for name in names}
        yield "/v1/stats/clicks", asked
        yield "/v1/clicks", asked | {"limit": 40}
        yield "/v1/stats/clicks/by/browser", asked
    for name in ({}, *({name: QUESTIONS[name]} for name in QUESTIONS)):
        times = {"since": iso_utc(BEGIN), "until": iso_utc(BEGIN + 250 * HOUR)} | name
        for interval in ("hour", "day", "week"):
            yield "/v1/stats/clicks/series", times | {"interval": interval, "timezone": "America/New_York"}
    for dimension in ("part", "os", "platform", "country", "tag", "url", "robot_reason"):
        yield f"/v1/stats/clicks/by/{dimension}", {"limit": 5}
        yield f"/v1/stats/clicks/by/{dimension}.csv", {"tenant": 0, "robots": "only"}
    for asked in ({}, {"tag": "november"}, {"recipient": "R3@EXAMPLE.net"}, {"tenant": 1, "limit": 3}):
        yield "/v1/messages", asked
    for number in (1, 5, 7, 8, 9, 65, 79):
        yield f"/v1/messages/m{number}@example.com", {}
    for recipient in ("r3@example.net", "r5@example.net", "r7@example.net"):
        yield "/v1/export", {"recipient": recipient}
    yield from ((path, {}) for path in ("/v1/routers", "/v1/take-backs", "/v1/take-backs/status", "/v1/watched"))
    yield from (
        (f"/messages/outbound/{name}", {"count": 30, "offset": 5}) for name in ("clicks", "clicks/m8@example.com")
    )
    for name in ("", "/clicks", "/clicks/browserfamilies", "/clicks/platforms", "/clicks/location"):
        yield f"/stats/outbound{name}", {"fromdate": "2026-11-01", "todate": "2026-11-20"}


def lasting(told):
    """Leave out what is each one's own."""
    if isinstance(told, dict):
        return {name: lasting(value) for name, value in told.items() if name not in OWN}
    return [lasting(one) for one in told] if isinstance(told, list) else told


@pytest.mark.slow
async def test_every_engine_gives_the_same_answer_to_every_question(tmp_path, postgres_url):
    urls = (f"sqlite:///{tmp_path}/central.db", postgres_url)
    clients, stores, lived = [], [], []
    async with AsyncExitStack() as stack:
        for url in urls:
            store = open_central_store(url)
            await store.open()
            stack.push_async_callback(store.close)
            app = create_app(
                Tokens.of_callers({TOKEN: Caller(frozenset({"admin", "clicks:write"}))}), central_routes(store)
            )
            port = await stack.enter_async_context(serving(app, Address("127.0.0.1", 0)))
            headers = {"Authorization": f"Bearer {TOKEN}", "X-Postmark-Server-Token": TOKEN}
            at = f"http://127.0.0.1:{port}"
            client = httpx.AsyncClient(base_url=at, headers=headers, trust_env=False, verify=False, timeout=60)
            clients.append(await stack.enter_async_context(client))
            stores.append(store)
            lived.append(await live_through(client, store))

        assert lived[0] == lived[1]
        asked = 0
        for path, query in paths():
            first, second = [await client.get(path, params=query) for client in clients]
            assert first.status_code == second.status_code, (path, query, first.text, second.text)
            assert first.status_code in (200, 404, 422), (path, query, first.text)
            is_json = first.headers["content-type"].startswith("application/")
            told = [lasting(one.json()) if is_json else one.text for one in (first, second)]
            assert told[0] == told[1], (path, query)
            asked += first.status_code == 200
        assert asked > 130
        for store in stores:
            await label_all(store)
        kept = [await store.count_sent_links(SentLinkFilter(0, origin="https://example.com")) for store in stores]
        assert kept[0] == kept[1]

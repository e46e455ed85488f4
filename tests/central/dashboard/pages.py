"""A centre with pages, a history in it, and visitors with cookies."""

import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from central.labelled import label_all
from processes import HANG_S

from linkrouter.central.store.records import Message, MessageLink, RouterLoss, RouterState
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.central.store.webhooks import Attempted, Endpoint, EventKey, Health
from linkrouter.checker.api.page import page_files
from linkrouter.clicks.click import Click
from linkrouter.link.codec import encode_base64url, varint
from linkrouter.processes.central import Checks, central_app
from linkrouter.settings import Address
from linkrouter.web.server import serving
from linkrouter.web.tokens import ADMIN, Caller, Tokens

ALL, SEVEN, STATS, ROUTER = (f"{name}-token-0123456789" for name in ("admin", "seven", "stats", "router"))
TOKENS = {
    ALL: Caller(ADMIN.scopes, None, "operator"),
    SEVEN: Caller(ADMIN.scopes, 7, "seven"),
    STATS: Caller(frozenset({"stats:read"})),
    ROUTER: Caller(frozenset({"clicks:write"})),
}
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
REPORT = {
    "version": "0.1.0",
    "pending": 3,
    "oldest_seconds": 0.5,
    "dropped": 42,
    "keys": [{"id": 1, "state": "sign"}],
    "take_backs": {"rules": 0, "seq": 0},
}
DAY_US = 86_400_000_000
HTML = (
    "<h1>News</h1><p><a href='https://example.com/0'>First</a> <a href='https://example.com/1'>Second</a></p>"
    "<script>document.title = 'ran'</script><img src=x onerror=\"document.title = 'ran'\">"
)


def now_us() -> int:
    return time.time_ns() // 1000


def link_id(message: int, position: int) -> str:
    return encode_base64url(message.to_bytes(8, "big") + varint(position))


def a_message(number: int, tenant: int = 0, tag: str = "november", urls=None, **changes) -> Message:
    urls = urls or [f"https://example.com/{position}" for position in range(3)]
    links = tuple(MessageLink(link_id(number, n), url, "html", n) for n, url in enumerate(urls))
    fields = {"recipient": f"reader{number}@example.net", "html": HTML, "metadata": {}, "message_key": None} | changes
    return Message(
        message_id=f"mail-{number}@example.com",
        digest=str(number).encode(),
        tenant=tenant,
        sent_at=now_us() - 10 * DAY_US,
        tag=tag,
        links=links,
        **fields,
    )


def a_click(name, message=1, position=0, days_ago=1.0, tenant=0, agent=CHROME, **changes) -> Click:
    at = now_us() - int(days_ago * DAY_US)
    fields = {"ip": "203.0.113.7", "part": "html", "kind": "click"} | changes
    return Click(
        id=f"click-{name}", link_id=link_id(message, position), tenant=tenant, clicked_at=at, user_agent=agent, **fields
    )


async def fill(store) -> None:
    """Keep two mails of tenant 0 and one of tenant 7, with clicks by people, by a machine, and a loss."""
    for message in (a_message(1), a_message(2, tag="december"), a_message(3, tenant=7, tag="theirs")):
        await store.add_message(message)
    loss = RouterLoss("loss", "ams-blue-1", "store_full", 42, now_us() - 2 * DAY_US, now_us() - 2 * DAY_US + 1_000_000)
    await store.add_clicks(
        [
            a_click("a"),
            a_click("b", position=1, days_ago=2, agent=FIREFOX),
            a_click("c", message=2, days_ago=3, ip="198.51.100.9"),
            a_click("machine", message=2, position=1, days_ago=3, agent="curl/8.0"),
            a_click("before", message=2, position=2, days_ago=40),
            a_click("theirs", message=3, tenant=7, ip="198.51.100.77"),
        ],
        [loss],
        RouterState("ams-blue-1", 0, now_us(), json.dumps(REPORT)),
    )
    await label_all(store)
    await fill_webhook(store)


async def fill_webhook(store) -> None:
    """Keep an endpoint that fails, with an event that was delivered and one that was given up."""
    fields = {"url": "https://shop.example/hooks", "types": ("link.clicked",), "secret": "whsec_AAAA"}
    await store.add_endpoint(Endpoint(id="hook-1", tenant=None, created_at=now_us(), **fields), 1)
    made = await store.find_endpoint("hook-1")
    attempted = [
        Attempted(EventKey("click", 1), "click-a", "link.clicked", "delivered", 1, 204, None, now_us(), None),
        Attempted(EventKey("click", 2), "click-b", "link.clicked", "failed", 10, None, "refused", now_us(), None),
    ]
    await store.note_attempts(made, attempted, made.after, Health(failures=3, failing_since=now_us() - DAY_US))


@asynccontextmanager
async def centre_with_pages(folder, *, filled=True):
    """Give (origin, store) of a running centre."""
    store = SqliteCentralStore(folder / "central.db")
    await store.open()
    if filled:
        await fill(store)
    app = central_app(store, Tokens.of_callers(TOKENS), Checks(files=page_files()))
    try:
        async with serving(app, Address("127.0.0.1", 0)) as port:
            yield f"http://127.0.0.1:{port}", store
    finally:
        await store.close()


@asynccontextmanager
async def visitor(origin: str, token: str | None = None, **headers: str):
    """Give a client that keeps cookies, signed in with *token*."""
    async with httpx.AsyncClient(
        base_url=origin, trust_env=False, verify=False, timeout=HANG_S, headers=headers
    ) as client:
        if token is not None:
            answer = await client.post("/sign-in", data={"token": token})
            assert answer.status_code == 303, answer.text
        yield client


def today() -> str:
    return datetime.now(UTC).date().isoformat()

"""A centre that sends, and an endpoint on a real port that notes what it gets."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network

import httpx
import pytest
from aiohttp import web
from processes import HANG_S

from linkrouter.central.api import central_routes
from linkrouter.central.labelling import label_forever
from linkrouter.central.labels import Insight
from linkrouter.central.store.opening import open_central_store
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.central.webhooks.dispatch import Pace, deliver_forever
from linkrouter.central.webhooks.posting import Poster
from linkrouter.settings import Address
from linkrouter.web.server import create_app, serving
from linkrouter.web.tokens import Caller, Tokens

LOOPBACK = (ip_network("127.0.0.0/8"),)
ADMIN, TENANT, ROUTER = "admin-token-0123456789", "tenant-token-0123456789", "router-token-0123456789"


BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537"


def person(click, number=0, **changes) -> dict:
    """Give click *number*, by somebody with a browser."""
    return click(f"click-{number}", user_agent=BROWSER, **changes)


def verify(secret: str, headers: dict, body: bytes) -> bool:
    """Whether one of the signatures holds, by the words of the standard."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected in headers["webhook-signature"].split(" ")


class Receiver:
    """An endpoint: `answers` are given in turn (a status, or a response), the last one for good."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers) or [204]
        self.requests: list[tuple[dict, bytes]] = []
        self.url = ""

    @property
    def events(self) -> list[dict]:
        return [json.loads(body) for _, body in self.requests]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = await answer(request)
        return web.Response(status=answer) if isinstance(answer, int) else answer


@asynccontextmanager
async def receiving(*answers) -> AsyncIterator[Receiver]:
    receiver = Receiver(*answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receive() -> AsyncIterator[Callable]:
    """Give a function that starts an endpoint."""
    async with AsyncExitStack() as stack:

        async def start(*answers) -> Receiver:
            return await stack.enter_async_context(receiving(*answers))

        yield start


class Sending:
    """A centre that labels and delivers: `api` has a token for everything, `tenant` one of tenant 7."""

    def __init__(self, store, delivery, clients) -> None:
        self.store, self.delivery = store, delivery
        self.api, self.tenant, self.router = clients

    async def add(self, url, *, by=None, **more) -> dict:
        answer = await (by or self.api).post("/v1/webhooks", json={"url": url} | more)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def take(self, *clicks: dict) -> None:
        answer = await self.router.post("/v1/clicks", json={"router": "ams-blue-1", "clicks": list(clicks)})
        answer.raise_for_status()

    async def deliveries(self, endpoint: dict, **query) -> list[dict]:
        answer = await self.api.get(f"/v1/webhooks/{endpoint['id']}/deliveries", params=query)
        return answer.raise_for_status().json()["deliveries"]

    async def post(self, endpoint: dict, what: str, body=None) -> dict:
        answer = await self.api.post(f"/v1/webhooks/{endpoint['id']}/{what}", json=body)
        return answer.raise_for_status().json()


async def until(condition, timeout_s=HANG_S):
    """Wait until *condition* gives something true, and give that."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


@pytest.fixture
async def sending(request, database) -> AsyncIterator[Sending]:
    """A central that sends; its parameter, where a test gives one, is the settling time."""
    store = open_central_store(database)
    await store.open()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        # No chance in the times: a first retry comes after a tenth of a second instead of five.
        delivery = WebhookDelivery(store, Poster(LOOPBACK, timeout_s=2.0), uniform=lambda low, high: 0.02)
        tasks = [
            asyncio.create_task(label_forever(store, Insight(), getattr(request, "param", 0.05))),
            asyncio.create_task(deliver_forever(delivery, Pace(clicks=lambda: 0))),
        ]

        async def stop() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        stack.push_async_callback(stop)
        tokens = Tokens.of_callers(
            {
                ADMIN: Caller(frozenset({"admin"})),
                TENANT: Caller(frozenset({"webhooks"}), 7),
                ROUTER: Caller(frozenset({"clicks:write"})),
            }
        )
        app = create_app(tokens, central_routes(store, delivery=delivery))
        port = await stack.enter_async_context(serving(app, Address("127.0.0.1", 0)))
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}",
                    headers={"Authorization": f"Bearer {token}"},
                    trust_env=False,
                    verify=False,
                    timeout=HANG_S,
                )
            )
            for token in (ADMIN, TENANT, ROUTER)
        ]
        yield Sending(store, delivery, clients)

"""A centre on a real port over a real database, and what is sent to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from brokers import start_postgres
from central.engines import empty_postgres
from processes import HANG_S

from linkrouter import __version__
from linkrouter.central.api import central_routes
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.clicks.click import Click
from linkrouter.settings import Address
from linkrouter.web.openapi import with_document
from linkrouter.web.server import create_app, serving
from linkrouter.web.tokens import Tokens

ROUTER_TOKEN = "router-token-0123456789"
SENDER_TOKEN = "sender-token-0123456789"
NOON = 1_795_262_400_000_000  # 2026-11-21T12:00:00Z


@pytest.fixture(scope="session")
def postgres():
    """One server for all tests; a test begins with empty tables, and nothing has to outlive a crash."""
    server = start_postgres("fsync=off", "full_page_writes=off", "autovacuum=off")
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres) -> str:
    empty_postgres(postgres.port)
    return f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """The URL of an empty database, of each engine."""
    return empty_database(request, request.param, tmp_path)


@pytest.fixture
def database(request, tmp_path) -> str:
    """The URL of an empty database, of the engine that this run is for."""
    return empty_database(request, request.config.getoption("--engine"), tmp_path)


def empty_database(request, engine: str, folder: Path) -> str:
    if engine == "sqlite":
        return f"sqlite:///{folder}/central.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
async def store(url):
    """An open store over it."""
    opened = open_central_store(url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def make_clicks() -> Callable[..., list[Click]]:
    """Give *count* clicks numbered from *first*, a second apart from noon on."""

    def make(count: int, first: int = 0, **changes) -> list[Click]:
        return [
            Click(f"id-{n:06d}", "-----w", 0, "html", NOON + n * 1_000_000, None, None, "click")._replace(**changes)
            for n in range(first, first + count)
        ]

    return make


@pytest.fixture
def click() -> Callable[..., dict]:
    """Give one click as a router sends it, with *changes*; a value of `...` leaves the field out."""

    def make(click_id: str = "01a1ffaa-0000-7000-8000-000000000000", **changes) -> dict:
        record = {
            "id": click_id,
            "link_id": "-----w",
            "tenant": 0,
            "part": "html",
            "clicked_at": "2026-11-21T17:33:38.123456Z",
            "ip": "203.0.113.7",
            "user_agent": "Mozilla/5.0",
            "kind": "click",
        } | changes
        return {name: value for name, value in record.items() if value is not ...}

    return make


@pytest.fixture
def message() -> Callable[..., dict]:
    """Give one message as a sender posts it, with *changes*."""

    def make(message_id: str = "mail-1@example.com", link_ids: tuple[str, ...] = ("-----w",), **changes) -> dict:
        return {
            "message_id": message_id,
            "sent_at": "2026-11-21T12:00:00Z",
            "recipient": "reader@example.net",
            "tag": "november",
            "metadata": {"issue": "47"},
            "links": [
                {"link_id": link_id, "url": f"https://example.com/{link_id}", "part": "html", "position": n}
                for n, link_id in enumerate(link_ids)
            ],
        } | changes

    return make


class Centre:
    """A running centre over *store*: `router` and `sender` are clients with their tokens, `anyone` has none."""

    def __init__(self, port: int, store: CentralStore, clients: list[httpx.AsyncClient]) -> None:
        self.port, self.store = port, store
        self.router, self.sender, self.anyone = clients

    async def take(self, *clicks: dict, **more) -> httpx.Response:
        return await self.router.post("/v1/clicks", json={"router": "ams-blue-1", "clicks": list(clicks)} | more)

    async def stats(self, **query) -> dict:
        return (await self.sender.get("/v1/stats/clicks", params=query)).raise_for_status().json()

    async def ids(self, **query) -> list[str]:
        answer = await self.sender.get("/v1/clicks", params=query)
        return [found["id"] for found in answer.raise_for_status().json()["clicks"]]


@pytest.fixture
async def centre(database) -> AsyncIterator[Centre]:
    name = database.removeprefix("sqlite:///")
    is_file = name != database
    store = SqliteCentralStore(Path(name), lock_wait_s=0.2) if is_file else open_central_store(database)
    await store.open()
    try:
        async with AsyncExitStack() as stack:
            routes = with_document(central_routes(store), "central", __version__)
            app = create_app(Tokens.of((ROUTER_TOKEN,), (SENDER_TOKEN,)), routes)
            port = await stack.enter_async_context(serving(app, Address("127.0.0.1", 0)))
            clients = [
                await stack.enter_async_context(
                    # Nothing here speaks TLS, and reading the system's certificates takes longer than a test.
                    httpx.AsyncClient(
                        base_url=f"http://127.0.0.1:{port}",
                        headers=headers,
                        trust_env=False,
                        verify=False,
                        timeout=HANG_S,
                    )
                )
                for headers in (bearer(ROUTER_TOKEN), bearer(SENDER_TOKEN), {})
            ]
            yield Centre(port, store, clients)
    finally:
        await store.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}

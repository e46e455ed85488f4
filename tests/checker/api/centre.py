"""A centre that checks mails, on a real port over real stores, and what is asked of it."""

import json
from contextlib import asynccontextmanager

import httpx
from checker.servers import LOOPBACK
from processes import HANG_S

from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.processes.central import central_app, with_checks
from linkrouter.settings import Address, CentralSettings
from linkrouter.web.server import serving
from linkrouter.web.tokens import Tokens

ROUTER, SENDER = "router-token-0123456789", "sender-token-0123456789"


class Centre:
    """A running centre at `origin`; `sender`, `router` and `anyone` are clients with their tokens, or none."""

    def __init__(self, origin, sender, router, anyone):
        self.origin, self.sender, self.router, self.anyone = origin, sender, router, anyone

    async def post(self, **body):
        """Ask for a check."""
        return await self.sender.post("/v1/checks", json=body)

    async def check(self, **body):
        """Check to the end; gives the result."""
        begun = await self.post(**body)
        assert begun.status_code == 202, begun.text
        await self.events(begun.headers["Location"])
        return (await self.sender.get(begun.headers["Location"])).json()

    async def events(self, location, after=None):
        """Follow a check to its end; gives (id, name, data) of every event."""
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        async with self.sender.stream("GET", f"{location}/events", headers=headers) as stream:
            assert stream.status_code == 200
            return [event async for event in read_events(stream)]


async def read_events(stream):
    """Read server-sent events as a browser would; a comment gives None."""
    fields = {}
    async for line in stream.aiter_lines():
        if line == ":":
            yield None
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


@asynccontextmanager
async def checking_centre(folder, tokens=None, **settings):
    """Serve a centre with the check's *settings*; it may connect to the loopback unless they say otherwise."""
    database = folder / "central.db"
    config = CentralSettings(
        ingest_token_file=folder / "unused",
        api_token_file=folder / "unused",
        database=f"sqlite:///{database}",
        **{"allow_network": LOOPBACK} | settings,
    )
    store = SqliteCentralStore(database)
    await store.open()
    try:
        async with with_checks(config) as checks:
            tokens = tokens or Tokens.of((ROUTER,), (SENDER,))
            async with serving(central_app(store, tokens, checks), Address("127.0.0.1", 0)) as port:
                origin = f"http://127.0.0.1:{port}"
                async with client(origin, SENDER) as sender, client(origin, ROUTER) as router, client(origin) as anyone:
                    yield Centre(origin, sender, router, anyone)
    finally:
        await store.close()


def client(origin, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    # Nothing here speaks TLS, and reading the system's certificates takes longer than a test.
    return httpx.AsyncClient(base_url=origin, headers=headers, trust_env=False, verify=False, timeout=HANG_S)

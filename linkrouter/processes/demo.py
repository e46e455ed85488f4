"""Router, sync and central in one process, over a folder: what `linkrouter demo` runs."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from linkrouter.central.store.opening import open_central_store
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.central.webhooks.posting import Poster
from linkrouter.link.keyring import Keyring
from linkrouter.metrics import Metrics
from linkrouter.processes.central import central_app, with_checks
from linkrouter.processes.demo_history import add_history
from linkrouter.processes.router import serve_router
from linkrouter.processes.upkeep import open_insight, upkeep
from linkrouter.settings import Address, CentralSettings, RouterSettings
from linkrouter.web.server import serving
from linkrouter.web.tokens import Tokens

__all__ = ["demo_settings", "running_demo"]

LOOPBACK = "127.0.0.1"


def demo_settings(home: Path) -> tuple[RouterSettings, CentralSettings]:
    """Make keys and tokens in *home* where there are none, and find free ports."""
    keys, ingest, api = home / "keys.json", home / "ingest-token", home / "api-token"
    if not keys.exists():
        Keyring.create().save(keys)
    for file in (ingest, api):
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(32) + "\n")
    listen, admin, central = (Address(LOOPBACK, _free_port(port)) for port in (8080, 9080, 8090))
    return (
        RouterSettings(
            keys=keys,
            listen=listen,
            admin_listen=admin,
            click_store=f"sqlite:///{home.resolve() / 'spool'}",
            ingest_url=f"http://{central}",
            ingest_token_file=ingest,
            router_id="demo",
            drain_ms=0,
        ),
        CentralSettings(
            listen=central,
            database=f"sqlite:///{home.resolve() / 'central.db'}",
            ingest_token_file=ingest,
            api_token_file=api,
            settle_s=2.0,
            watch_days=0,  # a demo asks nobody on the Internet
        ),
    )


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError:
            probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running_demo(router: RouterSettings, central: CentralSettings, *, empty: bool = True) -> AsyncIterator[None]:
    """Run both until the block ends, the router first to stop so that central still takes its last clicks.

    A new database gets a history, unless it is to be *empty*.
    """
    store = open_central_store(central.database)
    await store.open()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        if not empty and not await store.latest_seq():
            await add_history(store, time.time_ns() // 1000)
        checks = await stack.enter_async_context(with_checks(central))
        tokens = Tokens.load(central.ingest_token_file, central.api_token_file)
        insight = await stack.enter_async_context(open_insight(central))
        delivery = WebhookDelivery(store, Poster(central.allow_network))
        await stack.enter_async_context(upkeep(store, insight, central, Metrics(), delivery))
        app = central_app(store, tokens, checks, insight, delivery=delivery)
        await stack.enter_async_context(serving(app, central.listen))
        stop, main = asyncio.Event(), asyncio.current_task()
        routing = asyncio.create_task(serve_router(router, stop=stop))
        routing.add_done_callback(lambda _: None if stop.is_set() or main is None else main.cancel())
        try:
            await _until_ready(router.listen)
            yield
        finally:
            stop.set()
            await routing


async def _until_ready(listen: Address) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(listen.host, listen.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

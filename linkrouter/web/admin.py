"""The admin port: `/metrics` in Prometheus's text format, and nothing that traffic can reach."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from linkrouter.errors import SettingsError
from linkrouter.metrics import Metrics
from linkrouter.settings import Address

__all__ = ["admin_port", "start_admin"]


async def start_admin(metrics: Metrics, host: str, port: int) -> web.AppRunner:
    """Serve *metrics* on *host* and *port*; `cleanup` the runner to stop.

    Raises:
        OSError: the address is taken or is not this machine's.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)

    async def show(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", show)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


@asynccontextmanager
async def admin_port(metrics: Metrics, listen: Address) -> AsyncIterator[None]:
    """Serve *metrics* on *listen* while the block runs.

    Raises:
        SettingsError: ADMIN_LISTEN cannot be listened on.
    """
    try:
        runner = await start_admin(metrics, listen.host, listen.port)
    except OSError as exc:
        raise SettingsError(
            f"ADMIN_LISTEN: cannot listen on {listen} ({os.strerror(exc.errno or 0)}); choose another address"
        ) from exc
    try:
        yield
    finally:
        await runner.cleanup()

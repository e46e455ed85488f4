"""The admin port: `/metrics` in Prometheus's text format, and nothing that traffic can reach."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from linkrouter.errors import SettingsError
from linkrouter.metrics import Metrics
from linkrouter.metrics.process import ProcessFigures
from linkrouter.metrics.shared import SharedMetrics
from linkrouter.settings import Address

__all__ = ["admin_port", "start_admin"]

LAG_INTERVAL_S = 0.25  # between two looks at how late the loop is


async def start_admin(
    metrics: Metrics, host: str, port: int, others: Callable[[], object] | None = None
) -> web.AppRunner:
    """Serve *metrics* on *host* and *port*; `cleanup` the runner to stop.

    *others* gives those of another process, as `pack_metrics` packed them.

    Raises:
        OSError: the address is taken or is not this machine's.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics if others is None else SharedMetrics(metrics, others))
    registry.register(ProcessFigures())

    async def show(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", show)
    app.cleanup_ctx.append(partial(_watch_lag, metrics))
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


async def _watch_lag(metrics: Metrics, _: web.Application) -> AsyncIterator[None]:
    """Note how late the loop comes to a timer: a request that arrives meanwhile waits as long."""
    lag = metrics.histogram("linkrouter_loop_lag_seconds")

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_at = loop.time() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            lag.observe(max(0.0, loop.time() - due_at))

    task = asyncio.create_task(watch())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

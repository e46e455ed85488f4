"""The admin port: `/metrics` in Prometheus's text format, and nothing that traffic can reach."""

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from linkrouter.metrics import Metrics

__all__ = ["start_admin"]


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

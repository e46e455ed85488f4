"""A bare aiohttp application that answers everything with one fixed 302: what a router on aiohttp would cost anyway."""

import asyncio
import sys

import uvloop
from aiohttp import web


async def answer(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "https://example.com/x"})


async def main() -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())

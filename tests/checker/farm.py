"""A farm of loopback web servers whose links have a known truth, for the tests and the benchmark.

`python farm.py PORT HOSTS LINKS [--no-hang]` serves it from a process of its own, until standard input closes. It
prints `{"links": [[url, truth, kind], …], "page": html}`, and for each line it reads how often each kind was requested;
the line `reset` starts the counts anew.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

BODY = b"<!doctype html><title>page</title>" + b"<p>words and words and words</p>" * 250  # about 8 KB

# kind: (share of 1,000, what a checker may say)
KINDS = {
    "ok": (800, {"fine"}),
    "notfound": (50, {"broken"}),
    "gone": (10, {"broken"}),
    "movedgone": (10, {"broken"}),
    "nohead": (40, {"fine"}),
    "chain": (40, {"fine"}),
    "limited": (20, {"fine"}),
    "hang": (20, {"broken", "unverifiable"}),
    "denied": (10, {"unverifiable"}),
}


def address_of(number):
    """Give the address of host *number*, which counts from 1."""
    return f"127.0.{1 + number // 250}.{number % 250}"


@dataclass
class Farm:
    """One server on several loopback addresses; `requests` counts by kind and method."""

    hosts: int = 20
    links: int = 1000
    hang: bool = True
    port: int = 0
    requests: Counter = field(default_factory=Counter)
    early: int = 0  # requests that came before the Retry-After of their link was over
    _limited: dict = field(default_factory=dict)
    _runner: web.AppRunner | None = None

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/{kind}/{number}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        for number in range(1, self.hosts + 1):
            site = web.TCPSite(self._runner, address_of(number), self.port, backlog=512)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    def truth(self):
        """Give (url, verdicts that are right, kind) for every link, shuffled the same way every time."""
        rows = []
        for kind, (share, right) in KINDS.items():
            for number in range(round(share * self.links / 1000)):
                host = address_of(len(rows) % self.hosts + 1)
                allowed = {"fine"} if kind == "hang" and not self.hang else right
                rows.append((f"http://{host}:{self.port}/{kind}/{number}", allowed, kind))
        random.Random(5).shuffle(rows)
        return rows

    def page(self):
        """Give the links as one HTML page."""
        links = "\n".join(f'<p><a href="{url}">link {number}</a></p>' for number, (url, *_) in enumerate(self.truth()))
        return f"<!doctype html><html><body>\n{links}\n</body></html>\n"

    async def _answer(self, request):
        kind, number = request.match_info["kind"], int(request.match_info["number"].split("-")[0])
        self.requests[kind, request.method] += 1
        match kind:
            case "notfound":
                raise web.HTTPNotFound
            case "gone":
                raise web.HTTPGone
            case "movedgone":
                raise web.HTTPMovedPermanently(f"/gone/{number}")
            case "nohead" if request.method == "HEAD":
                raise web.HTTPMethodNotAllowed("HEAD", ["GET"])
            case "chain":
                step = int((request.match_info["number"] + "-0").split("-")[1])
                if step < 3:
                    raise web.HTTPMovedPermanently(f"/chain/{number}-{step + 1}")
            case "limited" if not self._may_pass((request.host, number)):
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "hang" if self.hang:
                await asyncio.sleep(60)
            case "denied":
                return web.Response(status=999)
            case "ok":
                await asyncio.sleep(random.Random(number).uniform(0.005, 0.05))
        return web.Response(body=BODY, content_type="text/html")

    def _may_pass(self, link):
        now = time.monotonic()
        first = self._limited.setdefault(link, now)
        if now - first >= 1.0:
            return True
        if first != now:
            self.early += 1
        return False


async def _serve(port, hosts, links, hang):
    async with Farm(hosts, links, hang, port) as farm:
        rows = [(url, sorted(right), kind) for url, right, kind in farm.truth()]
        print(json.dumps({"links": rows, "page": farm.page()}), flush=True)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            counts = {f"{kind} {method}": n for (kind, method), n in farm.requests.items()}
            print(json.dumps({"requests": counts, "early": farm.early}), flush=True)
            if line.strip() == b"reset":
                farm.requests.clear()
                farm._limited.clear()
                farm.early = 0


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "--no-hang" not in sys.argv))

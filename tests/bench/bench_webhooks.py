"""What webhooks cost: events a second to an endpoint that answers at once, what ingest pays, what waiting costs.

    python tests/bench/bench_webhooks.py [--events 20000] [--clicks 60000] [--waiting 1000000]

Central runs on the first core and the endpoint on the last. CPU is the kernel's account of central, from the moment the
endpoint is made active: clicks are stored and labelled before. For ingest, batches of a thousand are posted one after
another to a central without and with ten endpoints that take every click, in turns; the ratio is of the best rounds,
since neighbours only take away.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import load

sys.path.insert(0, str(Path(__file__).parents[1]))
from processes import free_port

from linkrouter.central.store.opening import open_central_store
from linkrouter.clicks.click import Click, iso_utc

AGENT = load.HEADERS["User-Agent"]
NOON_US = 1_795_262_400_000_000
BATCH, ROUNDS, ENDPOINTS = 1000, 5, 10
DEAD = "http://127.0.0.1:9/hook"  # discard: nobody listens there


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--clicks", type=int, default=60_000)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    asked = parser.parse_args()
    with endpoint() as (url, count):
        measure_speed(url, count, asked.events)
        measure_ingest(url, asked.clicks)
    measure_waiting(asked.waiting)


def measure_speed(url: str, count: Callable[[], int], events: int) -> None:
    """Print how fast stored and labelled clicks leave."""
    with tempfile.TemporaryDirectory(prefix="bench-webhooks-") as scratch, central(Path(scratch)) as one:
        made = one.add(url)
        one.ask("PATCH", f"/v1/webhooks/{made}", {"state": "disabled"})
        one.post_clicks(0, events)
        one.wait_for_labels(events)
        before, began = load.cpu_s(one.pid), time.monotonic()
        seen = count()
        one.ask("PATCH", f"/v1/webhooks/{made}", {"state": "active"})
        while count() - seen < events:
            time.sleep(0.05)
        took_s, cpu_s = time.monotonic() - began, load.cpu_s(one.pid) - before
    print("| events | events/s | CPU per event | events per CPU second |\n|---:|---:|---:|---:|")
    print(f"| {events:,} | {events / took_s:,.0f} | {cpu_s / events * 1e6:.0f} µs | {events / cpu_s:,.0f} |\n")


def measure_ingest(url: str, clicks: int) -> None:
    """Print what ingest pays for ten endpoints."""
    rates: dict[int, list[float]] = {0: [], ENDPOINTS: []}
    for _ in range(ROUNDS):
        for endpoints, found in rates.items():
            with tempfile.TemporaryDirectory(prefix="bench-webhooks-") as scratch, central(Path(scratch)) as one:
                for _ in range(endpoints):
                    one.add(url)
                began = time.monotonic()
                one.post_clicks(0, clicks)
                found.append(clicks / (time.monotonic() - began))
    without, with_ten = (max(found) for found in rates.values())
    print("| endpoints | clicks/s | slower by |\n|---:|---:|---:|")
    print(f"| 0 | {without:,.0f} | |")
    print(f"| {ENDPOINTS} | {with_ten:,.0f} | {1 - with_ten / without:.0%} |\n")


def measure_waiting(events: int) -> None:
    """Print what events that nobody takes cost: beside the same database with the endpoint disabled."""
    with tempfile.TemporaryDirectory(prefix="bench-webhooks-") as scratch:
        home = Path(scratch)
        with central(home, settle_s="3600") as one:
            made = one.add(DEAD, settle=0)
            one.ask("PATCH", f"/v1/webhooks/{made}", {"state": "disabled"})
        bytes_before = size_of(home)
        asyncio.run(fill(home, events))
        bytes_after = size_of(home)
        resident = []
        for state in ("disabled", "active"):
            with central(home, settle_s="3600") as one:
                one.ask("PATCH", f"/v1/webhooks/{made}", {"state": state})
                time.sleep(15)
                resident.append(rss_mb(one.pid))
    each = (bytes_after - bytes_before) / events
    print("| waiting events | resident, endpoint disabled | active | disk for each click, which is the event |")
    print("|---:|---:|---:|---:|")
    print(f"| {events:,} | {resident[0]:.0f} MB | {resident[1]:.0f} MB | {each:.0f} B |")


async def fill(home: Path, count: int) -> None:
    store = open_central_store(f"sqlite:///{home}/central.db")
    await store.open()
    for first in range(0, count, 10_000):
        await store.add_clicks([a_click(number) for number in range(first, min(count, first + 10_000))])
    await store.close()


def a_click(number: int) -> Click:
    return Click(
        f"{number:032x}", f"{number:08d}AA"[-8:], 0, "html", NOON_US + number * 1000, "198.51.100.7", AGENT, "click"
    )


class Central:
    """A central that runs."""

    def __init__(self, home: Path, port: int, pid: int) -> None:
        self.home, self.pid = home, pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: object = None, token: str = "api-token") -> Any:
        headers = {"Authorization": f"Bearer {(self.home / token).read_text()}", "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {content}")
        return content

    def close(self) -> None:
        self._connection.close()

    def add(self, url: str, **more: object) -> str:
        made: str = self.ask("POST", "/v1/webhooks", {"url": url, "filters": {"robots": "include"}} | more)["id"]
        return made

    def post_clicks(self, first: int, count: int) -> None:
        for begin in range(first, first + count, BATCH):
            clicks = [a_click(number)._asdict() for number in range(begin, begin + BATCH)]
            for click in clicks:
                click["clicked_at"] = iso_utc(click["clicked_at"])
            self.ask("POST", "/v1/clicks", {"router": "bench", "clicks": clicks}, "ingest-token")

    def wait_for_labels(self, clicks: int) -> None:
        while self.ask("GET", "/v1/stats/clicks?robots=include")["unsettled"]:
            time.sleep(0.2)


@contextlib.contextmanager
def central(home: Path, settle_s: str = "0.5") -> Iterator[Central]:
    for name in ("ingest-token", "api-token"):
        if not (home / name).exists():
            (home / name).touch(mode=0o600)
            (home / name).write_text(f"{name}-{secrets.token_hex(16)}")
    port = free_port()
    options = ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0", "--settle-s", settle_s]
    options += ["--database", f"sqlite:///{home}/central.db", "--allow-network", "127.0.0.0/8"]
    options += ["--ingest-token-file", str(home / "ingest-token"), "--api-token-file", str(home / "api-token")]
    process = subprocess.Popen([*load.pinned(0), sys.executable, "-m", "linkrouter", "central", *options])
    try:
        one = Central(home, port, process.pid)
        for _ in range(400):
            try:
                one.ask("GET", "/-/ready")
                break
            except (OSError, http.client.HTTPException):
                one.close()
                time.sleep(0.05)
        yield one
        one.close()
    finally:
        process.terminate()
        process.wait(20)


class Answering(asyncio.Protocol):
    """Answers each request at once, and counts them."""

    def __init__(self, counted: Any) -> None:
        self.counted, self.data = counted, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(self.data) < end + 4 + size:
                return
            self.data = self.data[end + 4 + size :]
            self.counted.value += 1
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")  # type: ignore[attr-defined]


def answer(port: int, counted: Any) -> None:
    """Be an endpoint, on the last core."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Answering(counted), "127.0.0.1", port)
        await server.serve_forever()

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    asyncio.run(serve())


@contextlib.contextmanager
def endpoint() -> Iterator[tuple[str, Callable[[], int]]]:
    port, counted = free_port(), multiprocessing.Value("q", 0, lock=False)
    process = multiprocessing.get_context("fork").Process(target=answer, args=(port, counted), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{port}/hook", lambda: counted.value
    finally:
        process.terminate()
        process.join()


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def size_of(home: Path) -> int:
    return (home / "central.db").stat().st_size


if __name__ == "__main__":
    main()

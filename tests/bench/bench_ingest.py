"""How fast a backlog drains: from a full spool through sync into the centre, on SQLite at both ends.

    python tests/bench/bench_ingest.py [--clicks 200000]

Spool and sync run in a router process with nothing else to do, the centre in its own. CPU is the kernel's account of
both; hold it against a redirect's in bench_router.py to see that clicks leave faster than they can come.
"""

import argparse
import asyncio
import contextlib
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import load

sys.path.insert(0, str(Path(__file__).parents[1]))
from processes import free_port

from linkrouter.clicks.click import Click, mint_click_ids, write_click
from linkrouter.clicks.store import open_click_store
from linkrouter.link import Keyring

COMMAND = [sys.executable, "-m", "linkrouter"]
ROUTER_PORT = free_port(count=3)
ADMIN_PORT, CENTRAL_PORT = ROUTER_PORT + 1, ROUTER_PORT + 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clicks", type=int, default=200_000)
    count = parser.parse_args().clicks
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as scratch, contextlib.ExitStack() as stack:
        home = Path(scratch)
        make_home(home)
        asyncio.run(fill(home, count))
        centre = stack.enter_context(central(home))
        began, central_before = time.monotonic(), load.cpu_s(centre.pid)
        redirecting = stack.enter_context(router(home))
        while stored() < count:
            time.sleep(0.1)
        took_s = time.monotonic() - began
        router_s, central_s = load.cpu_s(redirecting.pid), load.cpu_s(centre.pid) - central_before
    each_us = 1e6 / count
    print("| drained | clicks/s | CPU per click, router | CPU per click, central | clicks per CPU second |")
    print("|---:|---:|---:|---:|---:|")
    print(
        f"| {count:,} | {count / took_s:,.0f} | {router_s * each_us:.1f} µs | {central_s * each_us:.1f} µs "
        f"| {count / (router_s + central_s):,.0f} |"
    )


def make_home(home: Path) -> Keyring:
    """Make keys and tokens in *home*, and give the keyring."""
    ring = Keyring.create()
    ring.save(home / "keys.json")
    for name in ("ingest-token", "api-token"):
        (home / name).touch(mode=0o600)
        (home / name).write_text(f"{name}-{secrets.token_hex(16)}")
    return ring


@contextlib.contextmanager
def central(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the centre on a database in *home*."""
    options = ["--listen", f"127.0.0.1:{CENTRAL_PORT}", "--database", f"sqlite:///{home}/central.db"]
    options += ["--ingest-token-file", str(home / "ingest-token"), "--api-token-file", str(home / "api-token")]
    with _started(load.behind_load(), "central", *options) as process:
        wait_for(f"http://127.0.0.1:{CENTRAL_PORT}/-/ready")
        yield process


@contextlib.contextmanager
def router(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a router with its spool in *home*, sending to the centre."""
    options = ["--keys", str(home / "keys.json"), "--click-store", f"sqlite:///{home}/spool"]
    options += ["--listen", f"127.0.0.1:{ROUTER_PORT}", "--admin-listen", f"127.0.0.1:{ADMIN_PORT}"]
    options += ["--ingest-url", f"http://127.0.0.1:{CENTRAL_PORT}", "--ingest-token-file", str(home / "ingest-token")]
    with _started(load.pinned(0), "router", *options) as process:
        yield process


async def fill(home: Path, count: int) -> None:
    """Write *count* clicks to a spool as a router would, and leave it."""
    store = open_click_store(f"sqlite:///{home}/spool")
    mint = mint_click_ids(secrets.token_bytes(8))
    await store.open()
    now_us = time.time_ns() // 1000 - count * 300
    for first in range(0, count, 1000):
        times = [now_us + number * 300 for number in range(first, min(count, first + 1000))]
        await store.append([_record(mint(time_us), time_us) for time_us in times])
    await store.close()


def _record(click_id: str, time_us: int) -> bytes:
    return write_click(
        Click(
            click_id, secrets.token_urlsafe(8), 0, "html", time_us, "198.51.100.7", load.HEADERS["User-Agent"], "click"
        )
    )


@contextlib.contextmanager
def _started(pin: list[str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*pin, *COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


def wait_for(url: str) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"no answer from {url}")


def stored() -> int:
    """Read from the router's metrics how many clicks the centre has taken."""
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{ADMIN_PORT}/metrics", timeout=1) as page,
    ):
        lines = page.read().decode().splitlines()
        taken = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("linkrouter_sync_clicks_total")]
        return int(sum(taken))
    return 0


if __name__ == "__main__":
    main()

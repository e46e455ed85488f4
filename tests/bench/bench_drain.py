"""A backlog drains while recipients click: what they feel of it.

    python tests/bench/bench_drain.py [--clicks 1000000] [--rps 3000]

An open loop clicks at a steady rate, first at a router with nothing to catch up on, then at one whose spool holds the
backlog. The second latency must stay under twice the first, and fresh clicks must reach the centre before the backlog
has. Wanted: h2load.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import bench_ingest as ingest
import load

from linkrouter.link import Keyring

BASELINE_S = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clicks", type=int, default=1_000_000)
    parser.add_argument("--rps", type=int, default=3000)
    options = parser.parse_args()
    if load.find_missing("h2load"):
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="bench-drain-") as scratch, contextlib.ExitStack() as stack:
        home = Path(scratch)
        ring = ingest.make_home(home)
        stack.enter_context(ingest.central(home))
        with ingest.router(home):
            _wait_for_router()
            quiet = _click(home, ring, options.rps, BASELINE_S)
            live = options.rps * BASELINE_S
        asyncio.run(ingest.fill(home, options.clicks))
        with ingest.router(home):
            _wait_for_router()
            began = time.monotonic()
            busy, rounds = [], 0
            while ingest.stored() < options.clicks:
                busy += _click(home, ring, options.rps, 2)
                rounds += 1
                if rounds > 300:
                    raise SystemExit("the backlog does not drain")
            took_s = time.monotonic() - began
    busy.sort()
    p50_ms, p99_ms = ([load.percentile(took, share) for took in (quiet, busy)] for share in (0.5, 0.99))
    print("| backlog | live clicks/s | drained in | p50 without / with | p99 without / with | ratio of p99 |")
    print("|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {options.clicks:,} | {options.rps:,} | {took_s:.0f} s | {p50_ms[0]:.2f} / {p50_ms[1]:.2f} ms "
        f"| {p99_ms[0]:.2f} / {p99_ms[1]:.2f} ms | {p99_ms[1] / p99_ms[0]:.2f} |"
    )
    print(f"({live:,} and {len(busy):,} live clicks, none refused)", file=sys.stderr)


def _click(home: Path, ring: Keyring, rps: int, seconds: int) -> list[float]:
    """Click at a steady rate and give the latencies in milliseconds."""
    paths = [ring.sign(url) for url in load.destinations()]
    return load.open_loop(f"http://127.0.0.1:{ingest.ROUTER_PORT}", home, paths, rps, seconds)


def _wait_for_router() -> None:
    ingest.wait_for(f"http://127.0.0.1:{ingest.ROUTER_PORT}/-/ready")


if __name__ == "__main__":
    main()

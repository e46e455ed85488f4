"""A backlog drains while recipients click: what they feel of it.

    python tests/bench/bench_drain.py [--clicks 1000000] [--rps 3000]

An open loop clicks at a steady rate, first at a router with nothing to catch up on, then at one whose spool holds the
backlog. The second latency must stay under twice the first, and fresh clicks must reach the centre before the backlog
has. Wanted: h2load.
"""

import argparse
import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_ingest as ingest

from linkrouter.link import Keyring

BASELINE_S = 10
CONNECTIONS = 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clicks", type=int, default=1_000_000)
    parser.add_argument("--rps", type=int, default=3000)
    options = parser.parse_args()
    if shutil.which("h2load") is None:
        sys.exit("h2load is not installed; run: apt-get install nghttp2-client")
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
    print("| backlog | live clicks/s | drained in | p50 without / with | p99 without / with | ratio of p99 |")
    print("|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {options.clicks:,} | {options.rps:,} | {took_s:.0f} s | {_at(quiet, 0.5):.2f} / {_at(busy, 0.5):.2f} ms "
        f"| {_at(quiet, 0.99):.2f} / {_at(busy, 0.99):.2f} ms | {_at(busy, 0.99) / _at(quiet, 0.99):.2f} |"
    )
    print(f"({live:,} and {len(busy):,} live clicks, none refused)", file=sys.stderr)


def _click(home: Path, ring: Keyring, rps: int, seconds: int) -> list[int]:
    """Click at a steady rate and give the latencies in microseconds."""
    uris, log = home / "uris.txt", home / "h2load.log"
    log.unlink(missing_ok=True)
    paths = [ring.sign(f"https://example.com/{number}?a=b") for number in range(500)]
    uris.write_text("\n".join(f"http://127.0.0.1:{ingest.ROUTER_PORT}{path}" for path in paths))
    per_client = rps // CONNECTIONS
    load = [
        "h2load",
        "--h1",
        f"-c{CONNECTIONS}",
        "-t1",
        f"--rps={per_client}",
        f"-n{per_client * CONNECTIONS * seconds}",
    ]
    subprocess.run([*load, f"--log-file={log}", "-i", str(uris)], check=True, capture_output=True, timeout=120)
    rows = [line.split() for line in log.read_text().splitlines()]
    refused = {row[1] for row in rows} - {"302"}
    if refused:
        raise SystemExit(f"some live clicks were answered with {refused}")
    return [int(row[2]) for row in rows]


def _at(took_us: list[int], share: float) -> float:
    return sorted(took_us)[int(len(took_us) * share)] / 1000


def _wait_for_router() -> None:
    ingest.wait_for(f"http://127.0.0.1:{ingest.ROUTER_PORT}/-/ready")


if __name__ == "__main__":
    main()

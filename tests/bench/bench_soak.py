"""Memory over time: what a router holds while it redirects ten million times, with spool, sync and centre running.

    python tests/bench/bench_soak.py [--millions 10]

After every ten seconds of redirects as fast as they go, and two in which each has a connection of its own, the load
waits until the router is at rest: what a closed connection leaves behind shows, too. Wanted: wrk.
"""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

import bench_ingest as ingest
import load

MILLION = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--millions", type=float, default=10)
    millions = parser.parse_args().millions
    if load.find_missing("wrk"):
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as scratch, contextlib.ExitStack() as stack:
        home = Path(scratch)
        ring = ingest.make_home(home)
        stack.enter_context(ingest.central(home))
        process = stack.enter_context(ingest.router(home))
        ingest.wait_for(f"http://127.0.0.1:{ingest.ROUTER_PORT}/-/ready")
        url = f"http://127.0.0.1:{ingest.ROUTER_PORT}"
        paths = [ring.sign(destination) for destination in load.destinations()]
        scripts = load.write_wrk_script(home, paths), load.write_wrk_script(home, paths, close=True)
        print("| redirects | resident | spool |")
        print("|---:|---:|---:|")
        done, shown = 0, 0
        while done < millions * MILLION:
            done += load.closed_loop(url, scripts[0], 10).answered
            done += load.closed_loop(url, scripts[1], 2).answered
            load.wait_for_rest(process.pid)
            if done // MILLION > shown:
                shown = done // MILLION
                print(f"| {done:,} | {_rss_mb(process.pid):.0f} MB | {_size_mb(home / 'spool'):.0f} MB |", flush=True)


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()

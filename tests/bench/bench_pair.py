"""What HAProxy with TLS adds to a redirect: a pair behind the shipped haproxy.cfg beside one router asked directly.

    PYTHONPATH=tests python tests/bench/bench_pair.py [--rounds 3] [--seconds 3] [--rate 500]

Clicks are spooled and sent to a centre, as in an installation. CPU is the kernel's account of HAProxy and of the
routers, per answered request; requests are a browser's, to 1,000 links. First as fast as a closed loop of 64
connections gets, then p99 at a fixed rate. Everything shares the machine. Wanted: haproxy, openssl, wrk, h2load.
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import load
from haproxy.machine import Machine, unit_of

from haproxy import starter


@dataclass
class Way:
    """One way to a redirect, and what was measured on it."""

    name: str
    url: str
    h2load: tuple[str, ...]  # its options for this way; without any, wrk closes every connection
    cpu_us: list[tuple[float, float]] = field(default_factory=list)  # HAProxy's and the routers'
    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    open_loop_p99_ms: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=500, help="requests a second of the open loop")
    options = parser.parse_args()
    if load.find_missing("haproxy", "openssl", "wrk", "h2load"):
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="bench-pair-") as scratch:
        machine = Machine(Path(scratch))
        try:
            machine.begin()
            _print_table(measure(machine, options.rounds, options.seconds, options.rate), options.rate)
        finally:
            machine.end()


def measure(machine: Machine, rounds: int, seconds: int, rate: int) -> list[Way]:
    """Measure every way in turn, *rounds* times."""
    front = f"https://127.0.0.1:{machine.ports['https']}"
    ways = [
        Way("one router, plain HTTP", f"http://127.0.0.1:{machine.ports['blue-1']}", ("--h1",)),
        Way("the pair, TLS, connections kept", front, ("--h1",)),
        Way("the pair, TLS, HTTP/2", front, ("--npn-list=h2",)),
        Way("the pair, TLS, a connection for each request", front, ()),
    ]
    paths = [machine.keyring.sign(url) for url in load.destinations()]
    for _ in range(rounds):
        for way in ways:
            _closed_loop(machine, way, paths, seconds)
            if way.h2load:
                _open_loop(machine, way, paths, rate, seconds)
    return ways


def _closed_loop(machine: Machine, way: Way, paths: list[str], seconds: int) -> None:
    proxy, routers = _spent(machine)
    if "h2" in "".join(way.h2load):
        took_ms = _h2load(machine, way, paths, f"-D{seconds}", f"-c{load.CONNECTIONS}")
        rate, p50_ms, p99_ms = len(took_ms) / seconds, load.percentile(took_ms, 0.5), load.percentile(took_ms, 0.99)
        answered = len(took_ms)
    else:
        script = load.write_wrk_script(machine.home, paths, close=not way.h2load)
        answered, rate, p50_ms, p99_ms = load.closed_loop(way.url, script, seconds)
    after = _spent(machine)
    way.rate.append(rate)
    way.p50_ms.append(p50_ms)
    way.p99_ms.append(p99_ms)
    way.cpu_us.append(((after[0] - proxy) / answered * 1e6, (after[1] - routers) / answered * 1e6))


def _open_loop(machine: Machine, way: Way, paths: list[str], rate: int, seconds: int) -> None:
    clients = 50
    each = rate // clients
    took_ms = _h2load(machine, way, paths, f"--rps={each}", f"-c{clients}", f"-n{each * clients * seconds}", "-r25")
    way.open_loop_p99_ms.append(load.percentile(took_ms, 0.99))


def _h2load(machine: Machine, way: Way, paths: list[str], *options: str) -> list[float]:
    sni = [f"--connect-to=127.0.0.1:{machine.ports['https']}"] if way.url.startswith("https") else []
    return load.h2load(way.url, machine.home, paths, *way.h2load, *sni, *options)


def _spent(machine: Machine) -> tuple[float, float]:
    """Give the CPU seconds that HAProxy, and the two routers, have used so far."""
    routers = [starter.find_pid(machine.home, unit_of(name)) for name in ("blue-1", "blue-2")]
    return load.cpu_s(machine.haproxy.pid), sum(load.cpu_s(pid) for pid in routers if pid)


def _print_table(ways: list[Way], rate: int) -> None:
    print(f"| way to a redirect | CPU HAProxy | CPU routers | requests/s | p50 | p99 | p99 at {rate}/s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for way in ways:
        proxy, routers = (statistics.median(values) for values in zip(*way.cpu_us, strict=True))
        at_rate = f"{statistics.median(way.open_loop_p99_ms):.1f} ms" if way.open_loop_p99_ms else "–"
        print(
            f"| {way.name} | {proxy:.0f} µs | {routers:.0f} µs | {statistics.median(way.rate):,.0f} "
            f"| {statistics.median(way.p50_ms):.1f} ms | {statistics.median(way.p99_ms):.1f} ms | {at_rate} |"
        )


if __name__ == "__main__":
    main()

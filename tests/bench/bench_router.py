"""What a redirect costs: CPU, rate and latency of routers and yardsticks, side by side in one run.

    python tests/bench/bench_router.py [--rounds 5] [--seconds 3]

Every server runs on one core and the load on another, where a ring's carrier is, too; each round visits every server in
turn, so that a noisy minute hits all of them, and the table gives medians. CPU is the kernel's account of the whole
process tree, with what comes after the load, per answered request. Requests are a browser's behind a proxy, to 1,000
different links. Wanted: wrk, nginx, go, haproxy, h2load.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import load

from linkrouter.link.keyring import Keyring, _tenant_key

sys.path.insert(0, str(Path(__file__).parents[1]))
from processes import free_port

HERE = Path(__file__).parent
OURS = "linkrouter, memory:"


@dataclass
class Server:
    """One server under load, and what was measured of it."""

    name: str
    command: list[str]
    port: int
    has_ring: bool = False
    process: subprocess.Popen[bytes] | None = None
    cpu_us: list[float] = field(default_factory=list)
    worker_cpu_us: list[float] = field(default_factory=list)  # without carrier and supervisor
    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    half_rate_p99_ms: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default="", help="only servers whose name holds this")
    options = parser.parse_args()
    missing = load.find_missing("wrk", "nginx", "go", "haproxy", "h2load")
    if "wrk" in missing:
        sys.exit(3)
    if "h2load" in missing:
        print("without h2load, the last two columns stay empty")
    with tempfile.TemporaryDirectory(prefix="bench-router-") as scratch, contextlib.ExitStack() as stack:
        home = Path(scratch)
        ring = Keyring.create()
        ring.save(home / "keys.json")
        paths = [ring.sign(url) for url in load.destinations()]
        central_port = stack.enter_context(_central(home))
        servers = [server for server in _servers(home, ring, central_port) if options.only in server.name]
        script = load.write_wrk_script(home, paths)
        with _all_started(servers, home):
            for _ in range(options.rounds):
                for server in servers:
                    _measure_full(server, script, options.seconds)
        ours = next((server for server in servers if server.name == OURS), servers[0])
        half = int(statistics.median(ours.rate) / 2)
        able = [server for server in servers if statistics.median(server.rate) > 1.3 * half]
        with _all_started(able, home):  # afresh: a store in memory has grown by now
            for _ in range(options.rounds if "h2load" not in missing else 0):
                for server in able:
                    _measure_half(server, home, paths, half, options.seconds)
        _print_table(servers, half)


def link_key(ring: Keyring) -> bytes:
    """Give the key that signs tenant 0's links (docs/wire-format.md)."""
    return _tenant_key(ring.keys[0].secret, 0, b"linkrouter link v2")


def _servers(home: Path, ring: Keyring, central_port: int) -> Iterator[Server]:
    if shutil.which("nginx"):
        port = free_port()
        (home / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {home}/nginx.pid; error_log stderr crit;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; keepalive_requests 1000000000;\n"
            f"  server {{ listen 127.0.0.1:{port}; return 302 https://example.com/x; }} }}\n"
        )
        yield Server("nginx, bare `return 302`", ["nginx", "-e", "stderr", "-c", str(home / "nginx.conf")], port)
    if shutil.which("haproxy"):
        port = free_port()
        (home / "haproxy.cfg").write_text(
            "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n"
            f"  timeout connect 1s\nfrontend f\n  bind 127.0.0.1:{port}\n"
            "  http-request redirect location https://example.com/x code 302\n"
        )
        yield Server("HAProxy, bare redirect", ["haproxy", "-f", str(home / "haproxy.cfg")], port)
    if shutil.which("go"):
        binary = home / "yardstick"
        environ = os.environ | {"GOCACHE": str(home / "go-cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
        subprocess.run(["go", "build", "-o", str(binary), str(HERE / "yardstick" / "main.go")], check=True, env=environ)
        key, port = link_key(ring).hex(), free_port()
        yield Server("Go net/http, same check", [str(binary), f"127.0.0.1:{port}", key], port)
    port = free_port()
    yield Server("aiohttp application, fixed 302", [sys.executable, str(HERE / "bare_aiohttp.py"), str(port)], port)
    router = [sys.executable, "-m", "linkrouter", "router", "--keys", str(home / "keys.json")]
    port = free_port(count=2)
    yield Server(OURS, [*router, *_ports(port), "--click-store", "memory:"], port)
    spool = ["--click-store", f"sqlite:///{home}/spool", "--ring", "off"]
    sync = ["--ingest-url", f"http://127.0.0.1:{central_port}", "--ingest-token-file", str(home / "ingest-token")]
    port = free_port(count=2)
    yield Server("linkrouter, SQLite spool + sync", [*router, *_ports(port), *spool, *sync], port)
    port = free_port(count=2)
    ring = ["--click-store", f"sqlite:///{home}/ring-spool", "--ring", "on", "--router-id", "ring"]
    yield Server("linkrouter, ring + SQLite spool + sync", [*router, *_ports(port), *ring, *sync], port, has_ring=True)
    ordinary = ["--click-store", "memory:", "--direct-answers", "off"]
    port = free_port(count=2)
    yield Server("linkrouter, memory:, no direct answers", [*router, *_ports(port), *ordinary], port)


def _ports(port: int) -> list[str]:
    return ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{port + 1}"]


@contextlib.contextmanager
def _central(home: Path) -> Iterator[int]:
    """Run central behind the load, where only the routers are measured, and give its port."""
    port = free_port()
    for name in ("ingest-token", "api-token"):
        (home / name).touch(mode=0o600)
        (home / name).write_text(f"{name}-{secrets.token_hex(16)}")
    command = [sys.executable, "-m", "linkrouter", "central", "--listen", f"127.0.0.1:{port}"]
    command += ["--database", f"sqlite:///{home}/central.db"]
    command += ["--ingest-token-file", str(home / "ingest-token"), "--api-token-file", str(home / "api-token")]
    with _started(Server("central", command, port), home, load.behind_load()):
        yield port


@contextlib.contextmanager
def _all_started(servers: list[Server], home: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(_started(server, home, [] if server.has_ring else load.pinned(0)))
        yield


@contextlib.contextmanager
def _started(server: Server, home: Path, pin: list[str]) -> Iterator[None]:
    environ = os.environ | {"GOMAXPROCS": "1"}
    with open(home / "servers.log", "ab") as log:
        server.process = subprocess.Popen([*pin, *server.command], env=environ, stdout=log, stderr=log)
    try:
        load.wait_for_port(server.port, server.process, home / "servers.log")
        if server.has_ring and load.pinned(0):
            for pid in load.tree(server.process.pid):
                core = "0" if pid == _worker_of(server) else str(load.load_core())
                subprocess.run(["taskset", "-a", "-p", "-c", core, str(pid)], check=True, stdout=subprocess.DEVNULL)
        yield
    finally:
        server.process.terminate()
        server.process.wait(15)


def _measure_full(server: Server, script: Path, seconds: int) -> None:
    """Measure *server* with a closed loop of 64 connections: CPU per request and the highest rate."""
    assert server.process is not None
    if server.process.poll() is not None:
        raise SystemExit(f"{server.name} ended with {server.process.returncode}")
    worker = _worker_of(server)
    before, worker_before = load.cpu_s(server.process.pid), load.cpu_s(worker)
    measured = load.closed_loop(f"http://127.0.0.1:{server.port}", script, seconds)
    load.wait_for_rest(server.process.pid)  # what comes after the load is part of the cost
    server.cpu_us.append((load.cpu_s(server.process.pid) - before) / measured.answered * 1e6)
    server.worker_cpu_us.append((load.cpu_s(worker) - worker_before) / measured.answered * 1e6)
    server.rate.append(measured.rate)
    server.p50_ms.append(measured.p50_ms)
    server.p99_ms.append(measured.p99_ms)


def _worker_of(server: Server) -> int:
    """Give the process of *server* that answers."""
    assert server.process is not None
    for pid in load.tree(server.process.pid) if server.has_ring else ():
        if b"\0--worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return server.process.pid


def _measure_half(server: Server, home: Path, paths: list[str], rate: int, seconds: int) -> None:
    """Measure *server* with an open loop of *rate* requests a second."""
    assert server.process is not None
    took_ms = load.open_loop(f"http://127.0.0.1:{server.port}", home, paths, rate, seconds)
    server.half_rate_p99_ms.append(load.percentile(took_ms, 0.99))
    load.wait_for_rest(server.process.pid)


def _print_table(servers: list[Server], half: int) -> None:
    yardstick = next((server for server in servers if server.name.startswith("Go")), servers[0])
    base = statistics.median(yardstick.cpu_us)
    first_p99_ms = statistics.median(servers[0].half_rate_p99_ms or [float("nan")])
    first = servers[0].name.partition(",")[0]
    print(f"\n| server | CPU per request | × Go | requests/s | p50 | p99 | p99 at {half:,} requests/s | × {first} |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for server in servers:
        cpu, rate = statistics.median(server.cpu_us), statistics.median(server.rate)
        at_half = "– | –"
        if server.half_rate_p99_ms:
            p99_ms = statistics.median(server.half_rate_p99_ms)
            at_half = f"{p99_ms:.3f} ms | {p99_ms / first_p99_ms:.2f}"
        print(
            f"| {server.name} | {cpu:.1f} µs | {cpu / base:.2f} | {rate:,.0f} "
            f"| {statistics.median(server.p50_ms):.2f} ms | {statistics.median(server.p99_ms):.2f} ms | {at_half} |"
        )
    memory = next((server for server in servers if server.name == OURS), None)
    for server in servers:
        if server.has_ring:
            worker = statistics.median(server.worker_cpu_us)
            beside = f", {worker / statistics.median(memory.cpu_us):.2f} × memory:" if memory else ""
            print(f"\nits worker alone: {worker:.1f} µs, {worker / base:.2f} × Go{beside}")
    print(
        json.dumps({server.name: [round(value, 1) for value in server.cpu_us] for server in servers}), file=sys.stderr
    )


if __name__ == "__main__":
    main()

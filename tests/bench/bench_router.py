"""What a redirect costs: CPU, rate and latency of routers and yardsticks, side by side in one run.

    python tests/bench/bench_router.py [--rounds 3] [--seconds 3]

Every server runs on one core and the load on another; each round visits every server in turn, so that a noisy minute
hits all of them, and the table gives medians. CPU is the kernel's account of the whole process tree, per answered
request. Requests are a browser's behind a proxy, to 1,000 different links. Wanted: wrk, nginx, go, haproxy, h2load.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from linkrouter.link.keyring import Keyring, _tenant_key

HERE = Path(__file__).parent
LINKS = 1000
CONNECTIONS = 64
STEADY_CONNECTIONS = 16  # what a proxy keeps open to a router; more, and the generator measures its own bursts
OURS = "linkrouter, memory:"
HEADERS = {
    "Host": "click.example.com",
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/139.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "X-Forwarded-For": "198.51.100.7",
}
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One server under load, and what was measured of it."""

    name: str
    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = None
    cpu_us: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    half_rate_p99_ms: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default="", help="only servers whose name holds this")
    options = parser.parse_args()
    missing = [tool for tool in ("wrk", "nginx", "go", "haproxy", "h2load") if shutil.which(tool) is None]
    if missing:
        print(f"not installed, so left out: {', '.join(missing)}")
        print("cure: apt-get install wrk nginx golang-go haproxy nghttp2-client")
    if "wrk" in missing:
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="bench-router-") as scratch, contextlib.ExitStack() as stack:
        home = Path(scratch)
        ring = Keyring.create()
        ring.save(home / "keys.json")
        paths = [ring.sign(url) for url in destinations()]
        stack.enter_context(_central(home))
        servers = [server for server in _servers(home, ring) if options.only in server.name]
        for server in servers:
            stack.enter_context(_started(server, home))
        script = write_wrk_script(home, paths)
        for _ in range(options.rounds):
            for server in servers:
                _measure_full(server, script, options.seconds)
        ours = next((server for server in servers if server.name == OURS), servers[0])
        half = int(statistics.median(ours.rate) / 2)
        if "h2load" not in missing:
            for _ in range(options.rounds):
                for server in servers:
                    if statistics.median(server.rate) > 1.3 * half:
                        _measure_half(server, home, paths, half, options.seconds)
        _print_table(servers, half)


def destinations() -> list[str]:
    """Give links as newsletters have them: most with a query, some short, some long."""
    shapes = (
        "https://www.example.com/news/2026/11/{n}-a-headline-of-some-length",
        "https://shop.example.com/product/{n}?utm_source=newsletter&utm_medium=email&utm_campaign=november",
        "https://example.org/r?u=https%3A%2F%2Fexample.net%2F{n}&x=1#top",
        "https://example.com/account/reset?token=eyJhbGciOiJIUzI1NiJ9.{n}.c2lnbmF0dXJl",
    )
    return [shapes[number % len(shapes)].format(n=number) for number in range(LINKS)]


def _servers(home: Path, ring: Keyring) -> Iterator[Server]:
    if shutil.which("nginx"):
        (home / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {home}/nginx.pid; error_log stderr crit;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; keepalive_requests 1000000000;\n"
            "  server { listen 127.0.0.1:18101; return 302 https://example.com/x; } }\n"
        )
        yield Server("nginx, bare `return 302`", ["nginx", "-e", "stderr", "-c", str(home / "nginx.conf")], 18101)
    if shutil.which("haproxy"):
        (home / "haproxy.cfg").write_text(
            "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n"
            "  timeout connect 1s\nfrontend f\n  bind 127.0.0.1:18102\n"
            "  http-request redirect location https://example.com/x code 302\n"
        )
        yield Server("HAProxy, bare redirect", ["haproxy", "-f", str(home / "haproxy.cfg")], 18102)
    if shutil.which("go"):
        binary = home / "yardstick"
        environ = os.environ | {"GOCACHE": str(home / "go-cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
        subprocess.run(["go", "build", "-o", str(binary), str(HERE / "yardstick" / "main.go")], check=True, env=environ)
        key = _tenant_key(ring.keys[0].secret, 0).hex()
        yield Server("Go net/http, same check", [str(binary), "127.0.0.1:18103", key], 18103)
    yield Server("aiohttp application, fixed 302", [sys.executable, str(HERE / "bare_aiohttp.py"), "18104"], 18104)
    router = [sys.executable, "-m", "linkrouter", "router", "--keys", str(home / "keys.json")]
    yield Server(OURS, [*router, *_ports(18105), "--click-store", "memory:"], 18105)
    spool = ["--click-store", f"sqlite:///{home}/spool"]
    sync = ["--ingest-url", "http://127.0.0.1:18190", "--ingest-token-file", str(home / "ingest-token")]
    yield Server("linkrouter, SQLite spool + sync", [*router, *_ports(18106), *spool, *sync], 18106)
    ordinary = ["--click-store", "memory:", "--direct-answers", "off"]
    yield Server("linkrouter, memory:, no direct answers", [*router, *_ports(18107), *ordinary], 18107)


def _ports(port: int) -> list[str]:
    return ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{port + 100}"]


@contextlib.contextmanager
def _central(home: Path) -> Iterator[None]:
    """Run the centre on the load's core: only the routers' own CPU is measured here."""
    for name in ("ingest-token", "api-token"):
        (home / name).touch(mode=0o600)
        (home / name).write_text("t" * 32)
    command = [sys.executable, "-m", "linkrouter", "central", "--listen", "127.0.0.1:18190"]
    command += ["--database", f"sqlite:///{home}/central.db"]
    command += ["--ingest-token-file", str(home / "ingest-token"), "--api-token-file", str(home / "api-token")]
    with _started(Server("central", command, 18190), home, core=1):
        yield


@contextlib.contextmanager
def _started(server: Server, home: Path, core: int = 0) -> Iterator[None]:
    pin = ["taskset", "-c", str(core)] if os.cpu_count() != 1 and shutil.which("taskset") else []
    environ = os.environ | {"GOMAXPROCS": "1"}
    with open(home / "servers.log", "ab") as log:
        server.process = subprocess.Popen([*pin, *server.command], env=environ, stdout=log, stderr=log)
    try:
        _wait_for(server.port)
        yield
    finally:
        server.process.terminate()
        server.process.wait(15)


def _wait_for(port: int) -> None:
    import socket

    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def write_wrk_script(home: Path, paths: list[str]) -> Path:
    headers = "".join(f"{name}: {value}\\r\\n" for name, value in HEADERS.items())
    requests = ",\n".join(f'"GET {path} HTTP/1.1\\r\\n{headers}\\r\\n"' for path in paths)
    script = home / "load.lua"
    script.write_text(
        f"local requests = {{\n{requests}\n}}\nlocal at = 0\n"
        "function request() at = at % #requests + 1; return requests[at] end\n"
    )
    return script


def _measure_full(server: Server, script: Path, seconds: int) -> None:
    """Measure *server* with a closed loop of 64 connections: CPU per request and the highest rate."""
    assert server.process is not None
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--latency", "-s", str(script)]
    before = _cpu_s(server.process.pid)
    printed = _on_core_1([*wrk, f"http://127.0.0.1:{server.port}"])
    spent = _cpu_s(server.process.pid) - before
    answered = int(_find(r"(\d+) requests in", printed))
    if "Non-2xx" in printed:
        raise SystemExit(f"{server.name} answered something else than a redirect")
    server.cpu_us.append(spent / answered * 1e6)
    server.rate.append(float(_find(r"Requests/sec:\s+([\d.]+)", printed)))
    server.p50_ms.append(_ms(_find(r"50%\s+([\d.]+[mu]?s)", printed)))
    server.p99_ms.append(_ms(_find(r"99%\s+([\d.]+[mu]?s)", printed)))


def _measure_half(server: Server, home: Path, paths: list[str], rate: int, seconds: int) -> None:
    """Measure *server* with an open loop of *rate* requests a second, spread evenly over time and connections."""
    per_client = max(1, rate // STEADY_CONNECTIONS)
    uris, log = home / "uris.txt", home / "h2load.log"
    log.unlink(missing_ok=True)
    uris.write_text("\n".join(f"http://127.0.0.1:{server.port}{path}" for path in paths))
    headers = [f"-H{name}: {value}" for name, value in HEADERS.items() if name != "Host"]
    load = [
        "h2load",
        "--h1",
        f"-c{STEADY_CONNECTIONS}",
        "-t1",
        f"--rps={per_client}",
        f"-n{per_client * STEADY_CONNECTIONS * seconds}",
    ]
    # One connection after the other, so that their clocks do not tick together.
    load += ["-r1", f"--rate-period={1000 / per_client / STEADY_CONNECTIONS + 1:.0f}ms"]
    _on_core_1([*load, *headers, f"--log-file={log}", "-i", str(uris)])
    took_us = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    server.half_rate_p99_ms.append(took_us[int(len(took_us) * 0.99)] / 1000)


def _on_core_1(command: list[str]) -> str:
    pin = ["taskset", "-c", "1"] if os.cpu_count() != 1 and shutil.which("taskset") else []
    return subprocess.run([*pin, *command], check=True, capture_output=True, text=True, timeout=120).stdout


def _cpu_s(pid: int) -> float:
    """Give the CPU seconds of *pid* and everything it started, dead children included."""
    total = 0.0
    for member in _tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(value) for value in fields[11:15]) / TICKS
    return total


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _tree(int(child)))]


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"the load generator did not print {pattern}")
    return match[1]


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([mu]?s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def _print_table(servers: list[Server], half: int) -> None:
    yardstick = next((server for server in servers if server.name.startswith("Go")), servers[0])
    base = statistics.median(yardstick.cpu_us)
    print(f"\n| server | CPU per request | × Go | requests/s | p50 | p99 | p99 at {half:,} requests/s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for server in servers:
        cpu, rate = statistics.median(server.cpu_us), statistics.median(server.rate)
        at_half = f"{statistics.median(server.half_rate_p99_ms):.2f} ms" if server.half_rate_p99_ms else "–"
        print(
            f"| {server.name} | {cpu:.1f} µs | {cpu / base:.2f} | {rate:,.0f} "
            f"| {statistics.median(server.p50_ms):.2f} ms | {statistics.median(server.p99_ms):.2f} ms | {at_half} |"
        )
    print(
        json.dumps({server.name: [round(value, 1) for value in server.cpu_us] for server in servers}), file=sys.stderr
    )


if __name__ == "__main__":
    main()

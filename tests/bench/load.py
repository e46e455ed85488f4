"""Load for benches: requests as recipients send them, generators that send them, and the kernel's account of CPU.

A closed loop (wrk) shows how fast a server gets, an open one (h2load) what its clients feel at a steady rate. Both run
on the last core where `taskset` is there, so that a server which is kept to the first has that to itself.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = 64
# h2load gives each connection its requests every 10 ms; ten, begun a millisecond apart, spread them evenly over time.
STEADY_CONNECTIONS = 10
LINKS = 1000
HEADERS = {
    "Host": "click.example.com",
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/139.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "X-Forwarded-For": "198.51.100.7",
}
PACKAGES = {"h2load": "nghttp2-client", "go": "golang-go"}
TICKS = os.sysconf("SC_CLK_TCK")


class Closed(NamedTuple):
    """What a closed loop measured."""

    answered: int
    rate: float  # a second
    p50_ms: float
    p99_ms: float


def find_missing(*tools: str) -> list[str]:
    """Give those of *tools* that are not installed, having said so and what to do."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(PACKAGES.get(tool, tool) for tool in missing)
        print(f"not installed: {', '.join(missing)}; run: apt-get install {packages}")
    return missing


def destinations() -> list[str]:
    """Give links as newsletters have them: most with a query, some short, some long."""
    shapes = (
        "https://www.example.com/news/2026/11/{n}-a-headline-of-some-length",
        "https://shop.example.com/product/{n}?utm_source=newsletter&utm_medium=email&utm_campaign=november",
        "https://example.org/r?u=https%3A%2F%2Fexample.net%2F{n}&x=1#top",
        "https://example.com/account/reset?token=eyJhbGciOiJIUzI1NiJ9.{n}.c2lnbmF0dXJl",
    )
    return [shapes[number % len(shapes)].format(n=number) for number in range(LINKS)]


def write_wrk_script(home: Path, paths: list[str], *, close: bool = False) -> Path:
    """Write what makes wrk ask for *paths* in turn, as a browser behind a proxy does; *close* after each answer."""
    fields = HEADERS | ({"Connection": "close"} if close else {})
    headers = "".join(f"{name}: {value}\\r\\n" for name, value in fields.items())
    requests = ",\n".join(f'"GET {path} HTTP/1.1\\r\\n{headers}\\r\\n"' for path in paths)
    script = home / ("close.lua" if close else "load.lua")
    script.write_text(
        f"local requests = {{\n{requests}\n}}\nlocal at = 0\n"
        "function request() at = at % #requests + 1; return requests[at] end\n"
    )
    return script


def closed_loop(url: str, script: Path, seconds: int) -> Closed:
    """Ask *url* for redirects as fast as 64 connections get them.

    Raises:
        SystemExit: something was not a redirect.
    """
    printed = _run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--latency", "-s", str(script), url])
    if "Non-2xx" in printed:
        raise SystemExit(f"{url} answered something else than redirects")
    return Closed(
        int(_find(r"(\d+) requests in", printed)),
        float(_find(r"Requests/sec:\s+([\d.]+)", printed)),
        _ms(_find(r"50%\s+([\d.]+[mu]?s)", printed)),
        _ms(_find(r"99%\s+([\d.]+[mu]?s)", printed)),
    )


def open_loop(url: str, home: Path, paths: list[str], rate: int, seconds: int) -> list[float]:
    """Ask *url* for redirects at a steady *rate* a second; give the latencies in milliseconds, sorted."""
    each = max(1, rate // STEADY_CONNECTIONS)
    options = [f"--rps={each}", f"-n{each * STEADY_CONNECTIONS * seconds}", "-r1", "--rate-period=1ms"]
    return h2load(url, home, paths, "--h1", f"-c{STEADY_CONNECTIONS}", *options)


def h2load(url: str, home: Path, paths: list[str], *options: str) -> list[float]:
    """Run h2load with *options*; give the latencies in milliseconds, sorted.

    Raises:
        SystemExit: something was not a redirect.
    """
    uris, log = home / "uris.txt", home / "h2load.log"
    log.unlink(missing_ok=True)
    uris.write_text("\n".join(f"{url}{path}" for path in paths))
    headers = [f"-H{name}: {value}" for name, value in HEADERS.items() if name != "Host"]
    _run(["h2load", "-t1", *options, *headers, f"--log-file={log}", "-i", str(uris)])
    rows = [line.split() for line in log.read_text().splitlines()]
    if not rows or {row[1] for row in rows} != {"302"}:
        raise SystemExit(f"{url} answered something else than redirects")
    return sorted(int(row[2]) / 1000 for row in rows)


def percentile(sorted_ms: list[float], share: float) -> float:
    """Give the latency that *share* of the requests did not exceed."""
    return sorted_ms[int(len(sorted_ms) * share)]


def pinned(core: int) -> list[str]:
    """Give what, before a command, keeps it to one core; nothing where that cannot be had."""
    return ["taskset", "-c", str(core)] if os.cpu_count() != 1 and shutil.which("taskset") else []


def behind_load() -> list[str]:
    """Give what, before a command, has it run on the load's core, and only when the load does not."""
    return [*pinned(load_core()), *(["chrt", "-i", "0"] if shutil.which("chrt") else [])]


def load_core() -> int:
    """Give the number of the core that the load runs on."""
    return (os.cpu_count() or 1) - 1


def cpu_s(pid: int) -> float:
    """Give the CPU seconds of *pid* and everything it started, dead children included."""
    total = 0.0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(value) for value in fields[11:15]) / TICKS
    return total


def wait_for_rest(pid: int) -> None:
    """Return once *pid* has nothing left to do that would slow down what is measured next."""
    before = cpu_s(pid)
    while True:
        time.sleep(0.5)
        spent, before = cpu_s(pid) - before, cpu_s(pid)
        if spent <= 2 / TICKS:
            return


def tree(pid: int) -> list[int]:
    """Give *pid* and everything it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in tree(int(child)))]


def wait_for_port(port: int, process: "subprocess.Popen[bytes] | None" = None, log: Path | None = None) -> None:
    """Return once something listens on *port* of the loopback: *process*, which writes to *log*.

    Raises:
        SystemExit: nothing does within half a minute, or *process* has ended.
    """
    for _ in range(600):
        if process is not None and process.poll() is not None:
            said = log.read_text(errors="replace")[-500:] if log else ""
            raise SystemExit(f"{process.args!r} ended with {process.returncode}: {said}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def _run(command: list[str]) -> str:
    command = [*pinned(load_core()), *command]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"the load generator did not print {pattern}")
    return match[1]


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([mu]?s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]

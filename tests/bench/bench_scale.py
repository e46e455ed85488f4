"""What a centre of many millions of clicks costs: ingest at its start and its end, each question, reads beside ingest.

    python tests/bench/bench_scale.py [--clicks 5000000] [--engines sqlite,postgresql] [--folder FOLDER]

200,000 clicks of made-up mailings are stored and labelled as central does it; the rest are copies of their rows, days
later each, made in bulk and held to the house's own counting. CPU is the kernel's account of the server's processes
(PostgreSQL) or of this one (SQLite, with central's own share in it); times are medians over five on this machine.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench_stats import CLICKS_A_DAY, DAY_US, INSIGHT, questions
from scale_data import BASE_CLICKS, assert_counted, scattered
from scale_engines import ENGINES, Engine

from linkrouter.central.statistics import break_down, count_totals
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import Message, Position
from linkrouter.central.store.sql.database import SqlConnection
from linkrouter.central.store.sql.registry import add_message_in
from linkrouter.clicks.click import Click

FIRST_CLICKS = 1_000_000  # where ingest is measured first
INGESTED = 20_000  # each time
BATCH = 1000
LOADED_S = 20.0
ROUNDS = 5
LONG_MS = 2000.0


@dataclass
class Cost:
    """What one click costs: microseconds of CPU, and bytes sent to the disk."""

    manifest_us: float
    storing_us: float
    labelling_us: float
    written: float
    written_manifest: float


@dataclass
class Measured:
    """What one engine did."""

    engine: str
    clicks: int
    disk_bytes: int
    first: Cost
    last: Cost
    answers: dict[str, tuple[float, float]]  # ms by the clock and of CPU
    reads_ms: list[float]  # beside ingest and the worst question, sorted
    ingested_beside: float  # clicks a second


async def measure(engine: Engine, clicks: int) -> Measured:
    """Fill *engine* with *clicks*, and measure."""
    begin_us = (time.time_ns() // 1000 - clicks * DAY_US // CLICKS_A_DAY) // DAY_US * DAY_US
    begin_s = time.monotonic()

    def say(what: str) -> None:
        print(f"{engine.name}: {what} after {time.monotonic() - begin_s:,.0f} s", file=sys.stderr, flush=True)

    await engine.start()
    messages, made = collect(BASE_CLICKS, begin_us, seed=1)
    await add_messages(engine, messages)
    await add_clicks(engine, made)
    base = {"clicks": len(made), "messages": len(messages)}
    say(f"{len(made):,} clicks stored and labelled")
    few, all_copies = min(FIRST_CLICKS, clicks) // BASE_CLICKS, clicks // BASE_CLICKS
    await engine.copy(1, few, base, begin_us)
    first = await ingest(engine, begin_us + few * BASE_CLICKS // CLICKS_A_DAY * DAY_US, seed=1_000_001)
    say("ingest measured")
    if all_copies > few:
        await engine.copy(few, all_copies, base, begin_us)
    say(f"{clicks:,} clicks copied")
    store = engine.store
    await assert_counted(store, begin_us + random.Random(clicks).randrange(all_copies) * 2 * DAY_US)
    end_us = begin_us + all_copies * BASE_CLICKS // CLICKS_A_DAY * DAY_US
    last = await ingest(engine, end_us, seed=1_000_002)
    say("ingest measured again")
    deep = Position((begin_us + end_us) // 2, "~")
    answers = {name: await ask(engine, question) for name, question in questions(store, end_us, deep)}
    say("questions asked")
    reads_ms, ingested = await read_under_load(engine, end_us)
    await store.holdings()
    return Measured(engine.name, clicks, engine.disk_bytes(), first, last, answers, reads_ms, ingested)


def collect(count: int, begin_us: int, seed: int) -> tuple[list[Message], list[Click]]:
    """Give mailings with their clicks in the order of time."""
    messages: list[Message] = []
    clicks: list[Click] = []
    for message, of_message in scattered(count, begin_us, seed):
        messages.append(message)
        clicks += of_message
    return messages, sorted(clicks, key=lambda click: click.clicked_at)


async def add_messages(engine: Engine, messages: list[Message]) -> None:
    """Add them, a hundred in a transaction."""
    for first in range(0, len(messages), 100):
        await engine.store.transact(partial(_add_messages_in, messages[first : first + 100]))


async def _add_messages_in(messages: list[Message], writer: SqlConnection) -> None:
    for message in messages:
        await add_message_in(writer, message)


async def add_clicks(engine: Engine, clicks: list[Click]) -> tuple[float, float]:
    """Add clicks in batches as routers do, and label each; give the CPU seconds of both."""
    storing = labelling = 0.0
    for first in range(0, len(clicks), BATCH):
        before = engine.server_cpu_s()
        await engine.store.add_clicks(clicks[first : first + BATCH])
        between = engine.server_cpu_s()
        latest = await engine.store.latest_seq()
        while await engine.store.label_next(INSIGHT, latest):
            pass
        storing += between - before
        labelling += engine.server_cpu_s() - between
    return storing, labelling


async def ingest(engine: Engine, begin_us: int, seed: int) -> Cost:
    """Take `INGESTED` clicks with their manifests; give what one cost."""
    messages, clicks = collect(INGESTED, begin_us, seed)
    await engine.settle()
    cpu_s, written = engine.server_cpu_s(), engine.written_bytes()
    await add_messages(engine, messages)
    manifest_s = engine.server_cpu_s() - cpu_s
    await engine.settle()
    between = engine.written_bytes()
    storing_s, labelling_s = await add_clicks(engine, clicks)
    await engine.settle()
    each = 1 / len(clicks)
    return Cost(
        *(seconds * each * 1e6 for seconds in (manifest_s, storing_s, labelling_s)),
        (engine.written_bytes() - between) * each,
        (between - written) * each,
    )


async def ask(engine: Engine, question: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Give the milliseconds that an answer takes by the clock, and those of CPU."""
    clock, cpu = [], []
    for _ in range(ROUNDS):
        began, spent = time.perf_counter(), engine.server_cpu_s()
        await question()
        clock.append((time.perf_counter() - began) * 1000)
        cpu.append((engine.server_cpu_s() - spent) * 1000)
        if clock[-1] > LONG_MS:
            break
    return statistics.median(clock), statistics.median(cpu)


async def read_under_load(engine: Engine, end_us: int) -> tuple[list[float], float]:
    """Give how long totals and first pages took while clicks came as fast as they are taken, and how fast they came.

    The question that looks at a million labels one by one is asked again and again meanwhile.
    """
    store, took, taken = engine.store, [], 0
    _, clicks = collect(INGESTED * 5, end_us, seed=1_000_003)
    plain = ClickFilter(robots="exclude")
    worst = replace(plain, browser="Firefox", country="DE", since=end_us - 10 * DAY_US, until=end_us)
    stop_at = time.monotonic() + LOADED_S

    async def take() -> None:
        nonlocal taken
        for first in range(0, len(clicks), BATCH):
            if time.monotonic() > stop_at:
                return
            await add_clicks(engine, clicks[first : first + BATCH])
            taken += BATCH

    async def ask_worst() -> None:
        while time.monotonic() < stop_at:
            await break_down(store, INSIGHT, worst, "os", 50)

    async def read() -> None:
        reads = (partial(count_totals, store, INSIGHT, plain), partial(store.find_clicks, ClickFilter(), None, 100))
        while time.monotonic() < stop_at:
            for one in reads:
                began = time.perf_counter()
                await one()
                took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.01)

    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for each in (take(), ask_worst(), read()):
            tasks.create_task(each)
    return sorted(took), taken / (time.monotonic() - began)


def print_all(found: list[Measured]) -> None:
    """Print the tables."""
    names = (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    model = next(names, "a processor unknown")
    print(f"{os.cpu_count()} cores of {model.strip()}\n")
    print("| a click | manifest, CPU | storing, CPU | labelling, CPU | written | written for manifests |")
    print("|---|---:|---:|---:|---:|---:|")
    for one in found:
        for size, cost in ((min(FIRST_CLICKS, one.clicks), one.first), (one.clicks, one.last)):
            print(
                f"| {one.engine}, {size / 1e6:g} M stored | {cost.manifest_us:.1f} µs | {cost.storing_us:.1f} µs "
                f"| {cost.labelling_us:.1f} µs | {cost.written / 1000:.1f} kB | {cost.written_manifest / 1000:.1f} kB |"
            )
    print(f"\n| question | {' | '.join(f'{one.engine}, clock | CPU' for one in found)} |")
    print(f"|---|{'---:|' * 2 * len(found)}")
    for name in found[0].answers:
        cells = " | ".join("{:.1f} ms | {:.1f} ms".format(*one.answers[name]) for one in found)
        print(f"| {name} | {cells} |")
    print("\n| beside full ingest and the worst question | reads | median | 99 of 100 | slowest | taken a second |")
    print("|---|---:|---:|---:|---:|---:|")
    for one in found:
        middle, late = (one.reads_ms[int(len(one.reads_ms) * share)] for share in (0.5, 0.99))
        print(
            f"| {one.engine} | {len(one.reads_ms):,} | {middle:.0f} ms | {late:.0f} ms | {one.reads_ms[-1]:.0f} ms "
            f"| {one.ingested_beside:,.0f} |"
        )
    print("\n| engine | clicks | on disk | a click, with its labels, manifests and indexes |\n|---|---:|---:|---:|")
    for one in found:
        print(
            f"| {one.engine} | {one.clicks:,} | {one.disk_bytes / 1e9:.1f} GB | {one.disk_bytes / one.clicks:.0f} B |"
        )


async def _run(names: list[str], clicks: int, folder: Path | None) -> None:
    found = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bench-scale-", dir=folder) as scratch:
            engine = ENGINES[name](Path(scratch))
            try:
                found.append(await measure(engine, clicks))
            finally:
                await engine.stop()
    print_all(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clicks", type=int, default=5_000_000, help="a million or more")
    parser.add_argument("--engines", default=",".join(ENGINES), help="which, joined by commas")
    parser.add_argument("--folder", type=Path, help="on a disk with room: some 1.5 kB a click")
    options = parser.parse_args()
    asyncio.run(_run(options.engines.split(","), max(options.clicks, FIRST_CLICKS), options.folder))


if __name__ == "__main__":
    main()

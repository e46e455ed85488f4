"""What clicks cost central after they came, and how soon it answers: ingest, labelling, statistics, pages of clicks.

    python tests/bench/bench_stats.py [--clicks 1000000]

The clicks are those of made-up mailings, 100,000 a day: people who click one to three links, a fifth of them behind
gateways that open all of them, each mail with its manifest. CPU is the kernel's account of this one process, so that
writing, labelling and asking are told apart; times of answers are medians over several, with no labelling beside them.
"""

import argparse
import asyncio
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from linkrouter.central.labels import Insight
from linkrouter.central.statistics import TooLarge, break_down, count_totals, find_series
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import Message, MessageLink, Position
from linkrouter.central.store.sql.database import SqlConnection
from linkrouter.central.store.sql.registry import add_message_in
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.clicks.click import Click
from linkrouter.link.codec import encode_base64url, varint

BATCH = 1000
CLICKS_A_DAY = 100_000
LINKS = 6
BEGIN_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000
INSIGHT = Insight()
BERLIN = ZoneInfo("Europe/Berlin")
SHAPES = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/{}.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Mobile Safari/537.36",
)
AGENTS = [shape.format(version) for shape in SHAPES for version in range(100, 160)]
RARE = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15 Epiphany/605"
)


def mailings(count: int, seed: int = 1, begin_us: int = BEGIN_US) -> Iterator[tuple[Message, list[Click]]]:
    """Give messages with their clicks until there are *count* clicks, in the order of time from *begin_us* on."""
    rng, made, number = random.Random(seed), 0, 0
    while made < count:
        number += 1
        sent_us = begin_us + made * DAY_US // CLICKS_A_DAY
        key = number.to_bytes(8, "big")
        ids = [encode_base64url(key + varint(position)) for position in range(LINKS)]
        address = f"{rng.choice((81, 92, 109, 187))}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        agent = RARE if rng.random() < 0.0001 else rng.choice(AGENTS)
        times: list[tuple[int, str, str, str]] = []
        if number % 5 == 0:
            times += [(n * 300_000, link_id, "192.0.2.77", AGENTS[7]) for n, link_id in enumerate(ids)]
        at_us = rng.randrange(60_000_000, 3_600_000_000)
        for link_id in rng.sample(ids, rng.choice((1, 1, 1, 2, 2, 3))):
            times.append((at_us, link_id, address, agent))
            at_us += rng.randrange(6_000_000, 60_000_000)
        clicks = [
            Click(f"{number:x}-{n}", link_id, 0, "html", sent_us + at, ip, name, "click")
            for n, (at, link_id, ip, name) in enumerate(times)
        ]
        links = tuple(
            MessageLink(link_id, f"https://example.com/{number // 20_000}/{n}", "html", n)
            for n, link_id in enumerate(ids)
        )
        tag = f"issue-{number // 20_000}"
        yield (
            Message(f"m{number}@example.com", key, 0, sent_us, f"r{number}@example.net", tag, {}, links),
            clicks,
        )
        made += len(clicks)


async def fill(
    store: SqliteCentralStore, count: int, *, label: bool, skip: int = 0, begin_us: int = BEGIN_US
) -> dict[str, float]:
    """Store *count* clicks as routers send them, behind the first *skip*; give the CPU of each share, µs a click."""
    spent = {"messages": 0.0, "clicks": 0.0, "labels": 0.0}
    messages: list[Message] = []
    batch: list[Click] = []
    stored = 0

    async def store_batch() -> None:
        nonlocal messages, batch, stored
        took = partial(_add_cpu, spent)
        await took("messages", _add_all(store, messages))
        await took("clicks", store.add_clicks(batch))
        stored += len(batch)
        messages, batch = [], []
        if label:
            await took("labels", _label(store))

    for message, clicks in mailings(skip + count, begin_us=begin_us):
        if skip > 0:
            skip -= len(clicks)
            continue
        messages.append(message)
        batch += clicks
        if len(batch) >= BATCH:
            await store_batch()
    await store_batch()
    return {name: cpu_s / stored * 1e6 for name, cpu_s in spent.items()}


async def _add_cpu(spent: dict[str, float], name: str, work: Awaitable[object]) -> None:
    before = _cpu_s()
    await work
    spent[name] += _cpu_s() - before


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _add_all(store: SqliteCentralStore, messages: list[Message]) -> None:
    async def add_all(writer: SqlConnection) -> None:
        for message in messages:
            await add_message_in(writer, message)

    await store.transact(add_all)


async def _label(store: SqliteCentralStore) -> None:
    latest = await store.latest_seq()
    while await store.label_next(INSIGHT, latest):
        pass


def questions(store: CentralStore, end_us: int, deep: Position) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    """Give each question, over clicks made until *end_us*; *deep* is where a late page begins."""
    plain = ClickFilter(robots="exclude")
    month = replace(plain, since=end_us - 30 * DAY_US, until=end_us)
    both = replace(plain, browser="Firefox", country="DE", since=end_us - 10 * DAY_US, until=end_us)
    page = partial(store.find_clicks, limit=100)
    return [
        ("totals", lambda: count_totals(store, INSIGHT, plain)),
        ("totals of one tag", lambda: count_totals(store, INSIGHT, replace(plain, tag="issue-0"))),
        ("totals of 30 days and one browser", lambda: count_totals(store, INSIGHT, replace(month, browser="Firefox"))),
        ("series by day, in Berlin", lambda: find_series(store, INSIGHT, plain, "day", BERLIN)),
        ("series by hour, 30 days", lambda: find_series(store, INSIGHT, month, "hour", BERLIN)),
        *(
            (f"by {dimension}", partial(break_down, store, INSIGHT, plain, dimension, 50))
            for dimension in ("part", "browser", "os", "platform", "country", "tag", "url", "robot_reason")
        ),
        ("browser and country, a million clicks", lambda: break_down(store, INSIGHT, both, "os", 50)),
        ("first page of clicks", lambda: page(ClickFilter(), None)),
        ("a late page of clicks", lambda: page(ClickFilter(), deep)),
        *(
            (f"first page, {name}={value[:12]}", partial(page, replace(ClickFilter(), **{name: value}), None))
            for name, value in (
                ("tag", "issue-0"),
                ("tag", "nobody's"),
                ("recipient", "r17@example.net"),
                ("message_id", "m17@example.com"),
                ("url", "https://example.com/0/1"),
                ("url", "https://nowhere.example/"),
                ("part", "text"),
                ("browser", "Epiphany"),
                ("browser", "Netscape"),
                ("country", "AQ"),
                ("os", "iOS"),
                ("platform", "tablet"),
                ("robots", "only"),
            )
        ),
    ]


async def ask_all(store: SqliteCentralStore, count: int) -> list[tuple[str, float]]:
    """Give each question with the median time of its answer, in ms."""
    deep = await _position_of_page(store, min(1000, count // 200))
    asked = questions(store, BEGIN_US + count * DAY_US // CLICKS_A_DAY, deep)
    return [(name, await _median_ms(question)) for name, question in asked]


async def _position_of_page(store: SqliteCentralStore, number: int) -> Position:
    at: Position | None = None
    for _ in range(number // 10):
        found = await store.find_clicks(ClickFilter(), at, 1000)
        at = Position(found[-1].click.clicked_at, found[-1].click.id)
    assert at is not None
    return at


async def _median_ms(question: Callable[[], Awaitable[object]]) -> float:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        answer = await question()
        took.append((time.perf_counter() - began) * 1000)
        assert not isinstance(answer, TooLarge)
        if took[-1] > 2000:
            break
    return statistics.median(took)


async def _run(home: Path, count: int) -> None:
    small = SqliteCentralStore(home / "small.db")
    await small.open()
    await fill(small, 5000, label=True)  # compiles what is compiled once
    await small.close()
    table = SqliteCentralStore(home / "central.db")
    await table.open()
    first = await fill(table, count // 10, label=True)
    rest = await fill(table, count - count // 10, label=True, skip=count // 10)
    print("| stored so far | manifest, per click | storing | labelling | both ÷ storing |")
    print("|---:|---:|---:|---:|---:|")
    for stored, spent in ((count // 10, first), (count, rest)):
        both = spent["clicks"] + spent["labels"]
        print(
            f"| {stored:,} | {spent['messages']:.1f} µs | {spent['clicks']:.1f} µs | {spent['labels']:.1f} µs "
            f"| {both / spent['clicks']:.2f} |"
        )
    print(f"\n| question, of {count:,} clicks ({table.size() / 1e6:,.0f} MB) | median |")
    print("|---|---:|")
    for name, took_ms in await ask_all(table, count):
        print(f"| {name} | {took_ms:.1f} ms |")
    await table.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clicks", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-stats-") as scratch:
        asyncio.run(_run(Path(scratch), options.clicks))


if __name__ == "__main__":
    main()

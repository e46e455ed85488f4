"""What a page of the dashboard costs: time of the server, and bytes over the wire, with millions of clicks stored.

    python tests/bench/bench_pages.py [--clicks 1000000] [--database FILE]

The clicks are those of `bench_stats`, 100,000 a day up to now; half a million are stored and labelled one by one, and
their rows copied to the days after, which takes minutes instead of hours. Times are those between a request and the
last byte of its answer on this machine, medians over five. FILE is made when it is not there, and kept.

Frames are those of Chromium, where it is installed, while the pointer moves over a chart of 2,000 points and drags.
"""

import argparse
import asyncio
import gzip
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin

sys.path.insert(0, str(Path(__file__).parents[1]))
import httpx
from bench_stats import CLICKS_A_DAY, DAY_US, fill
from checker.api.browser import ARGUMENTS, CHROMIUM

from linkrouter.central.store.questions import MessageFilter
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.checker.api.page import page_files
from linkrouter.processes.central import Checks, central_app
from linkrouter.settings import Address
from linkrouter.web.server import serving
from linkrouter.web.tokens import ADMIN, Tokens

BASE_CLICKS = 500_000  # five days
COPIES = (  # of the rows of the base, :n times :days later; *seq* and *message* go on where the base ends
    "INSERT INTO messages SELECT seq + :n * :messages, :n || message_id, tenant, digest, sent_at + :later, "
    ":n || recipient, tag, metadata, message_key, withheld FROM messages WHERE seq <= :messages",
    "INSERT INTO links SELECT link_id || :n, tenant, message + :n * :messages, url, part, position, trap "
    "FROM links WHERE message <= :messages",
    "INSERT INTO clicks SELECT seq + :n * :clicks, id || '.' || :n, link_id || :n, tenant, part, clicked_at + :later, "
    "ip, user_agent, kind, takeback FROM clicks WHERE seq <= :clicks",
    "INSERT INTO labels SELECT seq + :n * :clicks, tenant, clicked_at + :later, "
    "CASE WHEN message > 0 THEN message + :n * :messages ELSE message END, tag, part, kind, browser, os, platform, "
    "country, region, city, url, robot, reason, reasons, version, is_first FROM labels WHERE seq <= :clicks",
    "INSERT INTO firsts SELECT link_id || :n, tenant, clicked_at + :later, seq + :n * :clicks "
    "FROM firsts WHERE seq <= :clicks",
    "INSERT INTO roll_ups SELECT tenant, tag, dimension, span, bucket + :later / 1000000, value, part, robot, clicks, "
    "uniques FROM base_roll_ups WHERE true ON CONFLICT DO UPDATE SET clicks = clicks + excluded.clicks, "
    "uniques = uniques + excluded.uniques",
    "UPDATE progress SET seq = (SELECT max(seq) FROM clicks) WHERE name = 'labelled'",
)


async def build(file: Path, count: int) -> None:
    """Make a database of *count* clicks, the last of them made a minute ago."""
    base = min(count, BASE_CLICKS)
    begin_us = time.time_ns() // 1000 - count * DAY_US // CLICKS_A_DAY - 60_000_000
    store = SqliteCentralStore(file)
    await store.open()
    began = time.perf_counter()
    await fill(store, base, label=True, begin_us=begin_us)
    await store.close()
    print(f"{base:,} clicks were stored and labelled in {time.perf_counter() - began:,.0f} s")
    began = time.perf_counter()
    _copy(file, count // base, base * DAY_US // CLICKS_A_DAY)
    print(f"and copied to {count // base} times as many in {time.perf_counter() - began:,.0f} s")


def _copy(file: Path, times: int, later_us: int) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TEMP TABLE base_roll_ups AS SELECT * FROM roll_ups")
        counts = {
            "clicks": connection.execute("SELECT max(seq) FROM clicks").fetchone()[0],
            "messages": connection.execute("SELECT max(seq) FROM messages").fetchone()[0],
        }
        for n in range(1, times):
            for statement in COPIES:
                connection.execute(statement, counts | {"n": n, "later": n * later_us})
            connection.commit()
        newest = "(SELECT max(seq) FROM messages)"
        connection.execute(
            f"INSERT INTO htmls VALUES ({newest}, ?)", ["<p>" + "<a href=https://example.com>A link</a> " * 6]
        )
        connection.commit()


TOKEN = "bench-token-0123456789"
PAGES = {
    "overview, 30 days": "/dashboard",
    "overview, 90 days, compared": "/dashboard?period=90d&compare=1",
    "overview, all": "/dashboard?period=all",
    "overview, today by hour": "/dashboard?period=today&interval=hour",
    "overview, one tag": "/dashboard?period=90d&tag=issue-0",
    "overview, one browser": "/dashboard?period=30d&browser=Firefox",
    "its figures, counted one by one": "/dashboard?period=30d&browser=Firefox&whole=1",
    "overview, browser and platform": "/dashboard?period=30d&browser=Firefox&platform=desktop",
    "their figures, counted one by one": "/dashboard?period=30d&browser=Firefox&platform=desktop&whole=1",
    "messages": "/dashboard/messages",
    "messages of a tag": "/dashboard/messages?tag=issue-0",
    "one message": "/dashboard/message?id={message}",
    "its mail": "/dashboard/mail?id={message}",
    "live": "/dashboard/live",
    "routers": "/dashboard/routers",
    "losses": "/dashboard/losses",
    "take-backs": "/dashboard/take-backs",
    "people's rights": "/dashboard/people",
    "check": "/check",
}
LOADED = re.compile(r'(?:src|href)="(/(?:dashboard/static|check)/[^"]+)"')
IMPORTED = re.compile(r'from "([^"]+)"|^import "([^"]+)"', re.MULTILINE)
ROUNDS = 5
CHART_DAYS = 84  # 2,016 hours
LATE_MS = 25.0  # a frame was missed at 60 a second
NOTE_FRAMES = """
window.passed = [];
let last = 0;
const note = (now) => { if (last) passed.push(now - last); last = now; requestAnimationFrame(note); };
requestAnimationFrame(note);
"""


async def measure(file: Path) -> None:
    """Print what each page costs."""
    store = SqliteCentralStore(file)
    await store.open()
    [newest] = await store.find_messages(MessageFilter(), None, 1)
    app = central_app(store, Tokens.of_callers({TOKEN: ADMIN}), Checks(files=page_files()))
    async with serving(app, Address("127.0.0.1", 0)) as port, _client(port) as client:
        await client.post("/sign-in", data={"token": TOKEN})
        print(
            f"\n| page, {await store.latest_seq():,} clicks ({store.size() / 1e9:.1f} GB) | server | page | with all |"
        )
        print("|---|---:|---:|---:|")
        for name, path in PAGES.items():
            took_ms, page = await _time(client, path.format(message=newest.message_id))
            loaded = await _loaded(client, page)
            rest = sum(map(len, loaded.values()))
            print(f"| {name} | {took_ms:,.0f} ms | {len(page) / 1000:.0f} kB | {(len(page) + rest) / 1000:.0f} kB |")
        await _print_scripts(client)
        if CHROMIUM is not None:
            await _print_frames(f"http://127.0.0.1:{port}")
    await store.close()


def _client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120)


async def _time(client: httpx.AsyncClient, path: str) -> tuple[float, bytes]:
    took: list[float] = []
    while len(took) < ROUNDS and sum(took) < 10_000:
        began = time.perf_counter()
        answer = await client.get(path)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, (path, answer.status_code)
    return statistics.median(took), answer.content


async def _loaded(client: httpx.AsyncClient, page: bytes) -> dict[str, bytes]:
    """Give what *page* loads, and what that imports."""
    wanted, loaded = list(LOADED.findall(page.decode())), {}
    while wanted:
        path = wanted.pop()
        if path not in loaded and "." in path:
            loaded[path] = (await client.get(path)).content
            if path.endswith(".js") and "uPlot" not in path:
                found = [one or other for one, other in IMPORTED.findall(loaded[path].decode())]
                wanted += [urljoin(path, name) for name in found]
    return loaded


async def _print_scripts(client: httpx.AsyncClient) -> None:
    print("\n| scripts of | plain | gzip |\n|---|---:|---:|")
    for name in ("overview, 30 days", "check"):
        loaded = await _loaded(client, (await client.get(PAGES[name])).content)
        own = b"".join(text for path, text in loaded.items() if path.endswith(".js") and "uPlot" not in path)
        print(f"| {name}, without uPlot | {len(own) / 1000:.1f} kB | {len(gzip.compress(own)) / 1000:.1f} kB |")


async def _print_frames(origin: str) -> None:
    from playwright.async_api import async_playwright

    first = datetime.now(UTC).date() - timedelta(days=CHART_DAYS - 1)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1280, "height": 900}, timezone_id="UTC")
        await page.goto(f"{origin}/sign-in")
        await page.fill("#token", TOKEN)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#chart .u-over")
        await page.goto(f"{origin}/dashboard?since={first}&interval=hour")
        await page.wait_for_selector("#chart .u-over")
        points = await page.locator("#series tbody tr").count()
        box = await page.locator("#chart .u-over").bounding_box()
        left, top, width = box["x"] + 5, box["y"] + 50, box["width"] - 10
        for name, is_pressed in (("hovering", False), ("dragging", True)):
            await page.mouse.move(left, top)
            if is_pressed:
                await page.mouse.down()
            await page.evaluate(NOTE_FRAMES)
            await page.mouse.move(left + width, top + 60, steps=300)
            frames = sorted(await page.evaluate("passed"))
            late = sum(frame > LATE_MS for frame in frames)
            print(
                f"\n{name} over {points:,} points: {len(frames)} frames, median {statistics.median(frames):.1f} ms, "
                f"99 in a hundred within {frames[len(frames) * 99 // 100]:.1f} ms, {late} late"
            )
        await browser.close()


async def _run(file: Path, count: int) -> None:
    if not await asyncio.to_thread(file.exists):
        await build(file, count)
    await measure(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as scratch:
        asyncio.run(_run(options.database or Path(scratch) / "central.db", options.clicks))


if __name__ == "__main__":
    main()

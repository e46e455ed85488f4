"""What a click costs the router in each click store: appended in commits, and handed out and acknowledged in batches.

    python tests/bench/bench_stores.py [--rounds N] [--clicks N]

Everything is measured in the same run, in interleaved rounds, in CPU time of this process (a broker's own is not in
it); the figures are the least, since neighbours only add. Brokers that are not installed are left out.
"""

import argparse
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import uvloop
from _pytest.outcomes import Skipped

sys.path.insert(0, str(Path(__file__).parents[1]))

from brokers import start_postgres, start_redis

from linkrouter.clicks import open_click_store
from linkrouter.clicks.click import Click, write_click

COMMITS = {"50 clicks a commit": 50, "1,000 clicks a commit": 1000}
BATCH = 1000


def make_records(count: int) -> list[bytes]:
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
    return [
        write_click(
            Click(
                str(uuid.uuid4()),
                "AAAAAAAAAAAB",
                0,
                "html",
                1_795_262_400_000_000 + number,
                "203.0.113.7",
                agent,
                "click",
            )
        )
        for number in range(count)
    ]


async def measure(url: str, records: list[bytes], commit: int) -> tuple[float, float]:
    """Give CPU microseconds a click of appending *records* in commits, and of handing them out."""
    store = open_click_store(url)
    await store.open()
    began = time.process_time()
    for first in range(0, len(records), commit):
        await store.append(records[first : first + commit])
    appended = time.process_time()
    while batch := await store.next_batch(BATCH):
        await store.ack(batch)
    drained = time.process_time()
    await store.close()
    return (appended - began) / len(records) * 1e6, (drained - appended) / len(records) * 1e6


def find_stores(stack: ExitStack) -> dict[str, str]:
    """Start what is installed; give the URL of each store, with a place for a fresh word."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=".")))
    urls = {"sqlite": f"sqlite:///{folder.resolve()}/{{}}"}
    for name, start in (("redis", lambda: start_redis(folder)), ("postgresql", start_postgres)):
        try:
            server = start()
        except Skipped as exc:
            print(f"{name}: {exc}")
            continue
        stack.callback(server.stop)
        place = "postgres@127.0.0.1:{}/postgres" if name == "postgresql" else "127.0.0.1:{}"
        urls[name] = f"{name}://{place.format(server.port)}?prefix={{}}"
    return urls


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=10_000)
    asked = parser.parse_args()
    records = make_records(asked.clicks)
    with ExitStack() as stack:
        urls = find_stores(stack)
        print(f"{'CPU µs a click':<24}{'append':>18}{'hand out, acknowledge':>26}")
        for label, commit in COMMITS.items():
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in urls}
            for _ in range(asked.rounds):
                for name, url in urls.items():
                    found[name].append(uvloop.run(measure(url.format(f"s{uuid.uuid4().hex[:8]}"), records, commit)))
            least = {name: [min(values) for values in zip(*pairs, strict=True)] for name, pairs in found.items()}
            for name, (append, drain) in least.items():
                cells = [
                    f"{value:.2f} ({value / base:.1f} ×)"
                    for value, base in zip((append, drain), least["sqlite"], strict=True)
                ]
                print(f"{name + ', ' + label.partition(' ')[0]:<24}{cells[0]:>18}{cells[1]:>26}")


if __name__ == "__main__":
    main()

"""What take-backs add to a redirect (verification, answer, click; no HTTP), and what a flood of them takes to load.

    python tests/bench/bench_take_backs.py [--rounds N] [--rules N]

Everything is measured in the same run, in interleaved rounds, in CPU time; the figures are the least, since neighbours
only add.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from multidict import CIMultiDict, CIMultiDictProxy

from linkrouter.clicks.click import mint_click_ids
from linkrouter.link import Keyring
from linkrouter.link.takeback import match_destination, match_link, match_message, sign_take_back
from linkrouter.link.takeback_table import TakeBacks
from linkrouter.metrics import Metrics
from linkrouter.router import RequestPolicy, Responder
from linkrouter.router.decide import Peer
from linkrouter.router.domains import Domains
from linkrouter.router.rule_file import ListPage, RuleFile
from linkrouter.router.take_backs import TakeBackList

CALLS, RULES_IN_FORCE, PAGE = 500, 10_000, 1000
URL = "https://www.example.com/offers/2?utm_source=newsletter&utm_medium=email&utm_campaign=week-2"
HEADERS = CIMultiDictProxy(
    CIMultiDict({"Host": "click.example.com", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "X-Forwarded-For": "a"})
)
MATCHES: dict[str, Callable[[Keyring, int], str]] = {
    "link": lambda _, number: match_link(number.to_bytes(9, "big")),
    "message": lambda _, number: match_message(number.to_bytes(8, "big")),
    "destination": lambda ring, number: match_destination(ring, f"https://example.org/{number}"),
}


def responder(ring: Keyring, kind: str) -> Responder:
    """Give a responder with rules of *kind* in force, none of which is for the link that is asked for."""
    made = Responder(
        open_link=ring.open,
        record=lambda clicks: None,
        is_ready=lambda: True,
        metrics=Metrics(),
        mint_id=mint_click_ids(bytes(8)),
        policy=RequestPolicy(()),
    )
    if kind == "domains":
        made.domains = Domains({f"links-{number}.example": number for number in range(1, RULES_IN_FORCE)}, {})
    elif kind != "none":
        table = TakeBacks(ring)
        for number in range(RULES_IN_FORCE):
            table.add(sign_take_back(ring, match=MATCHES[kind](ring, number), action="stop", made_at=1))
        made.find_rule = table.find
    return made


def measure(rounds: int) -> dict[str, float]:
    """Give the least CPU time of one redirect in microseconds, by the kind of rules in force."""
    ring = Keyring.create()
    path, peer = ring.sign(URL, link_id=b"unmatched"), Peer("127.0.0.1", False)
    responders = {kind: responder(ring, kind) for kind in ("none", *MATCHES, "domains")}
    times: dict[str, list[float]] = {kind: [] for kind in responders}
    for _ in range(rounds):
        for kind, one in responders.items():
            began = time.process_time()
            for _ in range(CALLS):
                one.answer("GET", path, HEADERS, peer, False)
                one.record()
            times[kind].append((time.process_time() - began) / CALLS)
    return {kind: min(values) * 1e6 for kind, values in times.items()}


async def load(rules: int) -> tuple[float, float, float]:
    """Give CPU seconds, MB and the longest pause of the loop in CPU milliseconds, of reading *rules* rules."""
    ring, path = Keyring.create(), Path(tempfile.mkdtemp()) / "list"
    file, to = RuleFile(path), ring.sign("https://example.com/a-page-with-a-path-of-usual-length?campaign=winter")
    for first in range(0, rules, PAGE):
        page = [
            sign_take_back(ring, match=match_link(n.to_bytes(9, "big")), action="replace", to=to, made_at=1)._asdict()
            for n in range(first, first + PAGE)
        ]
        for _ in file.read_new():
            pass
        file.append(ListPage(first, first + PAGE, page))
    before, longest, last = resident_mb(), 0.0, time.process_time()

    async def watch() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            now = time.process_time()
            longest, last = max(longest, now - last), now

    watching = asyncio.create_task(watch())
    found, began = TakeBackList(RuleFile(path), ring), time.process_time()
    await found.read()
    cpu_s = time.process_time() - began
    watching.cancel()
    assert len(found) == rules
    return cpu_s, resident_mb() - before, longest * 1000


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--rules", type=int, default=250_000)
    options = parser.parse_args()
    took = measure(options.rounds)
    print(f"{'10,000 rules of kind':<24}{'least us':>10}{'more us':>9}{'x none':>8}")
    for kind, us in took.items():
        print(f"{kind:<24}{us:>10.2f}{us - took['none']:>9.2f}{us / took['none']:>8.3f}")
    cpu_s, mb, pause_ms = asyncio.run(load(options.rules))
    print(
        f"{options.rules:,} rules: loaded in {cpu_s:.1f} s of CPU, {mb:.0f} MB, longest pause {pause_ms:.1f} ms of CPU"
    )


if __name__ == "__main__":
    main()

"""A made-up history for the demo: what a shop's central has seen after ninety days.

Promise: always the same (a fixed seed), and believable: forty mailings, readers with a day and a night, a fifth of them
behind gateways that open every link, three routers, and an hour in which one of them lost clicks.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.records import Message, MessageLink, RouterLoss, RouterState
from linkrouter.clicks.click import Click
from linkrouter.link.codec import encode_base64url, varint
from linkrouter.units import DAY_S, HOUR_S, SECOND_US

__all__ = ["HISTORY_DAYS", "MAILINGS", "add_history"]

HISTORY_DAYS, MAILINGS, RECIPIENTS = 90, 40, 30
SEED = 20_261_121
BATCH = 500
DEMO_ROUTERS = ("ams-blue-1", "fra-blue-1", "nyc-green-1")

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
AGENTS = {  # with how many of a hundred have it
    f"{WINDOWS} Chrome/142.0.0.0 Safari/537.36": 30,
    f"{WINDOWS} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0": 6,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Mobile/15E148 Safari/604.1": 28,
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile "
    "Safari/537.36": 18,
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": 8,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Safari/605.1.15": 10,
}
GATEWAYS = ("Mozilla/5.0 (compatible; BarracudaSentinel/1.0)", f"{WINDOWS} Chrome/120.0.0.0 Safari/537.36")
NETWORKS = ("84.57", "91.12", "213.47", "62.99", "81.2", "188.61")  # of registries in several countries
TAGS = ("newsletter", "spring-offers", "order-shipped", "password-reset")
PAGES = ("winter-sowing", "tools", "seeds", "calendar", "offers", "imprint")
HOURS = (1, 1, 1, 1, 1, 2, 5, 9, 10, 9, 8, 8, 9, 8, 7, 7, 7, 8, 9, 10, 9, 6, 3, 2)  # how much each is read


@dataclass(frozen=True, slots=True)
class _Mail:
    """One mail: its manifest, and the clicks on it."""

    message: Message
    clicks: list[Click]


async def add_history(store: CentralStore, now_us: int) -> int:
    """Keep the history that ends at *now_us* in an empty *store*; gives the number of clicks."""
    clicks: list[Click] = []
    rng = random.Random(SEED)  # noqa: S311 – a history, and no secret
    for mail in _mails(rng, now_us):
        await store.add_message(mail.message)
        clicks += mail.clicks
    clicks = sorted((click for click in clicks if click.clicked_at < now_us), key=lambda click: click.clicked_at)
    for first in range(0, len(clicks), BATCH):
        await store.add_clicks(clicks[first : first + BATCH])
    begin = now_us - 23 * DAY_S * SECOND_US
    await store.add_clicks(
        [], [RouterLoss("demo-loss", DEMO_ROUTERS[1], "store_full", 57, begin, begin + HOUR_S * SECOND_US)]
    )
    for number, router in enumerate(DEMO_ROUTERS):
        said = {
            "version": "0.1.0",
            "pending": 3 * number,
            "oldest_seconds": 0.4 * number,
            "dropped": 57 * (number == 1),
            "keys": [{"id": 1, "state": "verify"}, {"id": 2, "state": "sign"}],
            "take_backs": {"rules": 0, "seq": 0},
        }
        await store.add_clicks([], [], RouterState(router, 0, now_us - number * 1000 * SECOND_US, json.dumps(said)))
    return len(clicks)


def _mails(rng: random.Random, now_us: int) -> Iterator[_Mail]:
    begin_us = now_us - HISTORY_DAYS * DAY_S * SECOND_US
    for mailing in range(MAILINGS):
        tag = TAGS[0] if mailing % 4 == 0 else rng.choice(TAGS[1:])
        sent_us = begin_us + (mailing * HISTORY_DAYS + rng.randrange(HISTORY_DAYS)) * DAY_S * SECOND_US // MAILINGS
        for reader in range(RECIPIENTS):
            yield _mail(rng, mailing * RECIPIENTS + reader, tag, sent_us, mailing)


def _mail(rng: random.Random, number: int, tag: str, sent_us: int, mailing: int) -> _Mail:
    key = b"demo" + number.to_bytes(4, "big")
    pages = PAGES[: 2 if tag == "password-reset" else len(PAGES)]
    ids = [encode_base64url(key + varint(position)) for position in range(2 * len(pages))]
    urls = [f"https://garden.example/{page}?issue={mailing}" for page in pages]
    links = tuple(
        MessageLink(link_id, urls[n % len(pages)], "html" if n < len(pages) else "text", n % len(pages))
        for n, link_id in enumerate(ids)
    )
    message = Message(
        message_id=f"{mailing:02}-{number % RECIPIENTS:02}@garden.example",
        digest=hashlib.sha256(key).digest(),
        tenant=0,
        sent_at=sent_us,
        recipient=f"reader{number % RECIPIENTS}@example.net",
        tag=tag,
        metadata={"issue": str(mailing)},
        links=links,
        message_key=encode_base64url(key),
        html=_html(ids, urls),
    )
    made = [*_gateway(rng, ids[: len(pages)]), *_reader(rng, number, ids, len(pages))]
    clicks = [
        Click(f"demo-{number}-{n}", link_id, 0, part, sent_us + after_s * SECOND_US // 1000, ip, agent, "click")
        for n, (after_s, link_id, part, ip, agent) in enumerate(made)
    ]
    return _Mail(message, clicks)


def _html(ids: list[str], urls: list[str]) -> str:
    items = "".join(
        f'<li><a href="https://click.garden.example/2s/{url.removeprefix("https://")}/AQ/{link_id}/demo">'
        f"{url.rpartition('/')[2].partition('?')[0].replace('-', ' ').title()}</a></li>"
        for url, link_id in zip(urls, ids, strict=False)
    )
    return f"<h1>From the garden</h1><p>Good morning! This week:</p><ul>{items}</ul><p>See you on Saturday.</p>"


_Made = tuple[int, str, str, str, str]  # milliseconds after sending, link id, part, address, agent


def _gateway(rng: random.Random, ids: list[str]) -> Iterator[_Made]:
    if rng.random() < 0.2:
        agent, at_ms = rng.choice(GATEWAYS), rng.randrange(2_000, 60_000)
        for link_id in ids:
            yield at_ms, link_id, "html", "203.0.113.25", agent
            at_ms += rng.randrange(100, 400)


def _reader(rng: random.Random, number: int, ids: list[str], html: int) -> Iterator[_Made]:
    if rng.random() < 0.55:
        return
    [agent] = rng.choices(list(AGENTS), list(AGENTS.values()))
    ip = f"{NETWORKS[number % len(NETWORKS)]}.{number % 200}.{1 + number % 250}"
    is_text = rng.random() < 0.15
    [hour] = rng.choices(range(24), HOURS)
    at_ms = 1000 * (90 + hour * HOUR_S + rng.randrange(HOUR_S) + int(rng.expovariate(1 / 20_000)))
    for position in sorted(rng.sample(range(html), min(html, rng.choice((1, 1, 1, 2, 2, 3))))):
        yield at_ms, ids[position + html * is_text], "text" if is_text else "html", ip, agent
        at_ms += rng.randrange(6_000, 90_000)

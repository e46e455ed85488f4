"""A history of clicks that has all kinds of labels, and what it comes to when it is counted one by one."""

import random
from collections import Counter
from dataclasses import dataclass

from central.labelled import label_all

from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import FoundClick, Message, MessageLink
from linkrouter.clicks.click import Click
from linkrouter.link.codec import encode_base64url, varint

BEGIN = 1_793_435_000_000_000  # 2026-10-31, shortly before clocks change in New York
HOUR = 3_600_000_000
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Mobile/15E148 Safari/604.1",
    "curl/8.0",
    None,
)


@dataclass(frozen=True)
class History:
    """Every click with its label, as the store gives them, and those that have none yet."""

    clicks: list[FoundClick]

    def matching(self, asked: ClickFilter) -> list[FoundClick]:
        """Give what *asked* holds for, looked at one by one."""
        return [found for found in self.clicks if _holds(found, asked)]


def robot_of(found: FoundClick) -> str:
    if found.label is not None:
        return found.label.robot
    return "machine" if found.click.kind != "click" else "human"


def _holds(found: FoundClick, asked: ClickFilter) -> bool:
    click, label = found.click, found.label
    known = {name: getattr(click, name) for name in ("link_id", "tenant", "part")}
    known |= {"message_id": found.message_id, "tag": found.tag, "recipient": found.recipient}
    labelled = {name: label and getattr(label, name) for name in ("browser", "os", "platform", "country")}
    known |= labelled | {"url": found.url if label else None}
    if any((value := getattr(asked, name)) is not None and value != known[name] for name in known):
        return False
    if asked.robots != "include" and (robot_of(found) == "machine") != (asked.robots == "only"):
        return False
    return (asked.since or 0) <= click.clicked_at < (asked.until or 2**62)


async def make_history(store, seed: int, clicks: int = 500, waiting: int = 30) -> History:
    """Store mails of two tenants with their clicks, over ten days, label all but the last *waiting*, and give them."""
    rng = random.Random(seed)
    links = []
    for number in range(40):
        ids = [encode_base64url(number.to_bytes(8, "big") + varint(position)) for position in range(5)]
        tenant = int(number % 8 == 0)
        sent = tuple(
            MessageLink(link_id, f"https://example.com/{position}", rng.choice(("html", "text")), position)
            for position, link_id in enumerate(ids)
        )
        if number % 10:  # some manifests never come
            tag = rng.choice(("november", "december", None))
            key = number.to_bytes(1, "big")
            await store.add_message(Message(f"m{number}", key, tenant, BEGIN, f"r{number}@example.net", tag, {}, sent))
        links += [(link, tenant) for link in sent]
    made = []
    for number in range(clicks):
        link, tenant = rng.choice(links)
        agent = rng.choice(AGENTS)
        at = BEGIN + rng.choice((rng.randrange(240 * HOUR), 30 * HOUR, 30 * HOUR + rng.randrange(60_000_000)))
        ip = f"203.0.113.{rng.randrange(20)}" if agent else None
        kind = rng.choice(("click",) * 6 + ("head", "prefetch"))
        made.append(Click(f"click-{number}", link.link_id, tenant, link.part, at, ip, agent, kind))
    await store.add_clicks(made[:-waiting])
    await label_all(store)
    await store.add_clicks(made[-waiting:])
    return History(await store.find_clicks(ClickFilter(), None, 10 * clicks))


def count_by(found: list[FoundClick], key) -> dict:
    return dict(Counter(map(key, found)))

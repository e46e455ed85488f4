"""A made-up mailing: who clicks, what gateways do, and what each of them comes to.

Everybody's clicks go through a real router at the pace of their kind, each recipient from an address of its own.
"""

import asyncio
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from linkrouter import Encoder
from linkrouter.integrations.manifest import manifest_entry

RECIPIENTS, GATEWAYS = 1000, 200
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
BROWSERS = {
    CHROME: ("Chrome", "Desktop"),
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1"
    ".15": ("Safari", "Desktop"),
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": ("Firefox", "Desktop"),
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36": (
        "Chrome",
        "Mobile",
    ),
}
LINKS = 8
HTML = "".join(f'<p><a href="https://shop.example/offer/{n}">Offer {n}</a></p>' for n in range(LINKS))
TEXT = "".join(f"Offer {n}: https://shop.example/offer/{n}\n" for n in range(3))


@dataclass
class Mailing:
    """What the generator knows: the manifests, and what clicks come to."""

    manifests: list[dict] = field(default_factory=list)
    people: int = 0  # clicks
    unique: int = 0
    families: Counter[str] = field(default_factory=Counter)
    platforms: Counter[str] = field(default_factory=Counter)
    locations: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    by_message: Counter[str] = field(default_factory=Counter)

    def person(self, message_id: str, agent: str, part: str, is_first: bool) -> None:
        family, platform = BROWSERS[agent]
        self.people += 1
        self.unique += is_first
        self.families[family] += 1
        self.platforms[platform] += 1
        self.locations["HTML" if part == "html" else "Text"] += 1
        self.by_message[message_id] += 1


class Sender:
    """Makes the mails and behaves as their recipients do."""

    def __init__(self, keyring, base_url: str, session: aiohttp.ClientSession, seed: int) -> None:
        self._encoder = Encoder(base_url, keyring, trap_link=True)
        self._session = session
        self._random = random.Random(seed)
        self.mailing = Mailing()

    async def send(self, count: int = RECIPIENTS, gateways: int = GATEWAYS) -> None:
        """Send *count* mails, *gateways* of them to recipients behind one, and wait until all have clicked."""
        kinds = itertools.cycle((self._head, self._prefetch, self._declared, self._burst, self._trap, self._sweep))
        doings = []
        for number in range(count):
            html, text = self._encoder.rewrite_html(HTML), self._encoder.rewrite_text(TEXT)
            message_id = f"offer-{number}@shop.example"
            recipient = f"reader{number}@example.net"
            entry = manifest_entry((*html.links, *text.links), message_id, recipient, "offers")
            self.mailing.manifests.append(entry)
            address = f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}"
            if number < gateways:
                doings.append(next(kinds)(html.links, address))
            if number >= gateways or number % 4 == 0:
                delay_s = self._random.uniform(0, 8) + (40 if number < gateways else 0)
                doings.append(self._read(message_id, html.links, text.links, address, delay_s))
        await asyncio.gather(*doings)

    async def _ask(self, link, address: str, agent: str, method: str = "GET", **headers: str) -> None:
        sent = {"User-Agent": agent, "X-Forwarded-For": address} | headers
        async with self._session.request(method, link.tracked_url, headers=sent, allow_redirects=False) as answer:
            assert answer.status == 302

    async def _read(self, message_id, html, text, address, delay_s) -> None:
        """Read the mail: nothing in half of the cases, else up to three links at a reader's pace, one perhaps twice."""
        if self._random.random() < 0.5:
            return
        agent = self._random.choice(list(BROWSERS))
        links = text if self._random.random() < 0.25 else [link for link in html if not link.trap]
        chosen = self._random.sample(links, self._random.randint(1, min(3, len(links))))
        if self._random.random() < 0.2:
            chosen.append(chosen[0])
        await asyncio.sleep(delay_s)
        seen = set()
        for link in chosen:
            await self._ask(link, "203.0.113." + address.rpartition(".")[2], agent)
            self.mailing.person(message_id, agent, link.part, link.link_id not in seen)
            seen.add(link.link_id)
            await asyncio.sleep(self._random.uniform(5.5, 8))

    async def _head(self, links, address) -> None:
        await self._scan("head", links[:LINKS], address, CHROME, method="HEAD")

    async def _prefetch(self, links, address) -> None:
        await self._scan("prefetch", links[:LINKS], address, CHROME, **{"Sec-Purpose": "prefetch"})

    async def _declared(self, links, address) -> None:
        await self._scan("declared agent", links[:3], address, "Mozilla/5.0 (compatible; BarracudaSentinel/1.0)")

    async def _burst(self, links, address) -> None:
        await self._scan("burst", links[:LINKS], address, CHROME)

    async def _trap(self, links, address) -> None:
        await self._scan("trap", [link for link in links if link.trap], address, CHROME)

    async def _sweep(self, links, address) -> None:
        await self._scan("sweep", links[:LINKS], address, CHROME, rest_s=2.2)

    async def _scan(self, reason, links, address, agent, rest_s=0.05, **request) -> None:
        await asyncio.sleep(self._random.uniform(0, 8))
        for link in links:
            await self._ask(link, address, agent, **request)
            self.mailing.reasons[reason] += 1
            await asyncio.sleep(rest_s * self._random.uniform(0.9, 1.1))

"""A store with clicks, and a sync that sends them to a centre in memory without ever really waiting."""

import asyncio
import contextlib
from collections.abc import Callable

import httpx
import pytest

from linkrouter.clicks import Click, StoreLimits
from linkrouter.clicks.click import write_click
from linkrouter.clicks.memory import open_memory
from linkrouter.metrics import Metrics
from linkrouter.sync import Sync
from linkrouter.sync.backoff import Backoff

NOON = 1_795_262_400_000_000  # 2026-11-21T12:00:00Z


@pytest.fixture
def make_clicks() -> Callable[..., list[Click]]:
    """Give *count* clicks numbered from *first*."""

    def make(count: int, first: int = 0) -> list[Click]:
        return [
            Click(f"id-{number:06d}", "-----w", 0, "html", NOON + number, None, "Mozilla/5.0", "click")
            for number in range(first, first + count)
        ]

    return make


class Bench:
    """A sync under test: its waits are written down and take no time; `run_for` ends it after so many."""

    def __init__(self, centre, store, losses=()) -> None:
        self.centre, self.store = centre, store
        self.metrics = Metrics()
        self.waits: list[float] = []
        self.seconds = 0.0
        self.uniform = lambda _, most: most
        self.losses = list(losses)
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(centre))
        self.sync = Sync(
            store,
            self.client,
            url="http://centre.test/v1/clicks",
            token="a-token-of-a-router",
            router_id="ams-1",
            metrics=self.metrics,
            take_losses=self._take_losses,
            backoff=Backoff(clock=lambda: self.seconds, uniform=self._draw),
            now=lambda: NOON / 1e6,
            sleep=self._sleep,
        )

    def _take_losses(self):
        taken, self.losses = self.losses, []
        return taken

    def _draw(self, least: float, most: float) -> float:
        return self.uniform(least, most)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds
        if len(self.waits) >= self._enough:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    async def run_for(self, waits: int) -> list[float]:
        """Run until it has waited *waits* times, and give how long each was meant to take."""
        self._enough = len(self.waits) + waits
        with contextlib.suppress(asyncio.CancelledError):
            await self.sync.run()
        return self.waits[-waits:]

    def counted(self, name: str) -> dict[str, int]:
        """Give what a counter came to, without its zeros."""
        return {label: number for label, number in self.metrics.counter(name).items() if number}


@pytest.fixture
async def bench():
    """Give a function from a centre to a `Bench` with a store in memory."""
    made = []

    async def make(centre, clicks=(), **options):
        store = open_memory("memory:", StoreLimits())
        await store.append([write_click(click) for click in clicks])
        made.append(Bench(centre, store, **options))
        return made[-1]

    yield make
    for each in made:
        await each.client.aclose()

"""The watcher over a real store, with a clock of its own: what it looks at, in which order, and how often."""

import asyncio
import sqlite3
from dataclasses import dataclass, field, replace

import pytest
from central.test_every_store import a_message
from processes import HANG_S

from linkrouter.central.store.records import MessageLink
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.central.watch.judging import Look
from linkrouter.central.watch.watcher import Watcher
from linkrouter.metrics import Metrics

NOON_S = 1_795_262_400
HOUR_S, STEP_S = 3600, 1200


@dataclass
class World:
    """A clock that moves when somebody sleeps, and a web whose pages are verdicts."""

    store: SqliteCentralStore
    now_s: float = NOON_S
    pages: dict[str, str] = field(default_factory=dict)
    looks: list[tuple[float, str]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def watcher(self, **options) -> Watcher:
        fields = {
            "look": self.look,
            "is_spared": lambda url, messages: "spared" in url,
            "days": 14,
            "requests_per_hour": 1000,
            "now": lambda: self.now_s,
            "sleep": self.sleep,
        }
        return Watcher(store=self.store, **(fields | options))

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    async def look(self, url: str, tenant: int) -> Look:
        self.looks.append(((self.now_s - NOON_S) / HOUR_S, url))
        verdict = self.pages.get(url, "fine")
        if verdict == "raises":
            raise RuntimeError(url)
        return Look(verdict, "not found" if verdict == "broken" else verdict, 2)

    async def stop(self, event) -> bool:
        self.stopped.append(event.id)
        return True

    async def run_for(self, hours: float, **options) -> None:
        """Watch until so many hours have passed."""
        watcher, until = self.watcher(**options), self.now_s + hours * HOUR_S
        while self.now_s < until:
            if not await watcher.step():
                self.now_s += STEP_S

    async def send(self, *urls: str, message_id: str = "mail", tenant: int = 0) -> None:
        links = tuple(MessageLink(f"AA{n:06d}", url, "html", n) for n, url in enumerate(urls))
        message = a_message(message_id, tenant=tenant, sent_at=int(self.now_s * 1_000_000))
        await self.store.add_message(replace(message, links=links))

    async def events(self) -> list[str]:
        return [event.type for event in await self.store.link_events(0, 100, None)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "central.db"


@pytest.fixture
async def world(path):
    store = SqliteCentralStore(path, lock_wait_s=0.1)
    await store.open()
    yield World(store)
    await store.close()


async def test_looks_come_after_1_6_and_24_hours_and_daily_while_it_is_watched(world):
    await world.send("https://a.example/")

    await world.run_for(20 * 24)

    assert [round(hour) for hour, _ in world.looks] == [1, 6, *range(24, 14 * 24, 24)]


async def test_a_destination_that_breaks_and_comes_back_makes_two_events(world):
    await world.send("https://a.example/", "https://b.example/")
    await world.run_for(30)
    world.pages["https://a.example/"] = "broken"
    await world.run_for(72)
    broken = await world.events()
    world.pages.clear()
    await world.run_for(48)

    events = await world.store.link_events(0, 10, None)
    assert broken == ["link.broken"]
    assert [event.type for event in events] == ["link.broken", "link.recovered"]
    assert {(event.url, event.tenant, event.messages) for event in events} == {("https://a.example/", 0, 1)}
    assert [event.reason for event in events] == ["not found", "fine"]
    assert len({event.id for event in events}) == 2


async def test_what_was_bad_once_is_told_within_the_hour(world):
    await world.send("https://a.example/")
    await world.run_for(30)
    world.pages["https://a.example/"] = "broken"
    await world.run_for(24)

    [event] = await world.store.link_events(0, 10, None)
    first_bad = next(hour for hour, _ in world.looks if hour > 30)
    assert HOUR_S < event.at / 1_000_000 - NOON_S - first_bad * HOUR_S <= HOUR_S + STEP_S


async def test_no_more_requests_are_made_in_an_hour_than_may_be_and_the_most_clicked_come_first(world, make_clicks):
    await world.send(*(f"https://example.com/{number}" for number in range(200)))
    for number, count in ((150, 9), (7, 5), (30, 3)):
        at = {"link_id": f"AA{number:06d}", "clicked_at": NOON_S * 1_000_000}
        await world.store.add_clicks(make_clicks(count, 100 * number, **at))

    await world.run_for(7, requests_per_hour=60)

    urls = [url.rpartition("/")[2] for _, url in world.looks]
    by_hour = [sum(int(hour) == at for hour, _ in world.looks) for at in range(1, 7)]
    assert urls[:3] == ["150", "7", "30"]
    assert max(by_hour) <= 30 + 1
    assert sum(by_hour) >= 170


async def test_spared_destinations_are_never_looked_at_and_cost_nothing(world):
    await world.send(*(f"https://example.com/spared/{number}" for number in range(50)), "https://example.com/")

    await world.run_for(50, requests_per_hour=2)

    assert {url for _, url in world.looks} == {"https://example.com/"}


async def test_a_look_that_fails_is_no_event_and_holds_up_nobody(world):
    world.pages["https://a.example/"] = "raises"
    await world.send("https://a.example/", "https://b.example/")

    await world.run_for(30)

    assert await world.events() == []
    assert len({url for _, url in world.looks}) == 2


async def test_a_kill_at_any_look_costs_that_look_and_no_event(world):
    await world.send("https://a.example/")
    await world.run_for(2)
    world.pages["https://a.example/"] = "broken"
    for _ in range(40):  # killed while it looks, each time
        killed = world.watcher(look=hang)
        task = asyncio.create_task(killed.step())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await world.run_for(3)

    assert await world.events() == ["link.broken"]


async def hang(url: str, tenant: int) -> Look:
    await asyncio.sleep(60)
    raise AssertionError("it was to be cancelled")


async def test_a_flagged_destination_is_stopped_once_where_that_is_allowed(world):
    await world.send("https://a.example/", "https://b.example/")
    await world.run_for(2)
    world.pages |= {"https://a.example/": "flagged", "https://b.example/": "broken"}
    await world.run_for(99, stop=world.stop)

    events = await world.store.link_events(0, 10, None)
    assert {(event.type, event.stop) for event in events} == {("link.flagged", "made"), ("link.broken", "")}
    assert world.stopped == [event.id for event in events if event.type == "link.flagged"]


async def test_nothing_is_stopped_where_that_is_not_allowed_also_not_later(world):
    await world.send("https://a.example/")
    await world.run_for(2)
    world.pages["https://a.example/"] = "flagged"
    await world.run_for(30)
    await world.run_for(30, stop=world.stop)

    assert await world.events() == ["link.flagged"]
    assert world.stopped == []


async def test_a_stop_that_could_not_be_made_is_tried_again(world):
    await world.send("https://a.example/")
    await world.run_for(2)
    world.pages["https://a.example/"] = "flagged"

    async def refuse(event) -> bool:
        return False

    await world.run_for(30, stop=refuse)
    refused = [event.stop for event in await world.store.link_events(0, 10, None)]
    await world.run_for(1, stop=world.stop)

    assert refused == ["wanted"]
    assert len(world.stopped) == 1


async def test_it_goes_on_after_a_store_that_did_not_answer_and_counts_its_looks(world, path):
    await world.send("https://a.example/")
    world.now_s += 2 * HOUR_S
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    metrics, failed, looked = Metrics(), asyncio.Event(), asyncio.Event()

    async def sleep(seconds):
        await asyncio.sleep(0)
        (looked if world.looks else failed).set()

    running = asyncio.create_task(world.watcher(sleep=sleep, metrics=metrics).run())
    await asyncio.wait_for(failed.wait(), HANG_S)
    other.close()
    await asyncio.wait_for(looked.wait(), HANG_S)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert metrics.counter("linkrouter_central_looks")["fine"] == 1

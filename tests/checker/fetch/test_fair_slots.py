"""Slots that several share."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.checker.fetch.fair_slots import FairSlots


class Crowd:
    """Tasks that hold slots until they are told to let go."""

    def __init__(self, slots):
        self.slots = slots
        self.held = []
        self.go = {}
        self.tasks = []

    async def ask(self, who, number=1):
        for _ in range(number):
            self.tasks.append(asyncio.create_task(self._hold(who)))
        for _ in range(3):
            await asyncio.sleep(0)

    async def _hold(self, who):
        async with self.slots.slot(who):
            self.held.append(who)
            try:
                await self.go.setdefault(who, asyncio.Event()).wait()
            finally:
                self.held.remove(who)

    async def let_go(self, who):
        self.go.setdefault(who, asyncio.Event()).set()
        for _ in range(5):
            await asyncio.sleep(0)

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def crowd():
    made = Crowd(FairSlots(12))
    yield made
    await made.stop()
    assert made.slots._held == Counter()
    assert not made.slots._waiting


async def test_one_who_is_alone_gets_half(crowd):
    await crowd.ask("a", 100)

    assert Counter(crowd.held) == {"a": 6}


async def test_whoever_comes_next_finds_room_at_once(crowd):
    for who in "abc":
        await crowd.ask(who, 100)

    assert Counter(crowd.held) == {"a": 6, "b": 4, "c": 2}


async def test_what_becomes_free_goes_to_whoever_has_less_than_a_share(crowd):
    await crowd.ask("a", 6)
    await crowd.ask("b", 100)
    await crowd.ask("c", 100)
    await crowd.let_go("a")

    assert Counter(crowd.held) == {"b": 4, "c": 4}


async def test_one_who_stops_waiting_is_passed_over(crowd):
    await crowd.ask("a", 100)
    for task in crowd.tasks[6:50]:
        task.cancel()
    await crowd.ask("b", 1)

    assert Counter(crowd.held) == {"a": 6, "b": 1}


async def test_a_slot_is_given_back_when_its_work_fails():
    slots = FairSlots(2)
    for _ in range(5):
        with pytest.raises(ValueError, match="x"):
            async with slots.slot("a"):
                raise ValueError("x")


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["ask", "stop", "end"])), max_size=60))
def test_however_they_come_and_go_none_is_lost_and_none_given_twice(steps):
    async def play():
        crowd = Crowd(FairSlots(5))
        for who, what in steps:
            if what == "ask":
                crowd.go[who] = asyncio.Event()
                await crowd.ask(who, 3)
            elif what == "end":
                await crowd.let_go(who)
            elif crowd.tasks:
                crowd.tasks[len(crowd.tasks) // 2].cancel()
            assert len(crowd.held) <= 5
        for who in "abcde":
            await crowd.let_go(who)
        await crowd.stop()
        assert crowd.slots._held == Counter()
        assert not crowd.slots._waiting

    asyncio.run(play())

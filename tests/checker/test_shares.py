"""Places that several askers share."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.checker.shares import FairShares


def test_one_alone_gets_the_number_that_was_named_and_others_still_find_a_place():
    shares = FairShares(8)
    held = dict.fromkeys("abcde", 0)
    for who in held:
        while shares.take(who):
            held[who] += 1

    assert held == {"a": 8, "b": 4, "c": 2, "d": 1, "e": 0}


def test_what_is_given_back_can_be_taken_again():
    shares = FairShares(1)

    assert [shares.take("a"), shares.take("a")] == [True, False]
    shares.give_back("a")
    assert shares.take("b")


async def test_who_waits_is_served_when_a_place_is_free_the_poorest_first():
    shares, order = FairShares(2), []

    async def work(who, until):
        async with shares.place(who):
            order.append(who)
            await until.wait()

    first, rest = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(work("rich", first)), asyncio.create_task(work("rich", rest))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(work("rich", rest)), asyncio.create_task(work("poor", rest))]
    tasks += [asyncio.create_task(work("poor", rest))]
    await asyncio.sleep(0)
    before = list(order)
    first.set()
    await tasks[0]
    await asyncio.sleep(0)
    after = list(order)
    rest.set()
    await asyncio.gather(*tasks)

    assert before == ["rich", "rich", "poor"]
    assert after[3:] == []  # one of three is held by "poor": "rich" has its share with one, and so has "poor"
    assert sorted(order) == ["poor", "poor", "rich", "rich", "rich"]


async def test_who_stops_waiting_keeps_no_place():
    shares = FairShares(1)
    async with shares.place("a"):
        waiting = asyncio.create_task(_hold(shares, "a"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async with asyncio.timeout(1), shares.place("a"):
        assert not shares.take("a")


async def test_who_is_stopped_in_the_moment_of_its_turn_gives_the_place_back():
    shares = FairShares(1)
    assert shares.take("a")
    waiting = asyncio.create_task(_hold(shares, "a"))
    await asyncio.sleep(0)
    shares.give_back("a")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert shares.take("a")


async def _hold(shares, who):
    async with shares.place(who):
        await asyncio.Event().wait()


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(1, 20))
def test_no_order_of_asking_gives_anybody_more_than_half_of_what_others_leave(order, alone):
    shares, held = FairShares(alone), dict.fromkeys("abcdef", 0)
    for who in order:
        others = sum(held.values()) - held[who]
        taken = shares.take(who)
        held[who] += taken
        assert taken == (held[who] - taken + 1 <= (2 * alone - 1 - others + 1) // 2)
    assert sum(held.values()) <= 2 * alone - 1


@pytest.mark.parametrize("number", [1, 3])
def test_several_places_may_be_taken_at_once(number):
    shares = FairShares(4)

    assert shares.take("a", number)
    assert shares.take("a", 4 - number)
    assert not shares.take("a", 1)

"""The background task: when a click is labelled, and what a store that fails does to it."""

import asyncio

import pytest

from linkrouter.central.labelling import label_forever, relabel
from linkrouter.central.labels import Insight
from linkrouter.errors import StoreError


class ScriptedLog:
    """A click log whose number of clicks the test sets; it notes up to where it was asked to label."""

    def __init__(self, latest=0):
        self.latest, self.asked, self.failures = latest, [], 0

    async def latest_seq(self):
        return self.latest

    async def label_next(self, _, until_seq):
        if self.failures:
            self.failures -= 1
            raise StoreError("full")
        self.asked.append(until_seq)
        return 0


async def run_for(seconds, log, settle_s, at=None):
    """Run the task for *seconds* of a clock that only its own sleeping moves; *at* has what happens when."""
    now = 0.0
    events = sorted((at or {}).items())

    async def sleep(delay):
        nonlocal now
        now += delay
        while events and events[0][0] <= now:
            events.pop(0)[1]()
        if now > seconds:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await label_forever(log, Insight(), settle_s, clock=lambda: now, sleep=sleep)


async def test_a_click_is_labelled_when_it_has_settled():
    log = ScriptedLog()

    def store_five():
        log.latest = 5

    await run_for(14, log, 15, {1: store_five})
    early = set(log.asked)
    log.asked.clear()
    await run_for(18, log, 15, {1: store_five})

    assert early <= {0, 5}
    assert 5 in log.asked


async def test_what_was_there_at_the_start_is_labelled_at_once():
    log = ScriptedLog(latest=7)

    await run_for(0.5, log, 15)

    assert log.asked[0] == 7


async def test_a_store_that_fails_is_asked_again(caplog):
    log = ScriptedLog(latest=7)
    log.failures = 2

    await run_for(60, log, 15)

    assert log.asked[-1] == 7
    assert [record.message for record in caplog.records] == ["central.labelling_failed"] * 2


async def test_relabelling_goes_on_to_the_end():
    class Steps:
        async def relabel_next(self, _, after_seq, since):
            assert since == 5
            return after_seq + 500 if after_seq < 1500 else None

    told = []
    await relabel(Steps(), Insight(), 5, told.append)

    assert told == [500, 1000, 1500]

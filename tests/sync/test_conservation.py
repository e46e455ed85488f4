"""Once spooled, no click is lost and none is counted twice, at whatever point a process dies."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sync.centre import Centre, answer, fail, lose_the_reply

from linkrouter.clicks import Click, StoreLimits
from linkrouter.clicks.click import write_click
from linkrouter.clicks.spool.store import Spool
from linkrouter.clicks.spool.timings import SpoolTimings
from linkrouter.metrics import Metrics
from linkrouter.sync import Sync

MISDEEDS = {
    "500": answer(500),
    "400": answer(400),
    "413": answer(413),
    "rubbish": answer(200, content=b"{}"),
    "refused": fail(httpx.ConnectError("no")),
    "reply lost": lose_the_reply,
}
# Small enough that a few dozen clicks roll segments, and nothing is put off.
TIMINGS = SpoolTimings(segment_bytes=4000, search_interval_s=0.0, live_interval_s=0.0, measure_interval_s=0.0)


class Pipeline(RuleBasedStateMachine):
    """Spool, sync and centre; now and then the process that has the first two is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.made = 0
        self.spooled: set[str] = set()
        self.poison: set[str] = set()
        self.centre = Centre()
        self.start()

    def start(self) -> None:
        self.store = Spool(self.directory, StoreLimits(reserve_bytes=0), TIMINGS)
        self.runner.run(self.store.open())

    def fresh(self, count: int) -> list[Click]:
        first, self.made = self.made, self.made + count
        return [Click(f"id-{n}", "-----w", 0, "html", n, None, None, "click") for n in range(first, first + count)]

    @rule(count=st.integers(1, 30), is_poisoned=st.integers(0, 5).map(lambda n: n == 0))
    def append(self, count, is_poisoned):
        clicks = self.fresh(count)
        if is_poisoned:
            self.centre.poison.add(clicks[0].id)
        self.runner.run(self.store.append([write_click(click) for click in clicks]))
        self.spooled |= {click.id for click in clicks}

    @rule(misdeeds=st.lists(st.sampled_from(sorted(MISDEEDS)), max_size=3), waits=st.integers(1, 5))
    def sync(self, misdeeds, waits):
        self.centre.misdeeds.extend(MISDEEDS[misdeed] for misdeed in misdeeds)
        self.runner.run(self.run_sync(waits))
        self.centre.misdeeds.clear()

    async def run_sync(self, waits: int) -> None:
        left = waits

        async def sleep(_):
            nonlocal left
            left -= 1
            if not left:
                raise asyncio.CancelledError

        async with httpx.AsyncClient(transport=httpx.MockTransport(self.centre)) as client:
            sync = Sync(self.store, client, url="http://c", token="t", router_id="r", metrics=Metrics(), sleep=sleep)
            with contextlib.suppress(asyncio.CancelledError):
                await sync.run()

    @rule()
    def restart(self):
        self.runner.run(self.store.close())
        self.start()

    @rule(count=st.integers(0, 60), after_ms=st.integers(0, 30), is_syncing=st.booleans())
    def die(self, count, after_ms, is_syncing):
        """Have a process append and send, kill it at any moment, and go on from what it left."""
        self.runner.run(self.store.close())
        self.runner.close()
        clicks = self.fresh(count)
        for what, ids in kill_a_life(lambda tell: self.live(clicks, is_syncing, tell), after_ms / 1000):
            if what == "spooled":
                self.spooled |= set(ids)
            else:
                self.centre.clicks |= dict.fromkeys(ids)
                self.centre.stored.update(ids)
        self.runner = asyncio.Runner()
        self.start()

    async def live(self, clicks, is_syncing, tell):
        """Append *clicks* a few at a time and send them; *tell* what is durable, and what the centre stored."""
        work = self.centre.work

        def work_and_tell(request):
            before = set(self.centre.clicks)
            response = work(request)
            tell("stored", sorted(self.centre.clicks.keys() - before))
            return response

        self.centre.work = work_and_tell
        await self.store.open()
        tell("ready", [])
        sending = asyncio.create_task(self.run_sync(50)) if is_syncing else None
        for first in range(0, len(clicks), 7):
            part = clicks[first : first + 7]
            await self.store.append([write_click(click) for click in part])
            tell("spooled", [click.id for click in part])
        if sending:
            await sending

    def dead_letters(self) -> set[str]:
        try:
            lines = (self.directory / "dead-letters.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return set()
        return {json.loads(line)["click"]["id"] for line in lines}

    @invariant()
    def stores_nothing_twice(self):
        assert not self.centre.stored or max(self.centre.stored.values()) == 1

    def teardown(self):
        try:
            self.runner.run(self.run_sync(60))
            status = self.runner.run(self.store.status())
            arrived = self.centre.clicks.keys() | self.dead_letters()
            assert self.spooled <= arrived
            assert arrived <= {f"id-{n}" for n in range(self.made)}
            assert (status.pending, status.quarantined, status.lost) == (0, 0, {})
        finally:
            self.runner.run(self.store.close())
            self.runner.close()
            shutil.rmtree(self.directory)


def kill_a_life(live, after_s):
    """Run *live* in a process of its own, kill it *after_s* seconds after it was ready, and give what it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            asyncio.run(live(lambda *line: os.write(writing, json.dumps(line).encode() + b"\n")))
        os._exit(0)
    os.close(writing)
    with open(reading) as told:
        lines = [told.readline()]
        time.sleep(after_s)  # the moment of death is the very thing that is drawn
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines += told
    assert json.loads(lines[0])[0] == "ready"
    return [json.loads(line) for line in lines]


Pipeline.TestCase.settings = settings(
    max_examples=30, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOnceSpooledNoClickIsLostAndNoneCountedTwice = pytest.mark.slow(Pipeline.TestCase)


@pytest.mark.faults
class TestTheSameManyMoreTimes(Pipeline.TestCase):
    settings = settings(Pipeline.TestCase.settings, max_examples=300, stateful_step_count=30)

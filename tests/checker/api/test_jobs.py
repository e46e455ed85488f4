"""Checks in the background: bounded, remembered for a while, and never silent for long."""

import asyncio

import pytest
from checker.world import Clock, Web, checking, mail
from processes import HANG_S

from linkrouter.checker.api.checks import CheckApi
from linkrouter.checker.api.jobs import CheckJobs
from linkrouter.checker.check import Checker
from linkrouter.checker.states import LinkStates
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import ADMIN

PAGES = mail("https://a.example/", "https://b.example/")


class Held(Web):
    """A web that answers when it is let."""

    def __init__(self):
        super().__init__()
        self.release = asyncio.Event()

    async def __call__(self, url, deadline):
        await self.release.wait()
        return await super().__call__(url, deadline)


async def arrivals(job, after=0):
    return [arrival async for arrival in job.follow(after) if arrival is not None]


async def until(condition):
    async with asyncio.timeout(HANG_S):
        while not condition():
            await asyncio.sleep(0.001)


async def test_every_link_arrives_once_under_its_index():
    async with checking() as checker, CheckJobs(checker) as jobs:
        job = jobs.start(PAGES)
        found = await arrivals(job)

    assert {index: report.url for index, report in found} == {0: "https://a.example/", 1: "https://b.example/"}
    assert job.state == "done"


async def test_silence_is_broken_while_a_link_is_slow():
    web = Held()
    async with checking(web) as checker, CheckJobs(checker) as jobs:
        following = jobs.start(PAGES[:1]).follow(quiet_s=0.01)
        silence = [await anext(following) for _ in range(3)]
        web.release.set()
        rest = [arrival async for arrival in following if arrival]

    assert silence == [None, None, None]
    assert [report.verdict for _, report in rest] == ["fine"]


async def test_no_more_checks_run_at_once_than_may():
    web = Held()
    async with checking(web) as checker, CheckJobs(checker, max_running=2) as jobs:
        first, second = jobs.start(PAGES[:1]), jobs.start(PAGES[1:])
        api = CheckApi(checker, jobs)
        refused = await api.start_check({"urls": []}, ADMIN)
        web.release.set()
        await arrivals(first)
        await arrivals(second)
        taken = await api.start_check({"urls": []}, ADMIN)

    assert refused == Refusal(429)
    assert taken["state"] == "running"


async def test_the_oldest_that_have_ended_make_room():
    web = Held()
    async with checking(web) as checker, CheckJobs(checker, max_links_kept=2) as jobs:
        old = jobs.start(mail("#a"))
        await arrivals(old)
        new = jobs.start(mail("#a", "#b"))
        await arrivals(new)
        waiting = jobs.start(PAGES)

        assert jobs.find(old.id) is None
        assert jobs.find(new.id) is new
        assert jobs.start(mail("#a", "#b", "#c")) is None, "what still runs is not forgotten"
        assert jobs.find(waiting.id) is waiting
        web.release.set()
        await arrivals(waiting)


async def test_a_check_is_forgotten_a_while_after_its_end():
    async with checking() as checker, CheckJobs(checker, keep_s=0.01) as jobs:
        job = jobs.start(PAGES)
        await arrivals(job)

        await until(lambda: jobs.find(job.id) is None)


async def test_a_store_that_fails_ends_the_check_and_is_logged_without_a_link(caplog):
    checker = Checker(Web(), LinkStates(":memory:", rules=1))  # which nobody opens
    async with CheckJobs(checker) as jobs:
        job = jobs.start(PAGES)

        assert await arrivals(job) == []

    assert job.state == "failed"
    assert [(record.message, record.fields) for record in caplog.records] == [
        ("check.failed", {"reason": "StoreError"})
    ]


@pytest.mark.parametrize("begun", [True, False])
async def test_stopping_ends_every_check_and_tells_who_listens(begun):
    async with checking(Held()) as checker:
        async with CheckJobs(checker) as jobs:
            job = jobs.start((*mail("#top"), *PAGES))
            following = job.follow()
            if begun:
                assert (await anext(following))[1].verdict == "skipped"
            jobs.stop()
            rest = [arrival async for arrival in following]
        decision = await checker.gate(job.links)

    assert rest == []
    assert job.state == "failed"
    assert decision.answer == "wait"


async def test_whether_a_mail_may_be_sent_is_decided_at_every_answer():
    clock = Clock()
    async with checking(clock=clock) as checker, CheckJobs(checker) as jobs:
        api = CheckApi(checker, jobs)
        begun = await api.start_check({"urls": ["https://a.example/"]}, ADMIN)
        await arrivals(jobs.find(begun["id"]))
        fresh = await api.get_check({"id": begun["id"]}, ADMIN)
        clock.now += 100_000
        stale = await api.get_check({"id": begun["id"]}, ADMIN)

    assert (fresh["may_send"], stale["may_send"]) == (True, False)
    assert stale["gate"]["waits"] == [{"url": "https://a.example/", "why": "checked too long ago"}]
    assert stale["links"] == fresh["links"]

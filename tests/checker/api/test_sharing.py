"""Many authors at once: nobody waits for another's hosts, sees another's checks, or learns of them."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from checker.api.centre import SENDER, checking_centre, client, read_events
from checker.servers import site, status
from checker.world import Clock, Web, checking, mail
from processes import HANG_S, room

from linkrouter.checker.api.checks import CheckApi
from linkrouter.checker.api.jobs import CheckJobs
from linkrouter.checker.check import Checker
from linkrouter.checker.fetch.limits import HostLimits
from linkrouter.checker.shares import ASKER
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller, Tokens

SCOPES = frozenset({"checks"})
ONE, OTHER, SIBLING = "one-0123456789abcdef", "other-0123456789abcdef", "sibling-0123456789abcdef"
CALLERS = {
    ONE: Caller(SCOPES, 1),
    OTHER: Caller(SCOPES, 2),
    SIBLING: Caller(SCOPES, 1),
    SENDER: Caller(frozenset({"admin"})),
}


@asynccontextmanager
async def tenants(folder, **settings):
    """Serve a centre to three tenants' tokens; gives clients: one, other, sibling of one."""
    async with checking_centre(folder, tokens=Tokens.of_callers(CALLERS), **settings) as centre:
        tokens = (ONE, OTHER, SIBLING)
        one, other, sibling = (client(centre.origin, token) for token in tokens)
        async with one, other, sibling:
            yield one, other, sibling, centre.sender


async def check(caller, **body):
    """Check to the end as *caller*; gives the result."""
    begun = await caller.post("/v1/checks", json=body)
    assert begun.status_code == 202, begun.text
    location = begun.headers["Location"]
    async with caller.stream("GET", f"{location}/events") as stream:
        assert [event async for event in read_events(stream)][-1][1] == "done"
    return (await caller.get(location)).json()


async def test_a_tenants_token_sees_its_own_checks_only(tmp_path):
    async with site(status(200)) as (origin, _), tenants(tmp_path) as (one, other, sibling, admin):
        begun = await one.post("/v1/checks", json={"urls": [origin]})
        location = begun.headers["Location"]
        found = [(await who.get(location)).status_code for who in (one, sibling, admin, other)]
        streams = (await other.get(f"{location}/events")).status_code

    assert found == [200, 200, 200, 404]
    assert streams == 404


async def test_nobody_learns_from_the_cache_that_another_tenant_asked(tmp_path):
    numbers = iter(range(100))

    async def handler(request):
        if request.path == "/short":
            return web.Response(status=302, headers={"Location": f"/page?session={next(numbers)}"})
        return web.Response()

    async with site(handler) as (origin, seen), tenants(tmp_path) as (one, other, sibling, _):
        urls = [f"{origin}/short"]
        first = await check(one, urls=urls)
        asked = len(seen)
        foreign = await check(other, urls=urls)
        asked_anew = len(seen) - asked
        own = await check(sibling, urls=urls)
        again = await check(one, urls=urls)

    ways = [result["links"][0]["final_url"].rpartition("=")[2] for result in (first, foreign, own, again)]
    assert [result["links"][0]["cached"] for result in (first, foreign, own, again)] == [False, False, True, True]
    assert ways[0] == ways[2] == ways[3] != ways[1]
    assert asked == asked_anew == 4  # by HEAD and by GET, each with its redirect


async def test_an_authors_record_is_kept_for_each_tenant(tmp_path):
    async with checking(path=tmp_path / "links.db") as checker:
        for tenant in (1, 2):
            async for _ in checker.for_tenant(tenant).check(mail(f"https://a.example/{tenant}"), author="anna"):
                pass
        records = [await checker.for_tenant(tenant)._states.author("anna") for tenant in (1, 2, 3)]
        whole = await checker._states.author("anna")

    assert [record.good for record in records] == [1, 1, 0]
    assert whole.good == 0


async def test_the_gate_of_one_tenant_knows_nothing_of_anothers_checks():
    links = mail("https://a.example/")
    async with checking() as checker:
        async for _ in checker.for_tenant(1).check(links):
            pass
        answers = [(await checker.for_tenant(tenant).gate(links)).answer for tenant in (1, 2, None)]

    assert answers == ["send", "wait", "wait"]


class Hanging(Web):
    """A web in which one host never answers; requests go through real limits."""

    def __init__(self, limits):
        super().__init__()
        self.limits = limits
        self.hanging = 0

    async def __call__(self, url, deadline):
        async with self.limits.slot(url.split("/")[2]):
            if "hangs" in url:
                self.hanging += 1
                await asyncio.Event().wait()
            return await super().__call__(url, deadline)


async def test_no_check_waits_for_another_tokens_hanging_hosts():
    limits = HostLimits(overall=10)
    greedy, modest = Caller(SCOPES, None, token_id="greedy"), Caller(SCOPES, None, token_id="modest")
    web = Hanging(limits)
    async with checking(web) as checker, CheckJobs(checker, max_running=4) as jobs:
        hanging = [
            jobs.start(mail(*(f"https://hangs{n}.example/{m}" for n in range(50))), caller=greedy) for m in range(4)
        ]
        async with asyncio.timeout(HANG_S):
            while web.hanging < 10:
                await asyncio.sleep(0.01)
        refused = jobs.start(mail("https://more.example/"), caller=greedy)
        job = jobs.start(mail(*(f"https://fine{n}.example/" for n in range(30))), caller=modest)
        async with asyncio.timeout(5 * room()):
            found = [arrival async for arrival in job.follow() if arrival]

    assert all(hanging)
    assert refused is None
    assert [report.verdict for _, report in found] == ["fine"] * 30


async def test_a_checks_requests_are_made_on_behalf_of_its_token():
    seen = []

    async def fetch(url, deadline):
        seen.append(ASKER.get())
        return await Web()(url, deadline)

    async with checking(fetch) as checker, CheckJobs(checker) as jobs:
        job = jobs.start(mail("https://a.example/"), caller=Caller(SCOPES, token_id="abc"))
        [_ async for _ in job.follow()]

    assert seen == ["abc"]


async def test_one_tokens_links_leave_room_for_others():
    async def fetch(url, deadline):
        await asyncio.Event().wait()

    def links(number):
        return mail(*(f"https://a.example/{n}" for n in range(number)))

    async with checking(fetch) as checker, CheckJobs(checker, max_links_kept=20) as jobs:
        callers = [Caller(SCOPES, None, token_id=name) for name in "ab"]
        begun = [
            jobs.start(links(number), caller=callers[who]) is not None
            for who, number in ((0, 15), (0, 5), (0, 1), (1, 10), (1, 1))
        ]

    assert begun == [True, True, False, True, False]


async def ended(jobs, caller, *urls):
    job = jobs.start(mail(*urls), caller=caller)
    [_ async for _ in job.follow()]
    return job


async def test_ended_checks_of_the_token_that_has_most_are_forgotten_first():
    async with checking() as checker, CheckJobs(checker, max_links_kept=5) as jobs:
        small, large = (Caller(SCOPES, None, token_id=name) for name in ("small", "large"))
        kept = await ended(jobs, small, "#a")
        old = [await ended(jobs, large, f"#a{n}", f"#b{n}", f"#c{n}") for n in range(3)]
        newest = jobs.start(mail("#x"), caller=large)

        assert newest is not None
        assert jobs.find(kept.id) is kept
        assert jobs.find(old[0].id) is None


async def test_an_answer_is_one_snapshot_however_often_it_is_asked_for():
    release = asyncio.Queue()

    async def fetch(url, deadline):
        await release.get()
        return await Web()(url, deadline)

    async with checking(fetch) as checker, CheckJobs(checker) as jobs:
        api = CheckApi(checker, jobs)
        caller = Caller(SCOPES)
        begun = await api.start_check({"urls": [f"https://a{n}.example/" for n in range(100)]}, caller)
        answers = []
        while not answers or answers[-1]["state"] == "running":
            release.put_nowait(None)
            answers.append(await api.get_check({"id": begun["id"]}, caller))

    for answer in answers:
        waiting = [link for link in answer["links"] if not link["complete"]]
        assert answer["progress"]["done"] == 100 - len(waiting)
        assert (answer["state"] == "done") <= (not waiting)
        assert answer["may_send"] == (not waiting)
        assert {held["url"] for held in answer["gate"]["waits"]} == {link["url"] for link in waiting}


async def test_open_streams_are_bounded_and_let_go(tmp_path):
    async with checking(Web()) as checker, CheckJobs(checker) as jobs:
        api = CheckApi(checker, jobs, max_streams=2)
        one, other = Caller(SCOPES, token_id="one"), Caller(SCOPES, token_id="other")
        begun = await api.start_check({"urls": []}, one)
        streams = [await api.follow_check({"id": begun["id"]}, one) for _ in range(3)]
        others = await api.follow_check({"id": begun["id"]}, other)
        await streams[0].aclose()
        again = await api.follow_check({"id": begun["id"]}, one)

    assert streams[2] == Refusal(429)
    assert Refusal(429) not in (streams[0], streams[1], others)
    assert again == Refusal(429)  # two others of three places are held, so one is all that is left to share
    await streams[1].aclose()


async def test_a_stream_that_nobody_hears_lets_its_place_go(tmp_path):
    async def hang(_):
        await asyncio.Event().wait()

    async with site(hang) as (origin, _), tenants(tmp_path, total_timeout=30.0) as (one, _, _, _):
        location = (await one.post("/v1/checks", json={"urls": ["#top", origin]})).headers["Location"]
        for _ in range(100):
            async with one.stream("GET", f"{location}/events") as stream:
                assert stream.status_code == 200
                await anext(read_events(stream))
        async with asyncio.timeout(HANG_S):
            statuses = set()
            while 200 not in statuses:
                async with one.stream("GET", f"{location}/events") as stream:
                    statuses.add(stream.status_code)
                await asyncio.sleep(0.1)

    assert 200 in statuses


@pytest.mark.parametrize("size", [100, 500_000])
async def test_a_mail_that_is_still_read_counts_as_a_running_check(size):
    async with checking() as checker, CheckJobs(checker, max_running=1) as jobs:
        api = CheckApi(checker, jobs)
        caller = Caller(SCOPES, token_id="one")
        text = "https://a.example/ " + "x" * size
        found = await asyncio.gather(*(api.start_check({"text": text}, caller) for _ in range(3)))

    assert sorted(isinstance(each, Refusal) for each in found) == [False, True, True]


def test_a_clock_is_shared_by_all_tenants():
    clock = Clock()
    checker = Checker(Web(), None, clock=clock)

    assert checker.for_tenant(7)._clock is clock
    assert checker.for_tenant(7) is checker.for_tenant(7)
    assert checker.for_tenant(None) is checker

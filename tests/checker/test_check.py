"""The check: from the links of a mail to their verdicts, and what is remembered of them."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from aiohttp import web
from checker.farm import Farm
from checker.servers import LOOPBACK, site
from checker.world import CLEAN, LISTED, REVIEW, UNKNOWN, Clock, Lists, Web, checking, mail, reports
from processes import room

from linkrouter.checker.compose import open_checker
from linkrouter.checker.mail.extract import extract
from linkrouter.checker.verdict import FetchResult
from linkrouter.settings import CheckSettings

A, B = "https://a.example/1", "https://b.example/2"


async def test_every_link_gets_one_report_with_its_places():
    links = extract(f'<a href="{A}">x</a><a href="{A}">y</a><a href="{B}">z</a><a href="{{{{m}}}}">m</a>', "html")

    async with checking(Web({B: "not found"})) as checker:
        found = await reports(checker, links)

    assert {url: report.verdict for url, report in found.items()} == {A: "fine", B: "broken", "{{m}}": "skipped"}
    assert [place.text for place in found[A].places] == ["x", "y"]


async def test_what_is_known_is_reported_first():
    links = mail(A, "mailto:me@example.com")

    async with checking() as checker:
        order = [report.url async for report in checker.check(links)]

    assert order == ["mailto:me@example.com", A]


@pytest.mark.parametrize(
    ("page", "opinion", "verdict", "reason"),
    [
        ("answers", CLEAN, "fine", "answers"),
        ("answers", LISTED, "flagged", "listed"),
        ("not found", LISTED, "flagged", "listed"),
        ("timed out", LISTED, "flagged", "listed"),
        ("answers", REVIEW, "unverifiable", "listed for review"),
        ("not found", REVIEW, "broken", "not found"),
        ("answers", UNKNOWN, "fine", "answers"),
        ("answers", RuntimeError("provider"), "fine", "answers"),
        (RuntimeError("fetch"), CLEAN, "unverifiable", "check failed"),
    ],
)
async def test_a_listing_weighs_more_than_what_was_fetched(page, opinion, verdict, reason):
    async with checking(Web({A: page}), Lists(answers={"a.example": opinion})) as checker:
        report = (await reports(checker, mail(A)))[A]

    assert (report.verdict, report.reason) == (verdict, reason)


async def test_every_host_on_the_way_is_asked_about_once():
    lists = Lists(answers={"evil.example": LISTED})
    way = ["https://b.example/", "https://evil.example/", "https://c.example/3", "answers"]

    async with checking(Web({A: way, B: way}), lists) as checker:
        found = await reports(checker, mail(A, B, "https://a.example/other"))

    assert {url: report.verdict for url, report in found.items()} == {
        A: "flagged",
        B: "flagged",
        "https://a.example/other": "fine",
    }
    assert sorted(lists.asked) == ["a.example", "b.example", "c.example", "evil.example"]


@pytest.mark.parametrize("url", ["http://me@evil.example/", "https:\\\\evil.example/"])
async def test_a_malformed_link_is_not_fetched_but_its_host_is_asked_about(url):
    web = Web()

    async with checking(web, Lists(answers={"evil.example": LISTED})) as checker:
        found = await reports(checker, mail(url))

    assert (found[url].verdict, web.fetched) == ("flagged", [])


async def test_the_same_link_is_fetched_once_whoever_asks():
    begun, go_on = asyncio.Event(), asyncio.Event()
    fetched = []

    async def fetch(url, deadline):
        fetched.append(url)
        begun.set()
        await go_on.wait()
        return FetchResult("answers")

    async with checking(fetch) as checker:
        first = asyncio.create_task(reports(checker, mail(A), author="one"))
        await begun.wait()
        second = asyncio.create_task(reports(checker, mail(f"{A}#part"), author="two"))
        third = asyncio.create_task(reports(checker, mail(A)))
        await asyncio.sleep(0)
        third.cancel()
        go_on.set()
        found = await first, await second

    assert [report.verdict for each in found for report in each.values()] == ["fine", "fine"]
    assert fetched == [A]


async def test_a_check_ends_at_its_deadline_and_says_what_it_did_not_reach():
    async def fetch(url, deadline):
        if url == B:
            await asyncio.Event().wait()
        return FetchResult("answers")

    async with checking(fetch) as checker:
        found = await reports(checker, mail(A, B), within_s=0.1)
        decision = await checker.gate(mail(A, B))

    assert (found[A].verdict, found[B].verdict, found[B].reason) == ("fine", "unverifiable", "not reached in time")
    assert (decision.answer, [held.url for held in decision.waits]) == ("wait", [B])


async def test_fetching_does_not_wait_for_reputation():
    class Slow(Lists):
        go_on = asyncio.Event()

        async def ask(self, query):
            await self.go_on.wait()
            return LISTED

    slow = Slow()
    urls = [f"https://a.example/{number}" for number in range(30)]
    async with checking(Web(), slow) as checker:
        stream = checker.check(mail(*urls))
        first = [await anext(stream) for _ in urls]
        waiting = await checker.gate(mail(*urls))
        slow.go_on.set()
        then = [report async for report in stream]

    assert {(report.verdict, report.complete) for report in first} == {("fine", False)}
    assert {(report.verdict, report.complete) for report in then} == {("flagged", True)}
    assert (len(then), waiting.answer) == (30, "wait")


async def test_a_store_that_fails_costs_nobody_a_verdict_and_holds_the_mail(tmp_path):
    path = tmp_path / "links.db"

    async with checking(Web(), Lists(), path=path) as checker:
        with closing(sqlite3.connect(path)) as other, other:
            for table in ("check_links", "check_opinions", "check_history"):
                failing = f"BEFORE INSERT ON {table} BEGIN SELECT RAISE(FAIL, 'no space'); END"
                other.execute(f"CREATE TRIGGER fail_{table} {failing}")
        found = await reports(checker, mail(A))
        decision = await checker.gate(mail(A))

    assert (found[A].verdict, decision.answer) == ("fine", "wait")


async def test_an_abandoned_check_stops():
    begun = asyncio.Event()

    async def fetch(url, deadline):
        begun.set()
        await asyncio.Event().wait()

    async with checking(fetch) as checker:
        task = asyncio.create_task(reports(checker, mail(*(f"https://a.example/{number}" for number in range(50)))))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# What is remembered


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        ("answers", 3600),
        ("not found", 300),
        ("bot wall", 3600),
        ("timed out", 0),
        ("server error", 0),
        ("rate limited", 0),
        ("name lookup failed", 0),
    ],
)
async def test_a_verdict_is_taken_from_the_cache_for_as_long_as_its_kind_lasts(reason, seconds):
    web, clock = Web({A: reason}), Clock()

    async with checking(web, clock=clock) as checker:
        await reports(checker, mail(A))
        clock.now += max(seconds - 1, 0)
        again = (await reports(checker, mail(A)))[A]
        times_before = len(web.fetched)
        clock.now += 2
        await reports(checker, mail(A))

    assert (again.reason, again.cached) == (reason, seconds > 0)
    assert times_before == (1 if seconds else 2)
    assert len(web.fetched) == times_before + 1


async def test_a_link_that_has_been_good_is_believed_longer_up_to_a_day():
    web, clock = Web(), Clock()
    waits = []

    async with checking(web, clock=clock) as checker:
        for _ in range(7):
            begun = clock.now
            await reports(checker, mail(A))
            while (await reports(checker, mail(A)))[A].cached:
                clock.now += 1800
            waits.append((clock.now - begun) / 3600)

    assert waits == [1, 2, 4, 8, 16, 16, 16]


async def test_an_author_that_has_been_good_is_believed_longer_up_to_a_day():
    web, clock, lists = Web(), Clock(), Lists()
    many = mail(*(f"https://a.example/{number}" for number in range(60)))

    async with checking(web, lists, clock=clock) as checker:
        await reports(checker, many, author="proven")
        await reports(checker, mail(B), author="proven")
        await reports(checker, mail("https://c.example/3"), author="new")
        clock.now += 3 * 3600
        proven = (await reports(checker, mail(B), author="new"))[B]
        new = (await reports(checker, mail("https://c.example/3"), author="new"))["https://c.example/3"]

    assert (proven.cached, new.cached) == (True, False)


async def test_verdicts_of_other_rules_are_not_taken_from_the_cache(tmp_path):
    web = Web()

    for rules in (1, 1, 2):
        async with checking(web, path=tmp_path / "links.db", rules=rules) as checker:
            await reports(checker, mail(A))

    assert web.fetched == [A, A]


async def test_what_was_learnt_and_by_whom_is_kept(tmp_path):
    clock = Clock()
    async with checking(
        Web(), Lists(answers={"a.example": LISTED}), path=tmp_path / "links.db", clock=clock
    ) as checker:
        await reports(checker, mail(A), author="anna")

    with closing(sqlite3.connect(tmp_path / "links.db")) as db:
        history = db.execute("SELECT subject, source, answer, author, at FROM check_history ORDER BY source").fetchall()
    assert history == [("a.example", "dbl", "flagged", "anna", clock.now), (A, "fetch", "fine", "anna", clock.now)]
    assert (tmp_path / "links.db").stat().st_mode & 0o077 == 0


async def test_what_nobody_asked_for_in_three_months_is_forgotten(tmp_path):
    clock, path = Clock(), tmp_path / "links.db"
    async with checking(Web(), Lists(), path=path, clock=clock) as checker:
        await reports(checker, mail(A))
        clock.now += 60 * 86_400
        await reports(checker, mail(B))
        clock.now += 31 * 86_400
        await reports(checker, mail("https://c.example/3"))

    with closing(sqlite3.connect(path)) as db:
        links, opinions, history = (
            {row[0] for row in db.execute(sql)}
            for sql in (
                "SELECT key FROM check_links",
                "SELECT subject FROM check_opinions",
                "SELECT subject FROM check_history",
            )
        )
    assert links == {B, "https://c.example/3"}
    assert opinions == {"b.example", "c.example"}
    assert history == links | opinions


async def test_a_listing_is_believed_no_longer_than_its_source_allows():
    clock, lists = Clock(), Lists(answers={"a.example": LISTED})

    async with checking(Web(), lists, clock=clock) as checker:
        flagged = (await reports(checker, mail(A)))[A]
        lists.answers.clear()
        clock.now += LISTED.holds_s - 1
        still = (await reports(checker, mail(A)))[A]
        clock.now += 2
        free = (await reports(checker, mail(A)))[A]

    assert (flagged.verdict, still.verdict, free.verdict) == ("flagged", "flagged", "fine")


async def test_an_unknown_opinion_is_asked_for_again_at_once():
    lists = Lists(answers={"a.example": UNKNOWN})

    async with checking(Web(), lists) as checker:
        await reports(checker, mail(A))
        await reports(checker, mail(A))

    assert lists.asked == ["a.example", "a.example"]


async def test_a_host_that_wants_to_be_left_alone_is_left_alone_by_the_next_run_too(tmp_path):
    async def limited(_):
        return web.Response(status=429, headers={"Retry-After": "300"})

    settings = CheckSettings(allow_network=LOOPBACK, cache=tmp_path / "links.db")
    async with site(limited) as (origin, seen):
        for number in (1, 2):
            async with open_checker(settings) as checker:
                found = await reports(checker, extract(f'<a href="{origin}/{number}">x</a>', "html", local=True))

    assert found[f"{origin}/2"].reason == "rate limited"
    assert len(seen) == 1


# The real thing


async def test_the_farms_truth_is_told():
    settings = CheckSettings(allow_network=LOOPBACK, timeout=1.5 * room())

    async with Farm(hosts=5, links=200) as farm, open_checker(settings) as checker:
        found = await reports(checker, extract(farm.page(), "html", local=True))
        wrong = [(kind, found[url].reason) for url, right, kind in farm.truth() if found[url].verdict not in right]
        once = dict(farm.requests)
        early = farm.early
        again = await reports(checker, extract(farm.page(), "html", local=True))

    assert wrong == []
    assert early == 0
    assert once["hang", "HEAD"] == 4
    assert once["limited", "HEAD"] == once["limited", "GET"] + 4  # and one HEAD that came too early
    assert sum(report.cached for report in again.values()) == len(found) - once["hang", "HEAD"]


async def test_one_who_has_more_time_does_not_share_anothers_end():
    times = 0

    async def fetch(url, deadline):
        nonlocal times
        times += 1
        if times == 1:
            await asyncio.sleep(0.1)
            return FetchResult("not reached in time")
        return FetchResult("answers")

    async with checking(fetch) as checker:
        first = asyncio.create_task(reports(checker, mail(A), within_s=0.2))
        await asyncio.sleep(0.05)
        found = await reports(checker, mail(A))
        await first

    assert found[A].verdict == "fine"

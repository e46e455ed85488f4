"""Web Risk without telling Google the URL, against a server that speaks the Update API."""

import asyncio
import hashlib
import json
from base64 import urlsafe_b64decode
from contextlib import asynccontextmanager

import pytest
from checker.reputation.risk_server import corrupted, digest, risk_server
from checker.world import Clock
from processes import HANG_S

from linkrouter.checker.reputation.risk_lists import LIST_HOLDS_S
from linkrouter.checker.reputation.webrisk_update import WebRiskUpdate

EVIL, GOOD = "https://evil.example/a/page?token=secret", "https://good.example/a/page?token=secret"


@asynccontextmanager
async def asking(origin, clock=None, path=None, **options):
    source = WebRiskUpdate(lambda: "the-key", url=origin, clock=clock or Clock(), path=path, **options)
    try:
        yield source
    finally:
        await source.close()


def searches(server):
    return [query["hashPrefix"] for method, query in server.asked if method == "hashes:search"]


def downloads(server):
    return [query["threatType"] for method, query in server.asked if method == "threatLists:computeDiff"]


async def test_a_link_that_is_in_no_list_is_clean_and_nothing_is_asked_about_it():
    async with risk_server() as (origin, server), asking(origin) as source:
        server.listed["MALWARE"] = {"evil.example/"}
        opinion = await source.ask(GOOD)

    assert opinion.answer == "clean"
    assert sorted(downloads(server)) == sorted(server.listed)
    assert searches(server) == []


@pytest.mark.parametrize(
    ("listed", "blocks"),
    [
        ({"MALWARE": "evil.example/"}, True),
        ({"SOCIAL_ENGINEERING": "evil.example/a/page"}, True),
        ({"UNWANTED_SOFTWARE": "evil.example/a/page?token=secret"}, True),
        ({"SOCIAL_ENGINEERING_EXTENDED_COVERAGE": "evil.example/a/"}, False),
        ({"MALWARE": "evil.example/a/", "SOCIAL_ENGINEERING": "evil.example/"}, True),
    ],
)
async def test_a_link_is_listed_by_any_of_its_expressions(listed, blocks):
    async with risk_server() as (origin, server), asking(origin) as source:
        for name, expression in listed.items():
            server.listed[name] = {expression}
        opinion = await source.ask(EVIL)

    assert (opinion.answer, opinion.blocks) == ("listed", blocks)
    assert len(opinion.lists) == len(listed)


async def test_what_leaves_the_house_is_four_octets_of_a_hash():
    async with risk_server() as (origin, server), asking(origin) as source:
        server.listed["MALWARE"] = {"evil.example/a/page"}
        await source.ask(EVIL)
        await source.ask(GOOD)

    said = json.dumps(server.asked)
    assert [urlsafe_b64decode(prefix) for prefix in searches(server)] == [digest("evil.example/a/page")[:4]]
    assert not any(word in said for word in ("evil", "good", "page", "secret", "the-key"))


async def test_a_prefix_that_only_happens_to_be_the_same_is_clean_and_asked_about_once():
    async with risk_server() as (origin, server), asking(origin) as source:
        server.prefixes["MALWARE"] = {digest("good.example/")[:4]}
        opinions = [await source.ask(GOOD) for _ in range(3)]

    assert {opinion.answer for opinion in opinions} == {"clean"}
    assert len(searches(server)) == 1


async def test_a_longer_prefix_is_found_too():
    async with risk_server() as (origin, server), asking(origin) as source:
        server.listed["MALWARE"] = {"evil.example/"}
        server.sizes["evil.example/"] = 7
        server.prefixes["MALWARE"] = {digest("good.example/")[:5] + b"xx"}
        evil, good = await source.ask(EVIL), await source.ask(GOOD)

    assert (evil.answer, good.answer) == ("listed", "clean")
    assert len(urlsafe_b64decode(searches(server)[0])) == 7


async def test_a_match_is_used_until_it_expires_and_asked_for_again_then():
    clock = Clock(1_700_000_000.0)
    async with risk_server() as (origin, server), asking(origin, clock) as source:
        server.listed["MALWARE"] = {"evil.example/"}
        server.expires = "2023-11-14T22:18:20Z"  # five minutes later
        first = await source.ask(EVIL)
        clock.now += 299
        second = await source.ask(EVIL)
        clock.now += 2
        server.expires = "2023-11-14T22:30:00Z"
        third = await source.ask(EVIL)

    assert [opinion.answer for opinion in (first, second, third)] == ["listed"] * 3
    assert (first.holds_s, second.holds_s) == (300.0, 1.0)
    assert len(searches(server)) == 2


async def test_that_a_prefix_names_nothing_is_used_no_longer_than_it_may():
    clock = Clock(1_700_000_000.0)
    async with risk_server() as (origin, server), asking(origin, clock) as source:
        server.prefixes["MALWARE"] = {digest("good.example/")[:4]}
        server.negative_expires = "2023-11-14T22:18:20Z"
        first = await source.ask(GOOD)
        clock.now += 301
        server.listed["MALWARE"] = {"good.example/"}
        second = await source.ask(GOOD)

    assert (first.answer, first.holds_s) == ("clean", 300.0)
    assert second.answer == "listed"


async def test_lists_are_brought_up_to_date_by_differences_when_they_are_due():
    clock = Clock(1_700_000_000.0)
    async with risk_server() as (origin, server), asking(origin, clock) as source:
        server.listed["MALWARE"] = {f"old{n}.example/" for n in range(50)}
        server.next_diff = "2023-11-14T22:43:20Z"  # half an hour later
        first = await source.ask("https://new.example/")
        server.listed["MALWARE"] -= {f"old{n}.example/" for n in range(0, 50, 3)}
        server.listed["MALWARE"] |= {"new.example/"}
        early = await source.ask("https://new.example/")
        clock.now += 1801
        await source.ask("https://new.example/")
        await _until(lambda: len(downloads(server)) == 8)
        late, gone, stays = [await source.ask(f"https://{name}.example/") for name in ("new", "old3", "old4")]

    assert [opinion.answer for opinion in (first, early, late, gone, stays)] == [
        *("clean", "clean", "listed", "clean", "listed")
    ]
    tokens = [query.get("versionToken") for method, query in server.asked if method == "threatLists:computeDiff"]
    assert tokens[:4] == [None] * 4
    assert None not in tokens[4:8]


async def _until(condition):
    async with asyncio.timeout(HANG_S):
        while not condition():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)


async def test_a_list_whose_checksum_does_not_fit_is_fetched_anew():
    clock, spoilt = Clock(1_700_000_000.0), []

    def spoil(method, document):
        if method == "threatLists:computeDiff" and document["responseType"] == "DIFF" and not spoilt:
            spoilt.append(document["checksum"].update(sha256=corrupted(document["checksum"]["sha256"])))
        return document

    async with risk_server() as (origin, server), asking(origin, clock) as source:
        server.next_diff, server.spoil = "2023-11-14T22:43:20Z", spoil
        await source.ask(EVIL)
        server.listed["MALWARE"] = server.listed["SOCIAL_ENGINEERING"] = {"evil.example/"}
        clock.now += 1801
        await source.ask(EVIL)
        await _until(lambda: len(downloads(server)) == 9)
        opinion = await source.ask(EVIL)

    assert spoilt
    assert opinion.answer == "listed"


@pytest.mark.parametrize(
    "spoilt",
    [
        500,
        429,
        {},
        [],
        {"responseType": "RESET"},
        {"responseType": "RESET", "newVersionToken": "x", "checksum": {"sha256": "!"}},
        {
            "responseType": "RESET",
            "newVersionToken": "x",
            "checksum": {"sha256": "AAAA"},
            "additions": {"riceHashes": {}},
        },
        {"responseType": "RESET", "newVersionToken": "x", "checksum": {"sha256": ""}, "additions": {"rawHashes": [{}]}},
    ],
    ids=str,
)
async def test_without_a_list_every_answer_is_unknown(spoilt):
    async with risk_server() as (origin, server), asking(origin) as source:
        server.spoil = lambda method, document: spoilt
        opinions = [await source.ask(GOOD) for _ in range(3)]

    assert {opinion.answer for opinion in opinions} == {"unknown"}
    assert all(opinion.why for opinion in opinions)
    assert len(downloads(server)) <= 8  # and is not asked for again with every link


async def test_a_list_that_only_warns_may_be_missing():
    async with risk_server() as (origin, server), asking(origin) as source:
        server.spoil = lambda method, document: (
            400 if "EXTENDED" in server.asked[-1][1].get("threatType", "") else document
        )
        opinion = await source.ask(GOOD)

    assert opinion.answer == "clean"


async def test_a_list_is_used_for_a_while_without_its_service_and_not_for_longer():
    clock = Clock()
    async with risk_server() as (origin, server), asking(origin, clock) as source:
        server.next_diff = "2000-01-01T00:00:00Z"
        await source.ask(GOOD)
        server.spoil = lambda method, document: 503
        clock.now += LIST_HOLDS_S - 1
        still = await source.ask(GOOD)
        clock.now += 2
        late = await source.ask(GOOD)

    assert (still.answer, late.answer) == ("clean", "unknown")
    assert late.why == "the service answered 503"


@pytest.mark.parametrize(
    "spoilt",
    [500, [], {"threats": 5}, {"threats": [{}]}, {"threats": [{"hash": "AAAA", "threatTypes": ["MALWARE"]}]}],
    ids=str,
)
async def test_a_search_that_fails_is_unknown_and_never_clean(spoilt):
    async with risk_server() as (origin, server), asking(origin) as source:
        server.listed["MALWARE"] = {"evil.example/"}
        server.spoil = lambda method, document: spoilt if method == "hashes:search" else document
        opinion = await source.ask(EVIL)

    assert opinion.answer == "unknown"


@pytest.mark.parametrize(
    ("types", "answer", "blocks"),
    [(["MALWARE", "NEW"], "listed", True), (["NEW"], "unknown", False), ([], "unknown", False)],
)
async def test_a_list_that_nobody_knows_takes_nothing_from_one_that_stops_a_mail(types, answer, blocks):
    def spoil(method, document):
        if method == "hashes:search":
            document["threats"][0]["threatTypes"] = types
        return document

    async with risk_server() as (origin, server), asking(origin) as source:
        server.listed["MALWARE"], server.spoil = {"evil.example/"}, spoil
        opinion = await source.ask(EVIL)

    assert (opinion.answer, opinion.blocks) == (answer, blocks)


async def test_lists_survive_a_restart_in_their_file(tmp_path):
    path, clock = tmp_path / "checks.db.webrisk", Clock()
    async with risk_server() as (origin, server):
        server.listed["MALWARE"] = {"evil.example/"}
        async with asking(origin, clock, path) as source:
            await source.ask(EVIL)
            await _until(path.exists)
        first = len(downloads(server))
        async with asking(origin, clock, path) as source:
            opinion = await source.ask(EVIL)
            clean = await source.ask(GOOD)

    assert (first, len(downloads(server))) == (4, 4)
    assert (opinion.answer, clean.answer) == ("listed", "clean")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"x", None])
async def test_a_damaged_file_is_as_good_as_none(tmp_path, damage):
    path = tmp_path / "lists"
    async with risk_server() as (origin, server):
        server.listed["MALWARE"] = {"evil.example/"}
        async with asking(origin, path=path) as source:
            await source.ask(EVIL)
            await _until(path.exists)
        path.write_bytes(path.read_bytes().replace(b'"short": "', b'"short": "AAAA') if damage is None else damage)
        async with asking(origin, path=path) as source:
            opinion = await source.ask(EVIL)

    assert opinion.answer == "listed"
    assert len(downloads(server)) == 8


async def test_many_links_ask_for_a_list_and_a_prefix_once():
    async with risk_server() as (origin, server), asking(origin) as source:
        server.listed["MALWARE"] = {"evil.example/"}
        opinions = await asyncio.gather(*(source.ask(f"https://evil.example/{n}") for n in range(50)))

    assert {opinion.answer for opinion in opinions} == {"listed"}
    assert (len(downloads(server)), len(searches(server))) == (4, 1)


async def test_a_list_of_a_hundred_thousand_is_found_in():
    async with risk_server() as (origin, server), asking(origin) as source:
        server.prefixes["MALWARE"] = {hashlib.sha256(str(n).encode()).digest()[:4] for n in range(100_000)}
        server.listed["MALWARE"] = {"evil.example/"}
        evil, good = await source.ask(EVIL), await source.ask(GOOD)

    assert (evil.answer, good.answer) == ("listed", "clean")

"""Web Risk, against a server that answers like Google and unlike it."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from aiohttp import web
from checker.servers import answering, raw, site

from linkrouter.checker.reputation.webrisk import WebRisk

NOW = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
LATER = "2026-11-01T00:05:00.123456789Z"


async def ask(origin, url="https://example.com/a?b=c&d=%2F", **options):
    source = WebRisk(lambda: "the-key", url=origin, clock=lambda: NOW, **options)
    try:
        return await source.ask(url)
    finally:
        await source.close()


def json_of(document):
    async def handler(_):
        return web.json_response(document)

    return handler


async def test_one_url_is_asked_for_with_the_key_in_a_header():
    seen = []

    async def handler(request):
        seen.append(
            (request.path, request.query.getall("threatTypes"), request.query["uri"], request.headers["X-Goog-Api-Key"])
        )
        assert "the-key" not in request.raw_path
        return web.json_response({})

    async with site(handler) as (origin, _):
        opinion = await ask(origin)

    assert opinion.answer == "clean"
    assert seen == [
        (
            "/v1/uris:search",
            ["MALWARE", "SOCIAL_ENGINEERING", "UNWANTED_SOFTWARE", "SOCIAL_ENGINEERING_EXTENDED_COVERAGE"],
            "https://example.com/a?b=c&d=%2F",
            "the-key",
        )
    ]


@pytest.mark.parametrize(
    ("types", "blocks"),
    [
        (["MALWARE"], True),
        (["SOCIAL_ENGINEERING"], True),
        (["UNWANTED_SOFTWARE"], True),
        (["SOCIAL_ENGINEERING_EXTENDED_COVERAGE"], False),
        (["SOCIAL_ENGINEERING_EXTENDED_COVERAGE", "MALWARE"], True),
    ],
)
async def test_a_match_is_listed_until_its_expire_time(types, blocks):
    async with site(json_of({"threat": {"threatTypes": types, "expireTime": LATER}})) as (origin, _):
        opinion = await ask(origin)

    assert (opinion.answer, opinion.blocks) == ("listed", blocks)
    assert opinion.holds_s == pytest.approx(300.123456)
    assert len(opinion.lists) == len(types)


@pytest.mark.parametrize(
    ("expire_time", "holds_s"), [("2020-01-01T00:00:00Z", 0.0), (None, 60.0), ("soon", 60.0), (5, 60.0)]
)
async def test_a_match_without_a_usable_expire_time_is_asked_for_again_soon(expire_time, holds_s):
    async with site(json_of({"threat": {"threatTypes": ["MALWARE"], "expireTime": expire_time}})) as (origin, _):
        opinion = await ask(origin)

    assert (opinion.answer, opinion.holds_s) == ("listed", holds_s)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "",
        0,
        False,
        {"threat": {}},
        {"threat": None},
        {"threat": []},
        {"threat": {"threatTypes": []}},
        {"threat": {"threatTypes": ["THREAT_TYPE_UNSPECIFIED"], "expireTime": LATER}},
        {"threat": {"threatTypes": ["NEW_KIND"], "expireTime": LATER}},
        {"threat": {"threatTypes": [1], "expireTime": LATER}},
        {"error": {"code": 429}},
        {"ok": True},
    ],
    ids=json.dumps,
)
async def test_an_answer_that_is_not_documented_is_unknown(document):
    async with site(json_of(document)) as (origin, _):
        opinion = await ask(origin)

    assert (opinion.answer, opinion.why) == ("unknown", "the service answered garbage")


@pytest.mark.parametrize("number", [204, 302, 400, 403, 404, 429, 500, 503])
async def test_an_error_is_unknown(number):
    async def handler(_):
        return web.Response(status=number, text="{}", headers={"Location": "/"})

    async with site(handler) as (origin, seen):
        opinion = await ask(origin)

    assert (opinion.answer, opinion.why) == ("unknown", f"the service answered {number}")
    assert len(seen) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"\xff\xfe", b"[" * 60_000, b" " * 70_000 + b"{}", b""],
    ids=["html", "bytes", "deep", "long", "empty"],
)
async def test_garbage_is_unknown(body):
    async def handler(_):
        return web.Response(body=body)

    async with site(handler) as (origin, _):
        opinion = await ask(origin)

    assert (opinion.answer, opinion.why) == ("unknown", "the service answered garbage")


async def test_a_service_that_cuts_the_line_or_is_not_there_is_unknown():
    async with raw(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")) as (origin, _):
        cut = await ask(origin)
    gone = await ask(origin)

    assert {cut.answer, gone.answer} == {"unknown"}


async def test_a_service_that_hangs_is_unknown():
    async def talk(reader, _):
        await reader.read()

    async with raw(talk) as (origin, _):
        opinion = await ask(origin, timeout_s=0.2)

    assert (opinion.answer, opinion.why) == ("unknown", "the service did not answer in time")


async def test_no_more_than_a_few_requests_are_under_way_at_once():
    now, most = 0, 0

    async def handler(_):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return web.json_response({})

    async with site(handler) as (origin, _):
        source = WebRisk(lambda: "the-key", url=origin)
        await asyncio.gather(*(source.ask(f"https://example.com/{number}") for number in range(60)))
        await source.close()

    assert most <= 16

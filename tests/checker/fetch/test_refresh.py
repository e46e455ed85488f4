"""Redirects that stand outside `Location`."""

import gzip
import html
import time
import zlib

import pytest
from aiohttp import web
from checker.servers import fetching, site
from checker.world import LISTED, Lists, checking, reports

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.fetch.refresh import Refresh, find_refresh
from linkrouter.checker.mail.extract import extract


def page(body, kind="text/html"):
    return HttpAnswer(200, {"content-type": kind}, body.encode())


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("0; url=/x", "/x"),
        ("0;URL=/x", "/x"),
        ("0, url = /x", "/x"),
        ("0 url=/x", "/x"),
        ("0;/x", "/x"),
        ("0; '/x' and more", "/x"),
        ('0; url="/x"y', "/x"),
        ("9.9;url=/x", "/x"),
        (".5;url=/x", "/x"),
        (" 3 ; url=/x ", "/x"),
        ("0;url=url=/x", "url=/x"),
        ("0; urls/x", "urls/x"),
        ("10; url=/x", None),
        ("99999999999999999999; url=/x", None),
        ("5", None),
        ("0;", None),
        ("0; url=", None),
        ("0; url=''", None),
        ("now; url=/x", None),
        ("-1; url=/x", None),
        ("0x; url=/x", None),
        ("", None),
    ],
)
def test_a_refresh_is_read_as_browsers_read_it(text, url):
    header = find_refresh(HttpAnswer(200, {"refresh": text}))
    meta = find_refresh(page(f"<meta http-equiv='Refresh' content=\"{html.escape(text)}\">"))

    assert header == meta
    assert (header.url if header else None) == url


@pytest.mark.parametrize(
    "body",
    [
        '<meta http-equiv="refresh" content="0;url=/x">',
        "<META CONTENT=0;url=/x HTTP-EQUIV=refresh>",
        "<meta\nhttp-equiv = refresh content = '0;url=/x' />",
        "<noscript><meta http-equiv=refresh content='0;url=/x'></noscript>",
        "<!-- a --><p title='>'><meta http-equiv=refresh data-x='a>b' content='0;url=/x'>",
        "<meta charset=utf-8><meta http-equiv=refresh content='0;url=&#47;x'>",
        "<meta/http-equiv=refresh content='0;url=/x'>",
        "<meta http-equiv=refresh content='30;url=/late'><meta http-equiv=refresh content='0;url=/x'>",
    ],
)
def test_a_meta_refresh_is_found(body):
    assert find_refresh(page(body)) == Refresh("/x", 0)


@pytest.mark.parametrize(
    "answer",
    [
        page("<!-- <meta http-equiv=refresh content='0;url=/x'> -->"),
        page("<script>'<meta http-equiv=refresh content=\"0;url=/x\">'</script>"),
        page("<textarea><meta http-equiv=refresh content='0;url=/x'></textarea>"),
        page("<template><meta http-equiv=refresh content='0;url=/x'></template>"),
        page("&lt;meta http-equiv=refresh content='0;url=/x'&gt;"),
        page("<metal http-equiv=refresh content='0;url=/x'>"),
        page("<meta name=refresh content='0;url=/x'>"),
        page("<p>" * 10_000 + "<meta http-equiv=refresh content='0;url=/x'>"),
        page("<meta http-equiv=refresh content='0;url=/x'>", "text/plain"),
        page("<meta http-equiv=refresh content='0;url=/x'>", "application/pdf"),
    ],
    ids=lambda answer: answer.body.decode()[:40],
)
def test_what_a_browser_does_not_follow_is_not_found(answer):
    assert find_refresh(answer) is None


def test_a_refresh_starts_from_the_base_of_its_page():
    found = find_refresh(page("<base href='https://b.example/d/'><meta http-equiv=refresh content='0;url=x'>"))

    assert found == Refresh("x", 0, "https://b.example/d/")


@pytest.mark.parametrize(
    "piece", ["<meta ", "<meta a='", "<script", "<script>", "<!--", "<", "<meta http-equiv=refresh content='0"]
)
def test_hostile_markup_costs_little_time(piece):
    began = time.process_time()

    assert find_refresh(page(piece * 20_000)) is None
    assert time.process_time() - began < 2.0


def refreshing(header=None, meta=None, then=404):
    async def handler(request):
        if request.path != "/":
            return web.Response(status=then)
        body = f"<meta http-equiv=refresh content='{meta}'>" if meta else ""
        return web.Response(text=body, content_type="text/html", headers={"Refresh": header} if header else {})

    return handler


@pytest.mark.parametrize("how", ["header", "meta"])
async def test_a_refresh_is_followed_and_kept_as_evidence(how):
    async with site(refreshing(**{how: "3; url=gone"})) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("broken", "not found")
    assert [(hop.url, hop.note) for hop in fetched.hops[-2:]] == [(f"{origin}/", "refresh"), (f"{origin}/gone", "")]


@pytest.mark.parametrize(
    "value", ["5", "5; url=/", "0; url=http://", "0; url=#part"], ids=["itself", "its URL", "nowhere", "its part"]
)
async def test_a_page_that_refreshes_itself_or_nowhere_is_fine(value):
    async with site(refreshing(meta=value)) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("fine", "answers")


async def test_pages_that_lead_to_each_other_are_fine():
    async def handler(request):
        other = "/b" if request.path == "/a" else "/a"
        return web.Response(headers={"Refresh": f"5; url={other}"})

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/a")

    assert fetched.verdict == "fine"


async def test_a_page_that_sets_a_cookie_and_is_read_again_at_once_needs_cookies():
    async def handler(_):
        return web.Response(headers={"Refresh": "0; url=/", "Set-Cookie": "a=b"})

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("unverifiable", "needs cookies")


@pytest.mark.parametrize("packing", ["gzip", "deflate", "x-gzip"])
async def test_a_refresh_in_a_page_that_comes_packed_is_found(packing):
    async def handler(request):
        if request.path != "/":
            return web.Response(status=404)
        page = b"<meta http-equiv=refresh content='0;url=/gone'>" + bytes(2_000_000)
        body = zlib.compress(page) if packing == "deflate" else gzip.compress(page)
        return web.Response(body=body, headers={"Content-Encoding": packing, "Content-Type": "text/html"})

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("broken", "not found")


@pytest.mark.parametrize("body", [b"not packed", b"\x1f\x8b\x08", b"", gzip.compress(b"x" * 100, mtime=0)[:20]])
async def test_a_page_that_only_says_that_it_is_packed_is_read_as_it_is(body):
    async def handler(_):
        return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://10.0.0.1/", "address not public"),
        ("http://[::ffff:a9fe:a9fe]/", "address not public"),
        ("itms-apps://x/y", "leaves the web"),
    ],
)
async def test_where_a_refresh_leads_is_judged_anew(target, reason):
    async with site(refreshing(meta=f"0; url={target}")) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == reason
    assert {path for _, path in seen} == {"/"}


async def test_a_listed_page_behind_a_refresh_holds_the_send():
    async with (
        site(refreshing(meta="0; url=https://evil.example/")) as (origin, _),
        fetching() as fetch,
        checking(lambda url, _: fetch(url), Lists(answers={"evil.example": LISTED})) as checker,
    ):
        links = extract(f'<a href="{origin}/">x</a>', "html", local=True)
        found = await reports(checker, links)
        decision = await checker.gate(links)

    assert [report.verdict for report in found.values()] == ["flagged"]
    assert decision.answer == "block"

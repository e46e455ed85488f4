"""`HEAD` is a courtesy: what it says, when `GET` is asked, and which of the two is believed."""

import asyncio
import time
from ipaddress import ip_address

import pytest
from aiohttp import web
from checker.servers import answering, fetching, raw, site, status

from linkrouter.checker.fetch.limits import SECOND_OPINIONS, HostLimits

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"


def by_method(head, get):
    """Answer `HEAD` with one status and `GET` with another."""

    async def handler(request):
        return web.Response(status=head if request.method == "HEAD" else get)

    return handler


def methods(seen):
    return [method for method, _ in seen]


@pytest.mark.parametrize(
    "number", [400, 403, 404, 405, 406, 409, 412, 415, 418, 421, 422, 451, 500, 501, 502, 503, 999]
)
async def test_get_decides_after_any_error_of_head(number):
    async with site(by_method(number, 200)) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert methods(seen) == ["HEAD", "GET"]


@pytest.mark.parametrize(("number", "reason"), [(401, "needs a login"), (410, "gone"), (429, "rate limited")])
async def test_get_is_not_asked_where_head_is_believed(number, reason):
    async with site(by_method(number, 200)) as (origin, seen), fetching(within_s=0.8) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == reason
    assert methods(seen) == ["HEAD"]


@pytest.mark.parametrize(("number", "reason"), [(404, "not found"), (410, "gone"), (500, "server error")])
async def test_a_page_that_only_head_calls_fine_is_broken(number, reason):
    async with site(by_method(200, number)) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("broken", reason)
    assert methods(seen) == ["HEAD", "GET", "GET"]  # once more without the range


async def test_a_server_that_minds_the_range_is_asked_without_it():
    async def handler(request):
        return web.Response(status=416 if "Range" in request.headers else 200)

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, [hop.status for hop in fetched.hops]) == ("fine", [416, 200])


async def test_a_second_opinion_asks_for_the_first_kilobytes_alone():
    ranges = []

    async def handler(request):
        ranges.append((request.method, request.headers.get("Range")))
        return web.Response(status=206 if "Range" in request.headers else 200, body=b"x")

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert ranges == [("HEAD", None), ("GET", "bytes=0-16383")]


@pytest.mark.parametrize("get", [429, 503])
async def test_a_second_opinion_that_cannot_be_had_leaves_the_first(get):
    async def handler(request):
        return web.Response(status=200 if request.method == "HEAD" else get, headers={"Retry-After": "300"})

    async with site(handler) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert methods(seen) == ["HEAD", "GET"]


async def test_a_check_that_ends_during_the_second_opinion_knows_the_first():
    async def handler(request):
        if request.method == "GET":
            await asyncio.sleep(30)
        return web.Response()

    async with site(handler) as (origin, _), fetching(within_s=0.5) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"


async def test_second_opinions_have_a_budget_for_each_host():
    now = 1000.0
    limits = HostLimits(clock=lambda: now)

    taken = [limits.take_second_opinion("a.example") for _ in range(SECOND_OPINIONS + 1)]
    other = limits.take_second_opinion("b.example")
    now += 1.0
    later = limits.take_second_opinion("a.example")

    assert taken == [True] * SECOND_OPINIONS + [False]
    assert (other, later) == (True, True)


async def test_a_host_whose_budget_is_used_up_is_believed():
    limits = HostLimits(clock=lambda: 1000.0)
    async with site(by_method(200, 404)) as (origin, seen), fetching(limits=limits) as fetch:
        for _ in range(SECOND_OPINIONS):
            limits.take_second_opinion("127.0.0.1")
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert methods(seen) == ["HEAD"]


@pytest.mark.parametrize(("kind", "asked"), [("application/pdf", ["HEAD"]), ("text/html", ["HEAD", "GET"])])
async def test_files_of_hosts_that_answer_head_truly_need_no_second_opinion(kind, asked):
    async with (
        site(status(200, content_type=kind)) as (origin, seen),
        fetching(head_hosts=frozenset({"0.0.1"})) as fetch,  # a name covers its subdomains
    ):
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert methods(seen) == asked


async def test_head_may_hang_and_get_still_has_its_time():
    async def handler(request):
        if request.method == "HEAD":
            await asyncio.sleep(30)
        return web.Response()

    async with site(handler) as (origin, seen), fetching(link_timeout_s=2.0) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert methods(seen) == ["HEAD", "GET"]


async def test_a_page_that_takes_long_for_every_method_is_waited_for():
    async def handler(_):
        await asyncio.sleep(2.0)
        return web.Response()

    async with site(handler) as (origin, _), fetching(link_timeout_s=4.0) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"


async def test_looking_a_name_up_takes_nothing_from_the_share_of_head():
    async def resolve_host(_):
        await asyncio.sleep(1.5)
        return (ip_address("127.0.0.1"),)

    async with site(status(200)) as (origin, seen), fetching(resolve_host=resolve_host, link_timeout_s=4.0) as fetch:
        fetched = await fetch(f"http://slow.example:{origin.rpartition(':')[2]}/")

    assert fetched.verdict == "fine"
    assert methods(seen) == ["HEAD", "GET"]


async def test_get_starts_from_the_first_url_where_head_was_led_astray():
    async def handler(request):
        if request.path == "/error":
            return web.Response(status=404)
        return web.Response(status=302, headers={"Location": "/error"}) if request.method == "HEAD" else web.Response()

    async with site(handler) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/a")

    assert fetched.verdict == "fine"
    assert seen == [("HEAD", "/a"), ("HEAD", "/error"), ("GET", "/a")]


@pytest.mark.parametrize("location", ["/a", "http://", "http://10.0.0.1/", "/cookie"])
async def test_redirects_of_head_alone_decide_nothing(location):
    async def handler(request):
        headers = {"Location": location, "Set-Cookie": "a=b"}
        return web.Response(status=302, headers=headers) if request.method == "HEAD" else web.Response()

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/a")

    assert fetched.verdict == "fine"


@pytest.mark.parametrize("number", [502, 503, 504, 520, 522, 530])
async def test_a_gateway_that_failed_is_asked_once_more_after_a_pause(number):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    async def handler(request):
        return web.Response(status=200 if len(pauses) >= 2 else number)  # the first is before GET

    async with site(handler) as (origin, seen), fetching(sleep=sleep) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert methods(seen) == ["HEAD", "GET", "GET"]
    assert pauses[1] > 0.5


async def test_a_gateway_that_goes_on_failing_is_broken():
    async def sleep(_):
        pass

    async with site(status(502)) as (origin, seen), fetching(sleep=sleep) as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("broken", "server error")
    assert methods(seen) == ["HEAD", "GET", "GET"]


async def test_retry_after_beside_another_refusal_does_not_keep_get_away():
    async def handler(request):
        return web.Response(status=404 if request.method == "HEAD" else 200, headers={"Retry-After": "60"})

    async with site(handler) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, len(seen)) == ("fine", 2)


async def test_a_403_with_retry_after_is_a_rate_limit():
    headers = {"Retry-After": "300"}
    async with site(status(403, headers=headers)) as (origin, seen), fetching() as fetch:
        first, second = await fetch(f"{origin}/1"), await fetch(f"{origin}/2")

    assert {(each.verdict, each.reason) for each in (first, second)} == {("unverifiable", "rate limited")}
    assert len(seen) == 1


@pytest.mark.parametrize("text", ["soon", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "9" * 400])
@pytest.mark.parametrize(("number", "reason"), [(403, "forbidden"), (503, "server error"), (200, "answers")])
async def test_a_retry_after_that_cannot_be_read_changes_nothing(number, reason, text):
    async def sleep(_):
        pass

    headers = {"Retry-After": text}
    async with site(status(number, headers=headers)) as (origin, _), fetching(sleep=sleep) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == reason


async def test_a_server_that_hangs_up_on_head_is_asked_with_get():
    async def talk(reader, writer):
        await answering(PAGE)(reader, writer) if seen[-1].startswith("GET") else writer.transport.abort()

    async with raw(talk) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"


async def test_a_link_to_unsubscribe_that_answers_head_gets_no_get():
    async with site(status(200)) as (origin, seen), fetching() as fetch:
        found = [
            await fetch(f"{origin}/{path}") for path in ("unsubscribe?a=1", "abmelden", "d%C3%A9sinscription", "optout")
        ]

    assert {each.verdict for each in found} == {"fine"}
    assert set(methods(seen)) == {"HEAD"}


async def test_a_dead_host_is_asked_once():
    began = time.monotonic()
    async with fetching() as fetch:
        fetched = await fetch("http://127.0.0.1:1/")

    assert [hop.method for hop in fetched.hops] == ["HEAD"]
    assert time.monotonic() - began < 30

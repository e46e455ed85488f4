"""Rate limits: Retry-After, and a host's share of requests."""

import asyncio
import time

import pytest
from aiohttp import web
from checker.servers import fetching, site, status

from linkrouter.checker.fetch.limits import HostLimits


@pytest.mark.parametrize("number", [403, 429, 503])
async def test_retry_after_is_waited_for(number):
    first = []

    async def handler(_):
        first.append(time.monotonic())
        early = time.monotonic() - first[0] < 1.0
        return web.Response(status=number, headers={"Retry-After": "1"}) if early else web.Response()

    async with site(handler) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert [method for method, _ in seen] == ["HEAD", "HEAD", "GET"]


async def test_a_success_does_not_wipe_the_wait_of_its_host():
    times = {}

    async def handler(request):
        times.setdefault(request.path, []).append(time.monotonic())
        if request.path == "/limited" and len(times["/limited"]) == 1:
            return web.Response(status=429, headers={"Retry-After": "1"})
        if request.path == "/slow":
            await asyncio.sleep(0.2)
        return web.Response()

    async with site(handler) as (origin, _), fetching() as fetch:
        limited, slow = await asyncio.gather(fetch(f"{origin}/limited"), fetch(f"{origin}/slow"))
        later = await fetch(f"{origin}/later")

    assert {limited.verdict, slow.verdict, later.verdict} == {"fine"}
    assert min(times["/limited"][1], times["/later"][0]) - times["/limited"][0] >= 1.0


async def test_a_wait_beyond_the_deadline_is_not_begun():
    async with site(status(429, headers={"Retry-After": "300"})) as (origin, seen), fetching() as fetch:
        first = await fetch(f"{origin}/1")
        second = await fetch(f"{origin}/2")

    assert (first.verdict, first.reason) == ("unverifiable", "rate limited")
    assert (second.reason, [hop.note for hop in second.hops]) == ("rate limited", ["not requested"])
    assert len(seen) == 1


async def test_a_host_that_never_stops_complaining_is_left_alone():
    async with site(status(429, headers={"Retry-After": "0"})) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == "rate limited"
    assert len(seen) == 4
    assert {method for method, _ in seen} == {"HEAD"}


async def test_no_host_gets_more_than_its_share_at_a_time():
    now, most = 0, 0

    async def handler(_):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.Response()

    async with site(handler) as (origin, _), fetching(limits=HostLimits(per_host=3)) as fetch:
        await asyncio.gather(*(fetch(f"{origin}/{number}") for number in range(20)))

    assert most == 3

"""Connecting to one of several addresses."""

import asyncio
import socket
import time
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_address, ip_network

import pytest

from linkrouter.dial.dialer import Dialer, ForbiddenAddress

ALLOWED = (ip_network("127.0.0.0/8"), ip_network("::1"), ip_network("2001:db8::/32"))


def dialer(*addresses, allowed=ALLOWED):
    async def resolve_host(_):
        return tuple(map(ip_address, addresses))

    return Dialer(allowed, resolve_host)


@asynccontextmanager
async def listening(address="127.0.0.1"):
    """Accept connections there; gives the port, and the number of those that came."""
    came = []

    async def connected(_, writer):
        came.append(writer.get_extra_info("sockname")[0])
        writer.close()

    server = await asyncio.start_server(connected, address, 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()


def swallow(address, port, stack):
    """Let every connection there time out: a listener whose queue is full drops what comes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    stack.enter_context(socket.create_server((address, port), family=family, backlog=0))
    for _ in range(3):
        filler = stack.enter_context(socket.socket(family))
        filler.setblocking(False)
        filler.connect_ex((address, port))


@pytest.mark.parametrize("dead", [1, 2, 4, 12])
async def test_addresses_that_swallow_packets_cost_no_connection(dead):
    addresses = [f"127.0.7.{number}" for number in range(1, dead + 1)]

    async with listening() as (port, _):
        with ExitStack() as stack:
            for address in addresses:
                swallow(address, port, stack)
            began = time.monotonic()
            connection = await dialer(*addresses, "127.0.0.1").connect("many.example", port)
            took = time.monotonic() - began
            connection.close()

    assert took < 3.0


async def test_an_address_that_refuses_is_passed_over_at_once():
    addresses = [f"127.0.8.{number}" for number in range(1, 15)]

    async with listening() as (port, came):
        connection = await dialer(*addresses, "127.0.0.1").connect("many.example", port)
        connection.close()
        await asyncio.sleep(0.05)

    assert came == ["127.0.0.1"]


async def test_families_take_turns_so_that_many_of_one_leave_room_for_the_other():
    dead = [f"2001:db8::{number:x}" for number in range(1, 100)]

    async with listening() as (port, _):
        connection = await dialer(*dead, "127.0.0.1").connect("many.example", port)
        connection.close()


async def test_the_family_that_swallows_packets_is_overtaken():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with listening() as (port, _):
        with ExitStack() as stack:
            swallow("::1", port, stack)
            connection = await dialer("::1", "127.0.0.1").connect("two.example", port)
            connection.close()


async def test_the_address_that_won_is_tried_first_the_next_time():
    async with listening() as (port, _):
        dialled = dialer("127.0.7.98", "127.0.7.99", "127.0.0.1")
        (await dialled.connect("three.example", port)).close()

    assert list(map(str, dialled._vetted["three.example", port][1])) == ["127.0.0.1", "127.0.7.98", "127.0.7.99"]


async def test_a_name_of_which_every_address_swallows_packets_times_out():
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        for number in (1, 2):
            swallow(f"127.0.9.{number}", port, stack)
        with pytest.raises(TimeoutError):
            await dialer("127.0.9.1", "127.0.9.2").connect("dead.example", port, 0.6)


async def test_a_name_of_which_every_address_refuses_is_refused():
    with pytest.raises(ConnectionRefusedError):
        await dialer("127.0.0.1", "127.0.0.2").connect("dead.example", 1)


@pytest.mark.parametrize("bad", ["10.0.0.1", "169.254.169.254", "::", "fe80::1"])
@pytest.mark.parametrize("first", [True, False])
async def test_one_bad_address_among_good_ones_forbids_all(bad, first):
    async with listening() as (port, came):
        addresses = (bad, "127.0.0.1") if first else ("127.0.0.1", bad)
        with pytest.raises(ForbiddenAddress):
            await dialer(*addresses).connect("mixed.example", port)

    assert came == []

"""Host names to addresses, by the machine's own resolver."""

import socket
import threading
from ipaddress import ip_address

import pytest

from linkrouter.dial.resolve import resolve


async def test_a_name_of_this_machine_is_resolved():
    assert set(await resolve("localhost")) <= {ip_address("127.0.0.1"), ip_address("::1")}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "192.0.2.1"])
async def test_an_address_is_itself_and_asks_nobody(host):
    before = threading.active_count()

    assert await resolve(host) == (ip_address(host.strip("[]")),)
    assert threading.active_count() == before


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", ".", "a" * 300])
async def test_what_is_no_host_name_does_not_exist(host):
    with pytest.raises(socket.gaierror):
        await resolve(host)

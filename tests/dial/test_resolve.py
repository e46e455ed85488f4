"""Host names to addresses, by the machine's own resolver."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from ipaddress import ip_address
from pathlib import Path

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


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "address"), [("A", "11.0.0.1"), ("AAAA", "2a00:1::1")])
def test_a_name_server_that_is_deaf_to_one_family_hides_nothing_of_the_other(kind, address):
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("it needs root, unshare and ip: its name server stands in a namespace of its own")
    root = Path(__file__).parents[2]
    command = ["unshare", "-n", "-m", sys.executable, root / "tests/dial/deaf_names.py", kind]

    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(root)}
    )

    assert done.returncode == 0, done.stderr[-2000:]
    found, seconds = done.stdout.split()
    assert found == address
    assert float(seconds) < 4.0

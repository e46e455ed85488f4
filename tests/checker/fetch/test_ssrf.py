"""Ways to a private address: none gets through."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checker.ssrf import Names, direct_ways, fetch_all, led_ways

REFUSED = {"address not public", "malformed", "port not checked", "host does not exist"}


async def test_a_private_address_is_refused_in_every_spelling_and_under_every_name():
    found = await fetch_all(list(direct_ways()), Names())

    assert {url: reason for url, reason in found.items() if reason not in REFUSED} == {}


def test_there_are_more_ways_than_anybody_has_tried():
    assert len({*direct_ways(), *led_ways()}) > 300


@pytest.mark.slow
def test_no_way_reaches_a_private_address_where_every_address_listens():
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("it needs root, unshare and ip: it runs in a network namespace of its own")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so no certificates can be made")
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"}
    command = ["unshare", "-n", sys.executable, root / "tests/checker/ssrf.py"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert set(result["control"].values()) == {"answers"}
    assert result["reached"] == []
    assert set(result["ways"]) == {*direct_ways(), *led_ways()}

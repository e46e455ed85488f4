"""A disk that fails at the Nth call, for every N: what was kept arrives, and one failure refuses nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from faults.shim import build_shim, on_failing_disk

SWEEP = Path(__file__).with_name("fault_sweep.py")
DEADLINE_S = 900  # for one sweep; alone it takes a fiftieth of that
FOR_EVER = 0
# fault, how many calls fail, every which N is tried in the short run
FAULTS = [
    ("write-eio", 1, 7),
    ("write-eio", FOR_EVER, 7),
    ("write-enospc", 1, 7),
    ("write-enospc", FOR_EVER, 7),
    ("sync-eio", 1, 2),
    ("sync-eio", FOR_EVER, 2),
    ("sync-slow", FOR_EVER, 8),
    ("kill", 1, 7),
    ("kill-salvage", 1, 3),
]


@pytest.fixture(scope="module")
def shim(tmp_path_factory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


def sweep(shim, directory, fault, times, step) -> dict:
    """Run the program with a fault at every *step*th call, and give what it has to say."""
    command = [sys.executable, SWEEP, str(directory), fault, str(times), str(step)]
    ran = subprocess.run(command, env=on_failing_disk(shim, "/spool/"), capture_output=True, timeout=DEADLINE_S)
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


@pytest.mark.parametrize(("fault", "times", "step"), FAULTS)
def test_nothing_that_was_kept_is_lost(shim, tmp_path, fault, times, step):
    result = sweep(shim, tmp_path, fault, times, step)

    assert result["calls"] > step
    assert result["wrong"] == {}


@pytest.mark.faults
@pytest.mark.parametrize(("fault", "times"), [(fault, times) for fault, times, _ in FAULTS])
def test_nothing_that_was_kept_is_lost_for_every_call(shim, tmp_path, fault, times):
    result = sweep(shim, tmp_path, fault, times, 1)

    assert result["wrong"] == {}

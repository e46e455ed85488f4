"""A region on this machine, where HAProxy is installed."""

import os
import shutil

import pytest
from haproxy.machine import Machine

os.environ["PATH"] += ":/usr/sbin"  # where Debian puts it, out of an ordinary user's sight


@pytest.fixture(scope="module")
def make_machine(tmp_path_factory):
    """A function that makes machines; all are stopped in the end."""
    for program, package in (("haproxy", "haproxy"), ("openssl", "openssl")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; run: apt-get install {package}")
    machines = []

    def make(**options) -> Machine:
        machines.append(Machine(tmp_path_factory.mktemp("region"), **options))
        return machines[-1]

    yield make
    for machine in machines:
        machine.end()


@pytest.fixture(scope="module")
def machine(make_machine):
    """A region that serves, its blue pair active."""
    machine = make_machine()
    machine.begin()
    return machine

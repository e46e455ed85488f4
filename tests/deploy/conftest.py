"""Packages of two versions, and machines to install them on."""

import os

import pytest
from deploy.debian import DebianMachine, make_base, make_bundle, make_package, why_no_machine


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The package as 0.1.0 and as 0.1.1."""
    if why := why_no_machine():
        pytest.skip(why)
    make_bundle()  # collects the wheels, for the packages, too
    folder = tmp_path_factory.mktemp("packages")
    return {version: make_package(folder, version) for version in ("0.1.0", "0.1.1")}


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    """A fresh Debian that has booted."""
    if why := why_no_machine():
        pytest.skip(why)
    make_base()
    machine = DebianMachine(tmp_path_factory.mktemp("debian"), f"lr{os.getpid()}")
    try:
        machine.boot()
        yield machine
    finally:
        machine.end()

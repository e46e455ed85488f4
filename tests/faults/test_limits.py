"""Routers that run out of files, of memory, of keys, and of a sane clock."""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from processes import free_port, room, wait_until


def open_files(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


@contextlib.contextmanager
def limited(process, limit, value):
    """Set a soft limit of a running *process*."""
    before = resource.prlimit(process.pid, limit)
    resource.prlimit(process.pid, limit, (value, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, limit, before)


@pytest.mark.faults
def test_a_router_without_files_keeps_its_connections_and_recovers(scene, report):
    scene.start()
    with scene.frozen(scene.router):
        scene.pass_s(0.3)  # so that the load has connections to spare
    scene.wait_for_life(time.monotonic())

    for _ in range(3):
        with limited(scene.router, resource.RLIMIT_NOFILE, open_files(scene.router)), contextlib.ExitStack() as stack:
            for _ in range(100):
                with contextlib.suppress(OSError):
                    stack.enter_context(socket.create_connection(("127.0.0.1", scene.port), 1))
            scene.pass_s(2)
        scene.wait_for_life(time.monotonic())

    report("a router runs out of files", "prlimit --nofile, and 100 connections", 3)


@pytest.mark.faults
def test_a_router_without_memory_ends_and_is_not_left_deaf(scene, report):
    scene.start()

    for _ in range(3):
        with open(f"/proc/{scene.router.pid}/statm") as statm:
            used_bytes = int(statm.read().split()[0]) * resource.getpagesize()
        resource.prlimit(scene.router.pid, resource.RLIMIT_AS, (used_bytes, resource.RLIM_INFINITY))
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for _ in range(500):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", scene.port), 1))
                client.sendall(b"GET /" + b"a" * 4000)
        scene.wait_for_death()

    report("a router gets no more memory", "prlimit --as, and 500 long requests", 3, outages=True)


@pytest.mark.parametrize(
    "content",
    ["", *(pytest.param(text, marks=pytest.mark.faults) for text in ("{", '{"keys": [{"id": 1, "sec', '{"keys": []}'))],
    ids=["empty", "brace", "cut", "without keys"],
)
def test_a_bad_keyring_keeps_a_router_from_starting_and_one_that_runs_from_nothing(scene, report, content):
    scene.start()
    good = (scene.home.path / "keys.json").read_bytes()

    (scene.home.path / "keys.json").write_text(content)
    late = scene.launch_router(free_port())
    assert late.wait(10 * room()) == 3
    for _ in range(3):
        kept = scene.home.log().count("keyring.kept")
        scene.router.send_signal(signal.SIGHUP)
        wait_until(lambda kept=kept: scene.home.log().count("keyring.kept") > kept)
    scene.pass_s(1)
    (scene.home.path / "keys.json").write_bytes(good)
    scene.router.send_signal(signal.SIGHUP)
    wait_until(lambda: "keyring.unchanged" in scene.home.log())
    scene.wait_for_life(time.monotonic())

    report("the keyring is spoilt", f"{len(content)} bytes, at a start and at SIGHUP", 4)


@pytest.mark.faults
def test_a_keyring_that_others_may_read_is_not_used(scene, report):
    scene.start()
    keyring = scene.home.path / "keys.json"

    keyring.chmod(0o644)
    assert scene.launch_router(free_port()).wait(10 * room()) == 3
    scene.router.send_signal(signal.SIGHUP)
    wait_until(lambda: "keyring.kept" in scene.home.log())
    keyring.chmod(0o600)
    scene.wait_for_life(time.monotonic())

    report("the keyring is readable by all", "chmod 644, at a start and at SIGHUP", 2)


CLOCKS = ("+1h", "-1h", "+3650d", "-3650d", "+0")


@pytest.mark.faults
def test_a_clock_that_steps_moves_no_timer_and_loses_no_click(scene, report):
    library = find_faketime()
    file = scene.home.path / "clock"
    file.write_text("+0")
    scene.environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    scene.start()

    for clock in CLOCKS:
        file.write_text(clock)
        scene.pass_s(1.5)
        scene.wait_for_life(time.monotonic())

    report("the clock steps", f"faketime, {', '.join(CLOCKS[:-1])} and back", len(CLOCKS))
    assert scene.dropped() == {}


def find_faketime():
    """Give the library of the package faketime; skips the test where there is none."""
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    said = subprocess.run(["faketime", "-f", "+0", "sh", "-c", "echo $LD_PRELOAD"], capture_output=True, text=True)
    return Path(said.stdout.strip())

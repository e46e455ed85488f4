"""Routers that end or freeze without notice: never a redirect, and at most 50 ms of clicks."""

import random
import socket
import struct
import time

import pytest
from faults.front import start_front
from processes import free_port, wait_until


def start_pair(scene, *options):
    """Start two routers on one spool, HAProxy before them and a load that goes there."""
    scene.options = options
    scene.start_central()
    pair = [scene.start_router(free_port()) for _ in range(2)]
    scene.home.processes.append(start_front(scene.home.path, scene.port, [router.port for router in pair]))
    wait_until(lambda: scene.home.answers(scene.port, "/-/ready"))
    scene.start_load()
    return pair


@pytest.mark.parametrize("kills", [10, pytest.param(40, marks=pytest.mark.faults)])
def test_a_kill_costs_no_more_than_one_commit_interval_of_clicks(scene, report, kills):
    chance = random.Random(kills)
    scene.start()

    for _ in range(kills):
        scene.pass_s(chance.uniform(0.1, 0.5))
        scene.kill_router()

    report("the only router is killed", "SIGKILL at random times, started again at once", kills, outages=True)


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.faults)])
def test_a_killed_worker_costs_no_more_than_a_killed_router(scene, report, kills):
    chance = random.Random(kills)
    scene.workers = 2
    scene.start()

    for _ in range(kills):
        scene.pass_s(chance.uniform(0.1, 0.5))
        scene.kill_worker(chance.randrange(2))

    report("one worker of two is killed", "SIGKILL at random times, its supervisor starts another", kills, outages=True)


@pytest.mark.faults
def test_two_hundred_kills_behind_haproxy_cost_no_redirect(scene, report):
    chance = random.Random(200)
    pair = start_pair(scene)

    for number in range(200):
        # Not before HAProxy knows the last one again: both dead at once is another fault.
        scene.pass_s(chance.uniform(0.8, 1.2))
        scene.router = pair[number % 2]
        scene.kill_router()
        pair[number % 2] = scene.router

    report("one router of two is killed", "SIGKILL in turn, behind HAProxy", 200)


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_a_frozen_router_behind_haproxy_costs_no_redirect_and_doubles_no_click(scene, report, seconds):
    pair = start_pair(scene)

    for router in pair:
        with scene.frozen(router):
            scene.pass_s(seconds)
        scene.wait_for_life(time.monotonic())

    report("one router of two is frozen", f"SIGSTOP for {seconds} s, behind HAProxy", 2)


def test_a_frozen_router_answers_late_and_loses_nothing(scene, report):
    scene.start()

    for seconds in (0.5, 2.0):
        with scene.frozen(scene.router):
            scene.pass_s(seconds)
        scene.wait_for_life(time.monotonic())

    report("the only router is frozen", "SIGSTOP for 0.5 and 2 s", 2)


@pytest.mark.faults
def test_a_router_with_a_tenth_of_a_core_answers_everything(scene, report):
    scene.rate = 100.0
    scene.start()

    for _ in range(60):
        with scene.frozen(scene.router):
            scene.pass_s(0.09)
        scene.pass_s(0.01)
    scene.wait_for_life(time.monotonic())

    report("a router gets a tenth of the time", "SIGSTOP for 90 ms of every 100", 60)


def test_a_request_whose_sender_has_gone_is_not_counted_under_another_id(scene, report):
    scene.start()
    link = scene.load.links[0]

    with scene.frozen(scene.router):
        for number in range(50):
            hang_up_after(scene.port, link.path, f"retried-{number:04d}")
        scene.pass_s(0.3)
    scene.wait_for_life(time.monotonic())

    report("a proxy gives up on a frozen router", "reset before it was accepted", 50)


def hang_up_after(port, path, click_id):
    """Send a request and reset the connection, as a proxy does that asks another router."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {click_id}\r\n\r\n".encode())

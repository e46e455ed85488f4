"""Kills where clicks go through a ring: of the worker, the carrier, both and their supervisor, and no click is lost."""

import os
import random
import signal
import time

import pytest
from processes import wait_until

KILLS = 200
KILLED = {
    "the worker": ("--worker 0",),
    "the carrier": ("--carrier",),
    "worker and carrier": ("--worker 0", "--carrier"),
    "one worker of two": ("--worker 1",),
}


def test_no_kill_costs_a_click(scene, report):
    scene.ring, scene.workers = True, 2
    scene.start()

    for roles in (*KILLED.values(), ("--worker 0", "--worker 1", "--carrier")):
        scene.pass_s(0.3)
        scene.kill_children(*roles)
    scene.pass_s(0.3)
    scene.kill_supervisor()

    report("each process is killed", "SIGKILL in turn, with a ring", len(KILLED) + 2, outages=True)


@pytest.mark.faults
@pytest.mark.parametrize("killed", KILLED)
def test_two_hundred_kills_cost_no_click(scene, report, killed):
    chance = random.Random(KILLS)
    scene.ring, scene.workers = True, 2 if "two" in killed else 1
    scene.start()

    for _ in range(KILLS):
        scene.pass_s(chance.uniform(0.1, 0.5))
        scene.kill_children(*KILLED[killed])

    is_felt = killed != "the carrier"  # which recipients never meet
    report(f"{killed} is killed", "SIGKILL at random times, with a ring", KILLS, outages=is_felt)


@pytest.mark.faults
def test_two_hundred_kills_of_a_supervisor_cost_no_click(scene, report):
    chance = random.Random(KILLS)
    scene.ring = True
    scene.start()

    for _ in range(KILLS):
        scene.pass_s(chance.uniform(0.1, 0.5))
        scene.kill_supervisor()

    report("the supervisor is killed", "SIGKILL at random times, with a ring", KILLS, outages=True)


def test_a_router_whose_carrier_stands_still_is_not_ready_and_drops_what_finds_no_room(scene, report):
    scene.ring = True
    scene.start("--ring-bytes", "1M")
    (carrier,) = [pid for pid, command in scene.processes_of(scene.router).items() if "--carrier" in command]

    os.kill(carrier, signal.SIGSTOP)
    wait_until(lambda: not scene.is_ready())
    wait_until(lambda: scene.dropped().get("queue_full", 0) > 100, 60)
    os.kill(carrier, signal.SIGCONT)
    wait_until(scene.is_ready)
    scene.wait_for_life(time.monotonic())

    report("the carrier stands still", "SIGSTOP for longer than the ring lasts", 1)


def test_a_router_that_is_stopped_leaves_nothing_in_its_ring(scene):
    scene.ring = True
    scene.start()

    scene.pass_s(0.5)
    scene.load.stop()
    scene.router.terminate()

    assert scene.router.wait(30) == 0
    assert scene.rings_waiting() == 0
    answered = {one.id for one in scene.load.requests if one.is_answered}
    wait_until(lambda: answered <= set(scene.ids_at_the_centre()))

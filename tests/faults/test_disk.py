"""Disks that are full, refuse, forget and hang: redirects go on, and what does not fit into memory is counted."""

import itertools
import signal
import time

import pytest
from faults.disk import FailingDisk, fill, small_disk
from processes import room, wait_until


@pytest.fixture
def disk(scene):
    """A disk that fails when told to, under the scene's spool."""
    return FailingDisk(scene)


def test_a_full_disk_drops_and_counts_clicks_and_draining_frees_it(scene, report):
    with small_disk(scene.home.path / "spool", "size=4m") as place:
        scene.start("--queue-max-clicks", "200", "--spool-reserve-bytes", "0", centre=False)
        filler = fill(place, leave_bytes=200_000)
        wait_until(lambda: scene.dropped().get("store_full", 0) > 100, 60)
        assert not scene.home.answers(scene.port, "/-/ready")

        scene.start_central()
        scene.wait_for_life(time.monotonic())  # the filler is still there
        filler.unlink()

        report("the disk is full, then the centre drains it", "4 MB tmpfs, filled", disk_bytes=4 << 20)
        assert set(scene.dropped()) - {"queue_full"} == {"store_full"}  # a router that gets no core may say both


@pytest.mark.faults
def test_a_full_disk_that_others_free_takes_clicks_again(scene, report):
    with small_disk(scene.home.path / "spool", "size=4m") as place:
        scene.start("--queue-max-clicks", "200", "--spool-reserve-bytes", "0")
        for _ in range(3):
            full = scene.dropped().get("store_full", 0) + 100
            # Again and again: what is sent frees room, and the spool uses it.
            wait_until(lambda full=full: fill(place) and scene.dropped().get("store_full", 0) > full, 60)
            (place / "filler").unlink()
            scene.wait_for_life(time.monotonic())

        report("the disk is full, then others free it", "4 MB tmpfs, filled and freed", 3, disk_bytes=4 << 20)


@pytest.mark.faults
def test_a_spool_at_its_own_limit_drops_and_counts_clicks_and_drains(scene, report):
    scene.start("--queue-max-clicks", "200", "--spool-max-bytes", "1500K", centre=False)
    wait_until(lambda: scene.dropped().get("store_full", 0) > 100 and scene.look(), 60)

    scene.start_central()
    scene.wait_for_life(time.monotonic())

    report(
        "the centre is down for longer than the spool is large",
        "spool limit of 1.5 MB",
        disk_bytes=2 << 20,
    )


ALL_FAULTS = ("write-eio", "write-enospc", "sync-eio")
WRITES = (*range(6, 40), *range(40, 400, 30))  # into the checkpoint of SQLite's log, which is after 256 pages


@pytest.mark.parametrize(
    ("faults", "calls"),
    [
        (ALL_FAULTS, range(1, 6)),
        pytest.param(("write-eio",), WRITES, marks=pytest.mark.faults),
        pytest.param(("write-enospc",), WRITES, marks=pytest.mark.faults),
        pytest.param(("sync-eio",), range(6, 25), marks=pytest.mark.faults),
    ],
    ids=["all", *ALL_FAULTS],
)
def test_a_disk_that_fails_once_costs_nothing_wherever_it_fails(scene, report, disk, faults, calls):
    scene.start()

    for fault, nth in itertools.product(faults, calls):
        disk.arm(fault, nth, times=1)
        disk.wait_for_strike()
    scene.wait_for_life(time.monotonic())

    how = f"{', '.join(faults)} at call {calls[0]} to {calls[-1]}"
    report("the disk fails once", how, len(faults) * len(calls))
    assert scene.dropped() == {}
    assert not scene.spool().lost


@pytest.mark.faults
@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_a_disk_that_goes_on_failing_costs_what_does_not_fit_into_memory(scene, report, disk, fault):
    scene.start("--queue-max-clicks", "200")
    for nth in (1, 2, 5):
        before = sum(scene.dropped().values())
        disk.arm(fault, nth)
        wait_until(lambda before=before: sum(scene.dropped().values()) > before + 100, 60)
        assert not scene.home.answers(scene.port, "/-/ready")
        disk.heal()
        scene.wait_for_life(time.monotonic())

    report(f"the disk goes on failing ({fault})", "from call 1, 2 and 5 on", 3)
    assert set(scene.dropped()) - {"queue_full"} == {"store_full" if fault == "write-enospc" else "store_failed"}
    assert scene.home.log().count("recorder.dropped") <= len(scene.dropped())  # once a minute and reason


@pytest.mark.faults
@pytest.mark.parametrize("delay_ms", [20, 200, 2000])
def test_a_slow_disk_delays_clicks_and_no_redirect(scene, report, disk, delay_ms):
    scene.start()

    disk.arm("sync-slow", delay_us=delay_ms * 1000)
    scene.pass_s(2 + 2 * delay_ms / 1000)
    slowest_s = max(one.answered_at - one.sent_at for one in scene.load.requests if one.is_answered)
    disk.heal()
    scene.wait_for_life(time.monotonic())

    report("the disk is slow", f"each fsync takes {delay_ms} ms")
    assert scene.dropped() == {}
    assert slowest_s < max(0.5, delay_ms / 1000)


@pytest.mark.faults
def test_a_disk_that_hangs_costs_what_does_not_fit_into_memory(scene, report, disk):
    scene.start("--queue-max-clicks", "200")

    disk.arm("sync-slow", times=1, delay_us=5_000_000)
    wait_until(lambda: scene.dropped().get("queue_full", 0) > 300, 20)
    disk.heal()
    scene.wait_for_life(time.monotonic())

    report("the disk hangs", "one fsync takes 5 s")


@pytest.mark.faults
def test_a_router_on_a_disk_that_hangs_can_be_stopped_and_says_what_it_could_not_keep(scene, report, disk):
    scene.start()

    disk.arm("sync-slow", times=1, delay_us=600_000_000)
    scene.pass_s(1)
    with scene.quiet():
        scene.router.send_signal(signal.SIGTERM)
        assert scene.router.wait(10 * room()) == 0
        scene.dropped_by_the_dead = scene.home.ask_central("/v1/stats/clicks")["missing"]["count"]
        scene.router = scene.start_router()
    scene.wait_for_life(time.monotonic())

    one_commit = int(scene.rate * 0.1)
    report("a router is stopped while its disk hangs", "one fsync takes ten minutes, SIGTERM", in_doubt=one_commit)
    assert scene.dropped_by_the_dead > 0


@pytest.mark.faults
def test_a_process_that_dies_at_any_call_on_its_spool_starts_again_and_loses_nothing_committed(scene, report, disk):
    scene.start()

    for nth in range(1, 41):
        disk.arm("kill", nth)
        scene.wait_for_death()

    report("the process dies at a call on its spool", "SIGKILL before call 1 to 40", 40, outages=True)

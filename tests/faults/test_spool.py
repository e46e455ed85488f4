"""A spool that somebody damages, removes or takes the rights from."""

import contextlib
import os
import secrets
import shutil
import time

import pytest
from faults.disk import FailingDisk, small_disk
from faults.scene import cpu_s
from processes import wait_until

from linkrouter.clicks.spool.frame import RECORD_START

PAGE_BYTES = 4096
START_S = 2.0  # of CPU, which a busy machine does not stretch: what a damaged spool may add to a start


def overwrite(path, at, content):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)


def log_of(segment):
    return segment.with_suffix(".db-wal")


def halve(path):
    os.truncate(path, path.stat().st_size // 2)


def spoil_page(segment):
    """Put rubbish over a page of rows in the middle of the log, which holds all of a small segment."""
    content = log_of(segment).read_bytes()
    row = content.find(RECORD_START, len(content) // 2)
    overwrite(log_of(segment), row // PAGE_BYTES * PAGE_BYTES, os.urandom(PAGE_BYTES))


def spoil_row(segment):
    for path in (segment, log_of(segment)):
        content = path.read_bytes()
        at = content.find(b"Agent/", len(content) // 2)
        if at > 0:
            overwrite(path, at, b"XXXX")


DAMAGES = {
    "nothing": lambda segment: None,
    "a bad word in the log": lambda segment: overwrite(log_of(segment), 24 + 4120 * 3 + 4, b"BAD!"),
    "the log cut in half": lambda segment: halve(log_of(segment)),
    "the log deleted": lambda segment: log_of(segment).unlink(),
    "a shared memory file of rubbish": lambda segment: segment.with_suffix(".db-shm").write_bytes(b"x" * 32768),
    "four bytes of a row": spoil_row,
    "a page of rows": spoil_page,
    "the header overwritten": lambda segment: overwrite(segment, 0, bytes(100)),
    "the database cut in half": halve,
    "the database emptied": lambda segment: os.truncate(segment, 0),
    "the lock emptied": lambda segment: os.truncate(segment.with_suffix(".lock"), 0),
}
SOME = ("nothing", "the log cut in half", "a page of rows", "the header overwritten")


@pytest.mark.parametrize("ways", [SOME, pytest.param(tuple(DAMAGES), marks=pytest.mark.faults)], ids=["some", "all"])
def test_a_damaged_spool_gives_back_the_rest_and_delays_no_start(scene, report, ways):
    scene.rate = 400.0
    scene.start(centre=False)
    spool, starts_s = scene.home.path / "spool", []

    for damage in map(DAMAGES.get, ways):
        with scene.quiet():
            scene.wait_for_commit()
            scene.router.kill()
            scene.router.wait()
            damage(max(spool.glob("*.db")))
            scene.router = scene.start_router()
            starts_s.append(cpu_s(scene.router))
        scene.pass_s(0.5)
    scene.start_central()
    scene.wait_for_life(time.monotonic())
    scene.drain()

    lost = scene.spool().lost.get("damaged", 0)
    assert lost > 0
    assert max(starts_s) <= starts_s[0] + START_S
    how = f"{len(ways) - 1} ways, between SIGKILL and start"
    report("the spool is damaged", how, len(ways) - 1, damaged=lost)
    assert scene.spool().quarantined >= len(ways) // 3


@pytest.mark.faults
def test_a_spool_removed_under_a_router_loses_nothing(scene, report):
    scene.start()

    for _ in range(5):
        scene.pass_s(1)
        shutil.rmtree(scene.home.path / "spool")
        scene.wait_for_life(time.monotonic())
    scene.pass_s(2)  # what waits in a removed spool cannot be seen from outside

    report("the spool is removed", "rm -r under load", 5)


@pytest.mark.faults
def test_a_spool_removed_while_the_centre_is_away_loses_nothing(scene, report):
    scene.start(centre=False)

    scene.pass_s(2)
    shutil.rmtree(scene.home.path / "spool")
    scene.pass_s(3)
    scene.start_central()
    scene.wait_for_life(time.monotonic())

    report("the spool is removed, the centre is away", "rm -r under load")


@contextlib.contextmanager
def without_rights(place):
    place.chmod(0o500)
    yield
    place.chmod(0o700)


@pytest.mark.faults
def test_a_spool_without_rights_drops_and_counts_what_does_not_fit_into_memory(scene, report):
    disk = FailingDisk(scene)
    drop_rights(scene)
    scene.start("--queue-max-clicks", "200")

    for _ in range(3):
        before = sum(scene.dropped().values())
        with without_rights(scene.home.path / "spool"):
            disk.arm("write-eio")  # so that it needs a new file
            wait_until(lambda before=before: sum(scene.dropped().values()) > before + 100, 30)
            disk.heal()
        scene.wait_for_life(time.monotonic())

    report("the spool may not be written (EACCES)", "chmod 500 and a new segment", 3)


def drop_rights(scene):
    """Have the scene's routers obey file modes even when root starts them."""
    if os.geteuid():
        return
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root obeys no file mode, and setpriv is not installed")
    scene.command = (setpriv, "--inh-caps=-all", "--bounding-set=-all", *scene.command)


@pytest.mark.faults
def test_a_disk_without_room_for_a_file_is_no_reason_not_to_start(scene, report):
    with small_disk(scene.home.path / "spool", "size=8m,nr_inodes=40") as place:
        scene.start("--queue-max-clicks", "200", "--spool-reserve-bytes", "0")
        with scene.quiet():
            scene.wait_for_commit()
            scene.router.kill()
            scene.router.wait()
            fill_inodes(place)
            scene.router = scene.launch_router(scene.port)
            wait_until(lambda: scene.home.answers(scene.port, "/robots.txt"))
        # Again and again: what is sent makes room, and the spool uses it.
        wait_until(lambda: fill_inodes(place) or sum(scene.dropped().values()) > 100, 30)
        for filler in place.glob("filler-*"):
            filler.unlink()
        scene.wait_for_life(time.monotonic())

        report("the disk has no room for a file", "tmpfs without inodes, and a restart", disk_bytes=8 << 20)


def fill_inodes(place):
    """Make files until there is no room for another."""
    with contextlib.suppress(OSError):
        while True:
            (place / f"filler-{secrets.token_hex(8)}").touch()

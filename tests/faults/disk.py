"""Disks that fill up, refuse and hang."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults.shim import build_shim, on_failing_disk
from processes import wait_until

HERE = Path(__file__).parent
FOR_EVER = 1 << 40


@contextlib.contextmanager
def small_disk(place: Path, options: str):
    """Mount a tmpfs with *options*, such as `size=4m`, on *place*; skips the test where that is not allowed."""
    place.mkdir(mode=0o700)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True)
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path, leave_bytes: int = 0) -> Path:
    """Fill what is free of the disk of *place* but for *leave_bytes*, with one file that grows at each call."""
    disk, filler = os.statvfs(place), place / "filler"
    with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as file:
        file.write(bytes(max(0, disk.f_bavail * disk.f_frsize - leave_bytes)))
    return filler


class FailingDisk:
    """Puts a scene's routers on a disk that fails when told to: the files of the spool, and no others."""

    def __init__(self, scene) -> None:
        self._folder = scene.home.path
        shim = build_shim(self._folder)
        os.mkfifo(self._folder / "arm")
        scene.command = (sys.executable, str(HERE / "with_shim.py"))
        scene.environment = on_failing_disk(shim, "spool/")

    def arm(self, fault: str, nth: int = 1, times: int = FOR_EVER, delay_us: int = 0) -> None:
        """Let *fault* strike at the *nth* call from now on; see `shim.c`."""
        (self._folder / "struck").unlink(missing_ok=True)
        (self._folder / "arm").write_text(f"{fault} {nth} {times} {delay_us}\n")

    def heal(self) -> None:
        """Let nothing fail any more."""
        self.arm("none")

    def has_struck(self) -> bool:
        return (self._folder / "struck").exists()

    def wait_for_strike(self) -> None:
        wait_until(self.has_struck)

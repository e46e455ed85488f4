"""The disk under a spool: how much room there is, and whether an error means that there is none."""

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from linkrouter.clicks.store import StoreLimits, StoreRoom

__all__ = ["directory_bytes", "find_room", "is_disk_full", "reason_of", "room_bytes"]

MAX_RESERVE_BYTES, MAX_RESERVE_SHARE = 256 * 1024**2, 0.05  # of a disk, when nobody says how much to leave free


def room_bytes(directory: Path, limits: StoreLimits) -> int:
    """Give what may still be written to *directory*, under its limit and above the disk's reserve; 0 or less if none.

    A directory that is gone has all the room of its limit: a fresh segment makes it again, or says why not.
    """
    room = find_room(directory, limits)
    return limits.max_bytes if room is None else room.left_bytes


def find_room(directory: Path, limits: StoreLimits) -> StoreRoom | None:
    """Give the room in *directory* with what it comes of; None when the directory is gone."""
    try:
        free_bytes = _free_bytes(directory)
        reserve_bytes = _reserve_bytes(directory) if limits.reserve_bytes is None else limits.reserve_bytes
    except OSError:
        return None
    left_bytes = min(free_bytes - reserve_bytes, limits.max_bytes - directory_bytes(directory))
    return StoreRoom(left_bytes, free_bytes, reserve_bytes)


def _reserve_bytes(directory: Path) -> int:
    """Give the part of the disk of *directory* to leave free: a small disk must be able to hold clicks, too."""
    disk = os.statvfs(directory)
    return min(MAX_RESERVE_BYTES, int(disk.f_blocks * disk.f_frsize * MAX_RESERVE_SHARE))


def _free_bytes(directory: Path) -> int:
    """Give what this process may still write to the disk of *directory*; 0 when no file can be made on it."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize if disk.f_favail or not disk.f_files else 0


def directory_bytes(directory: Path) -> int:
    """Give the size of every file in *directory* and in the directories directly under it."""
    total = 0
    for entry in _entries(directory):
        with contextlib.suppress(OSError):
            inside = _entries(entry.path) if entry.is_dir(follow_symlinks=False) else [entry]
            total += sum(each.stat(follow_symlinks=False).st_size for each in inside)
    return total


def _entries(directory: str | Path) -> Iterable["os.DirEntry[str]"]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return ()


def is_disk_full(directory: Path, exc: BaseException) -> bool:
    """Tell whether *exc* came of a full disk; SQLite reports a disk without inodes as a file it cannot open."""
    if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    if getattr(exc, "sqlite_errorname", "") == "SQLITE_FULL":
        return True
    try:
        return _free_bytes(directory) == 0
    except OSError:
        return False


def reason_of(exc: BaseException) -> str:
    """Name the cause of *exc* in a word or two, without a path."""
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return getattr(exc, "sqlite_errorname", None) or type(exc).__name__

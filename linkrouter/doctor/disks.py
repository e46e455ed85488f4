"""Disks: room for clicks above the reserve, and for a copy of the database."""

import os
from pathlib import Path

from linkrouter.clicks.spool.disk import room_bytes
from linkrouter.clicks.store import StoreLimits
from linkrouter.doctor.finding import Finding

__all__ = ["look_at_database_disk", "look_at_spool_disk"]

UNLIMITED = 1 << 62
LEAST_BYTES = 256 * 1024**2  # central needs some beside the database: its log, and sorting


def look_at_spool_disk(directory: Path, limits: StoreLimits) -> list[Finding]:
    """Look whether clicks can be kept in *directory*, and whether the disk holds what SPOOL_MAX_BYTES promises."""
    directory = _existing(directory)
    room = room_bytes(directory, StoreLimits(UNLIMITED, limits.reserve_bytes))
    if room <= 0:
        free = _free_bytes(directory)
        problem = f"no click can be kept: the disk of {str(directory)!r} has {free:,} bytes free, the reserve or less"
        return [Finding("disk", problem, "make room, or set a smaller SPOOL_RESERVE_BYTES")]
    left = room_bytes(directory, limits)
    if left <= 0:
        cure = "bring central back, or set a larger SPOOL_MAX_BYTES"
        return [Finding("disk", f"the spool is at its {limits.max_bytes:,} bytes", cure)]
    if left == room:  # the disk ends before the limit
        cure = "make room, or set SPOOL_MAX_BYTES to what the disk can hold"
        problem = f"the disk of {str(directory)!r} has room for {room:,} bytes of clicks, SPOOL_MAX_BYTES says more"
        return [Finding("disk", problem, cure)]
    return []


def look_at_database_disk(path: Path) -> list[Finding]:
    """Look whether the disk of the database holds another copy of it, which a backup and an upgrade make."""
    size = path.stat().st_size if path.exists() else 0
    free = _free_bytes(_existing(path.parent))
    if free >= max(size, LEAST_BYTES):
        return []
    problem = f"the disk of {str(path)!r} has {free:,} bytes free, less than a copy of the database needs"
    return [Finding("disk", problem, "make room, set RETENTION_DAYS, or move the database to a larger disk")]


def _existing(directory: Path) -> Path:
    return next(folder for folder in (directory.absolute(), *directory.absolute().parents) if folder.exists())


def _free_bytes(directory: Path) -> int:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize

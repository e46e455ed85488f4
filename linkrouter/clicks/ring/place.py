"""Where rings may be, and whether they are worth it here.

Promise: rings lie on a memory-backed file system, in a directory that is this user's alone, one for each click store,
so that no carrier takes clicks of another store's routers.
"""

import hashlib
import os
import stat
from pathlib import Path

from linkrouter.clicks.ring.page import PAGE_BYTES
from linkrouter.errors import NoRing

__all__ = ["find_ring_directory", "usable_cores"]

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the directory made there is looked at before it is used
MEMORY_BACKED = ("tmpfs", "ramfs")


def find_ring_directory(store_url: str, workers: int, ring_bytes: int, runtime: Path | None) -> Path:
    """Make the directory for the rings of *workers* before the store *store_url*, in *runtime* or in `/dev/shm`.

    Raises:
        NoRing: it cannot be had; says why.
    """
    base = runtime if runtime is not None and _is_in_memory(runtime) else SHARED_MEMORY
    if not _is_in_memory(base):
        raise NoRing(f"{str(base)!r} is on no memory-backed file system")
    directory = base / f"linkrouter-rings-{os.getuid()}-{_store_key(store_url)}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
        free = os.statvfs(directory)
    except OSError as exc:
        raise NoRing(f"{str(directory)!r} cannot be made ({exc.strerror})") from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NoRing(f"{str(directory)!r} is not this user's alone")
    # Twice: a worker that was started again makes a new ring while its old one is still carried.
    wanted = 2 * workers * (ring_bytes + PAGE_BYTES)
    if free.f_bavail * free.f_frsize < wanted:
        raise NoRing(f"{str(base)!r} has less than {wanted} bytes free; lower RING_BYTES")
    return directory


def _store_key(store_url: str) -> str:
    """Name a store by a digest, without the password that its URL may have."""
    scheme, _, rest = store_url.partition("://")
    if scheme == "sqlite":
        rest = os.path.abspath(rest.removeprefix("/"))
    return hashlib.sha256(f"{scheme}://{rest.rpartition('@')[2]}".encode()).hexdigest()[:16]


def _is_in_memory(place: Path) -> bool:
    try:
        device = place.stat().st_dev
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    return any(line.split()[2] == number and line.partition(" - ")[2].split()[0] in MEMORY_BACKED for line in lines)


def usable_cores() -> int:
    """Tell how many cores this process may use, by its affinity and its control group's quota; at least 1."""
    return max(1, int(min(len(os.sched_getaffinity(0)), _quota_cores())))


def _quota_cores(groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Give the least quota of this process's control group and those above it, in cores (version 2)."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return float("inf")
    path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    quotas = [float("inf")]
    for group in (groups / path.lstrip("/"), *(groups / path.lstrip("/")).parents):
        try:
            quota, period = (group / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            quotas.append(int(quota) / int(period))
    return min(quotas)

"""Files that hold secrets: who may be able to read them, and how one is replaced.

Promise: one rule for keyrings and tokens. A file is taken when nobody but its owner and a group of this process can
read it (root is in every group). A container's runtime mounts secrets readable by all (0444), and nobody can change
that; such a file is taken when the operator says so, and only from where this process cannot write it either. A file is
replaced whole or not at all, and keeps its owner.
"""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from linkrouter.errors import ExposedSecret

__all__ = ["locked_directory", "open_for_owner", "read_secret_file", "replace_file", "sync_directory"]

CURE = "or set MOUNTED_SECRETS (LINKROUTER_MOUNTED_SECRETS=on) where a container's runtime has mounted it"


def read_secret_file(name: str, max_bytes: int, *, check_mode: bool = True, accept_mounted: bool = False) -> bytes:
    """Read up to *max_bytes* of the file *name*.

    *check_mode* off takes any file (systemd's credentials, whose access list shows as a group bit); *accept_mounted*
    also takes one that others can read if it is on a read-only file system, or is root's and cannot be written by us.

    Raises:
        OSError: it cannot be read.
        ExposedSecret: others can read it; the message says the cure.
    """
    with open(name, "rb") as file:
        if check_mode and _is_exposed(os.fstat(file.fileno())):
            if not accept_mounted:
                raise ExposedSecret(f"can be read by others; run 'chmod 600 {name}', {CURE}")
            if not _is_mounted(file.fileno(), name):
                raise ExposedSecret(f"can be read by others and written by this process; run 'chmod 600 {name}'")
        return file.read(max_bytes)


def _is_exposed(status: os.stat_result) -> bool:
    mode = stat.S_IMODE(status.st_mode)
    own_group = os.geteuid() == 0 or status.st_gid in {os.getegid(), *os.getgroups()}
    return bool(mode & (0o037 if own_group else 0o077))


def _is_mounted(descriptor: int, name: str) -> bool:
    if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
        return True
    return os.fstat(descriptor).st_uid == 0 and not os.access(name, os.W_OK)


@contextlib.contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Be the only writer in the directory of *path*; it is locked itself, so no lock file stays behind."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def replace_file(path: Path, content: bytes, *, replace_existing: bool = True) -> None:
    """Write *content* to *path*, all of it or nothing, and durable when this returns.

    A new file has mode 0600; one that is replaced keeps its owner and group, and of its mode what readers of a secret
    may have (0640). What a killed writer left behind is removed. Callers keep others from writing meanwhile.

    Raises:
        FileExistsError: it is there and *replace_existing* is off.
        OSError: it cannot be written, or its owner not be kept.
    """
    for left in path.parent.glob(f".{path.name}.*.new"):
        left.unlink(missing_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                _take_over(descriptor, os.stat(path))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if replace_existing:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # refuses an existing name, and no one sees half a file
            os.unlink(temporary)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make durable which names *directory* holds.

    Raises:
        OSError: it cannot be done.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_for_owner(path: str, flags: int) -> int:
    """Open a file as `open` does; a new one is for its owner alone. To be given as `opener`."""
    return os.open(path, flags, 0o600)


def _take_over(descriptor: int, before: os.stat_result) -> None:
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o640 | 0o400)

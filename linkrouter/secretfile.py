"""Files that hold secrets: who may be able to read them.

Promise: one rule for keyrings and tokens. A file is taken when nobody but its owner and a group of this process can
read it (root is in every group). A container's runtime mounts secrets readable by all (0444), and nobody can change
that; such a file is taken when the operator says so, and only from where this process cannot write it either.
"""

import os
import stat

from linkrouter.errors import ExposedSecret

__all__ = ["read_secret_file"]

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

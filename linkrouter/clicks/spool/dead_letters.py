"""Clicks set aside: what the centre refused for good, one JSON object a line, for a person to look at."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["count_set_aside", "write_set_aside"]

FILE_NAME = "set-aside.jsonl"


def write_set_aside(directory: Path, records: Sequence[bytes], reason: str) -> None:
    """Append *records* with *reason*, durably. Several processes may do so at once.

    Raises:
        OSError: they are not all written.
    """
    lines = b"".join(b'{"reason":"%b","click":%b}\n' % (reason.encode("ascii"), record) for record in records)
    descriptor = os.open(directory / FILE_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, lines) != len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def count_set_aside(directory: Path) -> int:
    """Count the clicks that were set aside; 0 when there is no such file, or none that may be read."""
    try:
        with open(directory / FILE_NAME, "rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0

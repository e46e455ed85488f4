"""Dead letters: clicks that central refused for good, one JSON object a line, for a person to look at."""

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["adopt_old_dead_letters", "count_dead_letters", "write_dead_letters"]

FILE_NAME = "dead-letters.jsonl"
OLD_FILE_NAME = "set-aside.jsonl"  # until version 0.1


def write_dead_letters(directory: Path, records: Sequence[bytes], reason: str) -> None:
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


def count_dead_letters(directory: Path) -> int:
    """Count the dead letters, those under the old name too; 0 when there is no such file, or none that may be read."""
    return sum(_count_lines(directory / name) for name in (FILE_NAME, OLD_FILE_NAME))


def _count_lines(path: Path) -> int:
    try:
        with open(path, "rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0


def adopt_old_dead_letters(directory: Path) -> None:
    """Give the file of an older version its name of today; where both are there, the old one stays and is counted."""
    # A link and not a rename, which would replace what another process has begun meanwhile.
    with contextlib.suppress(OSError):
        os.link(directory / OLD_FILE_NAME, directory / FILE_NAME)
        os.unlink(directory / OLD_FILE_NAME)

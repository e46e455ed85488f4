"""The file of a ring: reserved in full, mapped, and claimed by one writer and one reader.

Promise: memory that a ring was made with is there, or the ring is not made: no full file system can kill who writes.
A claim ends with its process, however that ends. A ring under its name is whole: it is made under another one.

The claims are locks of one byte each (F_OFD_SETLK), which like flock's belong to an open file and not to a process.
"""

import errno
import fcntl
import mmap
import os
import re
import struct
from pathlib import Path

from linkrouter.clicks.ring.group import ALIGNMENT
from linkrouter.clicks.ring.page import PAGE_BYTES, RingPage
from linkrouter.clicks.spool.claim import new_name

__all__ = ["RING_SUFFIX", "RingFile", "ring_files"]

RING_SUFFIX, NEW_SUFFIX = ".ring", ".new"
WRITER, READER = 0, 1  # the bytes that are locked
_NAME = re.compile(r"(?P<owner>[0-9]{1,10})-(?P<name>[0-9a-f]{16}-[0-9a-f]{8})\.(?:ring|new)")


class RingFile:
    """An open ring: its `page`, and its `data`. *owner* is the supervisor whose worker writes it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        # What was cut is filled up with zeros, so that there is always a page to look at.
        size = max(os.fstat(descriptor).st_size, PAGE_BYTES + ALIGNMENT) // ALIGNMENT * ALIGNMENT
        os.posix_fallocate(descriptor, 0, size)
        self._map = mmap.mmap(descriptor, size, mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self._memory = memoryview(self._map)
        self.page = RingPage(self._memory)
        self.data = self._memory[PAGE_BYTES:]

    @classmethod
    def create(cls, directory: Path, owner: int, worker: int, data_bytes: int) -> "RingFile":
        """Make a ring of *data_bytes* in *directory* and claim it for writing.

        Raises:
            OSError: there is no room for it.
        """
        directory.mkdir(mode=0o700, exist_ok=True)  # a carrier that stopped has removed it
        made = directory / f"{owner}-{new_name()}{NEW_SUFFIX}"
        descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, PAGE_BYTES + data_bytes)
            _lock(descriptor, WRITER)
            ring = cls(made.with_suffix(RING_SUFFIX), descriptor)
            ring.page.begin(data_bytes, worker)
            made.rename(ring.path)
        except BaseException:
            made.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return ring

    @classmethod
    def find(cls, path: Path, owner: int) -> "RingFile | None":
        """Open the ring at *path* and claim it for reading, or give None when it is another reader's.

        A ring of another owner is its own reader's as long as it is written.

        Raises:
            OSError: it cannot be opened, or is gone.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            is_own = path.name.startswith(f"{owner}-")
            if (is_own or _lock(descriptor, WRITER)) and _lock(descriptor, READER) and os.fstat(descriptor).st_nlink:
                return cls(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    @property
    def name(self) -> str:
        """What this ring alone is called."""
        return self.path.stem.partition("-")[2]

    def is_left(self) -> bool:
        """Tell whether nobody writes any more; then this process has the writer's claim, too."""
        return _lock(self.descriptor, WRITER)

    def remove(self) -> None:
        """Remove the ring; what is in it is gone."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the ring, for whoever claims it next."""
        self.page.release()
        self.data.release()
        self._memory.release()
        self._map.close()
        os.close(self.descriptor)


def _lock(descriptor: int, byte: int) -> bool:
    """Claim *byte*, and tell whether that could be done."""
    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def ring_files(directory: Path) -> list[Path]:
    """List the rings in *directory*, oldest first; what a kill left half made is removed."""
    try:
        names = sorted(name for name in os.listdir(directory) if _NAME.fullmatch(name))
    except OSError:
        return []
    for name in names:
        if name.endswith(NEW_SUFFIX):
            _remove_if_left(directory / name)
    return [directory / name for name in names if name.endswith(RING_SUFFIX)]


def _remove_if_left(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        # Between its making and its lock a ring has no size to speak of; one that is being made is let be.
        if os.fstat(descriptor).st_size and _lock(descriptor, WRITER) and os.fstat(descriptor).st_nlink:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)

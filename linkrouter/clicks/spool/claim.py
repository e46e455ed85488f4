"""The claim: that one process at a time owns a segment, and the checkpoint an owner leaves of it.

Promise: a claim ends with its process, however that ends, and a segment without a living owner can be claimed by
anybody. The checkpoint tells how far the segment was written and acknowledged. It is a help and not the truth: it is
never synced, a stale one costs resending what central has, and one that does not match its checksum is not used.
"""

import contextlib
import fcntl
import os
import re
import secrets
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

__all__ = ["Checkpoint", "Claim", "claim", "made_at", "new_name", "read_checkpoint", "segment_names"]

_NAME = re.compile(r"([0-9a-f]{16}-[0-9a-f]{8})\.(?:db|db-wal|lock)")
CHECKPOINT_BYTES = 8 + 1 + 10 + 1 + 10 + 1 + 16 + 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a segment got: sequence numbers up to which it is durable, and up to which central has it."""

    committed: int = 0
    acked: int = 0
    oldest_at: int = 0  # microseconds since the epoch; no pending click is older

    def line(self, name: str) -> bytes:
        """Write the checkpoint of the segment *name*, always `CHECKPOINT_BYTES` long, to be overwritten in place."""
        text = b"%010x %010x %016x\n" % (self.committed, self.acked, self.oldest_at)
        return b"%08x %b" % (crc32(text, crc32(name.encode())), text)


def read_checkpoint(descriptor: int, name: str) -> Checkpoint | None:
    """Read the checkpoint of the segment *name* from its open lock file, or None when there is no whole one."""
    try:
        line = os.pread(descriptor, CHECKPOINT_BYTES, 0)
        _, committed, acked, oldest_at = line.split()
        checkpoint = Checkpoint(int(committed, 16), int(acked, 16), int(oldest_at, 16))
    except (OSError, ValueError):
        return None
    return checkpoint if checkpoint.line(name) == line else None


class Claim:
    """One segment's files, owned by this process until `release` or its end. Every method may block on the disk.

    A thread may still be at work on it when another lets go: a number that the system has given to another file since
    is neither written to nor closed.
    """

    def __init__(self, directory: Path, name: str, descriptor: int) -> None:
        self.directory = directory
        self.name = name
        found = read_checkpoint(descriptor, name)
        self.has_checkpoint = found is not None
        self.checkpoint = found or Checkpoint()
        self._descriptor = descriptor
        self._in_use = threading.Lock()

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.directory / f"{self.name}.db"

    @property
    def log(self) -> Path:
        """SQLite's write-ahead log."""
        return self.directory / f"{self.name}.db-wal"

    @property
    def lock(self) -> Path:
        """The file whose lock is the claim and whose content is the checkpoint."""
        return self.directory / f"{self.name}.lock"

    def write_checkpoint(self, **changes: int) -> None:
        """Write down how far the segment is now. A disk that refuses costs no more than resending."""
        self.checkpoint = replace(self.checkpoint, **changes)
        with self._in_use, contextlib.suppress(OSError):
            os.pwrite(self._descriptor, self.checkpoint.line(self.name), 0)

    def is_in_place(self) -> bool:
        """Tell whether the files are still where they were made."""
        with self._in_use:
            return _is_file_at(self._descriptor, self.lock) and self.database.exists()

    def move(self, directory: Path) -> None:
        """Take the files to *directory*, the lock first: what a kill separates is claimed and scanned piece by piece.

        So a piece that comes later may find its name taken there, and gets another.
        """
        directory.mkdir(mode=0o700, exist_ok=True)
        here = (self.lock, self.database, self.log)
        self.directory = directory
        if any(path.exists() for path in (self.lock, self.database, self.log)):
            self.name = new_name()
        for old, new in zip(here, (self.lock, self.database, self.log), strict=True):
            with contextlib.suppress(FileNotFoundError):
                old.rename(new)
        self.write_checkpoint()

    def remove(self) -> None:
        """Unlink the files, the lock last, and let go. What cannot be unlinked stays and is harmless."""
        for path in (self.database, self.log, self.lock):
            with contextlib.suppress(OSError):
                path.unlink()
        self.release()

    def release(self) -> None:
        """Let go of the segment, for whoever claims it next."""
        with self._in_use:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)


def new_name() -> str:
    """Give a name for a segment or a stream; names sort by the time they were given."""
    return f"{time.time_ns():016x}-{secrets.token_hex(4)}"


def made_at(name: str) -> int:
    """Give the time that the segment *name* was made: microseconds since the epoch."""
    return int(name.partition("-")[0], 16) // 1000


def claim(directory: Path, name: str, *, make: bool = True) -> Claim | None:
    """Claim the segment *name*, or give None when another process owns it; *make* its lock file if it has none.

    Raises:
        OSError: its lock file can be neither opened nor made.
    """
    path = directory / f"{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between our open and our lock its owner may have unlinked the file: then the lock guards nothing.
        if _is_file_at(descriptor, path):
            return Claim(directory, name, descriptor)
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_file_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def segment_names(directory: Path) -> list[str]:
    """List the segments of which anything lies in *directory*, newest first; files of other names are not ours."""
    try:
        matches = [_NAME.fullmatch(entry) for entry in os.listdir(directory)]
    except OSError:
        return []
    return sorted({match[1] for match in matches if match}, reverse=True)

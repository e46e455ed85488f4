"""The list of take-backs on a router's own disk: what central handed out, page by page.

Promise: a page that `append` returned from is there after a kill and a power cut, whole; half a page that a killed
writer left behind is cut off. Damage is noticed by a checksum, and costs only the damaged pages until they are fetched
anew.
One process writes (`Lease`), all others read on where they stopped.

A line is the CRC-32 of the rest in 8 hexadecimal digits, a space, and JSON: `{"after", "seq", "rules"}`.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from errno import EFBIG
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from linkrouter.secretfile import open_for_owner, sync_directory

__all__ = ["Lease", "ListPage", "RuleFile"]

MAX_FILE_OF_RULES_BYTES = (
    256 * 1024**2
)  # about a million rules: a central that was broken into fills no disk and no memory
SLOT_CHARS = 20  # of a worker's number in the file beside the list, and a line feed


class ListPage(NamedTuple):
    """Rules, as JSON gave them, that stand in central's list behind number *after* and up to *seq*."""

    after: int
    seq: int
    rules: list[Any]


class RuleFile:
    """The file *path*, read from its start on; `seq` is the number up to which it was read."""

    def __init__(self, path: Path, max_bytes: int = MAX_FILE_OF_RULES_BYTES) -> None:
        self.seq = 0
        self.is_damaged = False
        self._path = path
        self._max_bytes = max_bytes
        self._offset = 0  # of what was read
        self._inode = 0
        self._slots = path.with_name(path.name + ".applied")

    def read_new(self) -> Iterator[ListPage]:
        """Yield the pages that were not read yet; all of them when the file is another one than before.

        Raises:
            OSError: it is there and cannot be read.
        """
        if not self._path.exists():
            self._start(0)
            return
        with open(self._path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._start(status.st_ino)
            file.seek(self._offset)
            bad_bytes = 0  # of lines that may be the torn end, until there is another behind them
            for line in file:
                page = _read_line(line)
                if page is None:
                    self.is_damaged = self.is_damaged or bad_bytes > 0
                    bad_bytes += len(line)
                    continue
                self.is_damaged = self.is_damaged or bad_bytes > 0 or page.after not in (0, self.seq)
                self._offset += bad_bytes + len(line)
                self.seq, bad_bytes = page.seq, 0
                yield page

    def start_over(self) -> None:
        """Have the list fetched from its start; what is here stays."""
        self.seq = 0

    def append(self, page: ListPage) -> None:
        """Write *page* behind what was read, durable when this returns; `read_new` then gives it.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        line = _write_line(page)
        if self._offset + len(line) > self._max_bytes:
            raise OSError(EFBIG, os.strerror(EFBIG))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, self._offset)  # what a killed writer left behind
            try:
                _write_all(descriptor, line, self._offset)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, self._offset)
                raise
        finally:
            os.close(descriptor)
        if self._offset == 0:
            sync_directory(self._path.parent)

    def repair(self) -> None:
        """Set a damaged file aside, as NAME.damaged, and keep what can be read of it; the list is fetched anew.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        fresh, aside = (self._path.with_name(self._path.name + end) for end in (".new", ".damaged"))
        with open(self._path, "rb") as old, open(fresh, "wb", opener=open_for_owner) as new:
            for line in old:
                page = _read_line(line)
                if page is not None:
                    new.write(_write_line(ListPage(0, 0, page.rules)))
            new.flush()
            os.fsync(new.fileno())
        aside.unlink(missing_ok=True)
        os.link(self._path, aside)
        os.replace(fresh, self._path)
        sync_directory(self._path.parent)
        self.is_damaged = False

    def confirm(self) -> None:
        """Note that central has nothing newer; `age_s` counts from now.

        Raises:
            OSError: it cannot be written.
        """
        self._path.touch(mode=0o600)

    def age_s(self, now_s: float) -> float | None:
        """Give the seconds since central confirmed the list, by this machine's clock; None when it never has."""
        try:
            return max(0.0, now_s - self._path.stat().st_mtime)
        except OSError:
            return None

    def note_applied(self, worker: int, seq: int) -> None:
        """Tell the writer that *worker* has the rules up to *seq* in force; where that cannot be written, do not."""
        with suppress(OSError):
            descriptor = os.open(self._slots, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, f"{seq:0{SLOT_CHARS}d}\n".encode("ascii"), worker * (SLOT_CHARS + 1))
            finally:
                os.close(descriptor)

    def applied(self, workers: int) -> int:
        """Give the number up to which all of *workers* have the rules in force."""
        try:
            slots = self._slots.read_bytes().split(b"\n")[:workers]
            return min(int(slot) for slot in slots) if len(slots) == workers else 0
        except (OSError, ValueError):
            return 0

    def _start(self, inode: int) -> None:
        self.seq, self.is_damaged = 0, False
        self._offset, self._inode = 0, inode


class Lease:
    """The right to write the list at *path*: one process has it, until it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Whether this process has the lease now.

        Raises:
            OSError: there can be none here.
        """
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let another process take it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _read_line(line: bytes) -> ListPage | None:
    """Give the page of *line*, None when it is not as it was written."""
    try:
        if line[-1:] != b"\n" or int(line[:8], 16) != crc32(line[9:]):
            return None
        fields = json.loads(line[9:])
        return ListPage(fields["after"], fields["seq"], fields["rules"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _write_line(page: ListPage) -> bytes:
    text = json.dumps(page._asdict(), separators=(",", ":")).encode("ascii") + b"\n"
    return b"%08x %b" % (crc32(text), text)


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written

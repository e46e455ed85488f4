"""The spool of reports: what was sent and central has not heard of, in files that several processes share.

Promise: a report that `append` returned from outlives the process, and goes to central at least once: it leaves the
spool only when central took it, or refused it for good. The folder holds recipients and links: it and its files are for
their owner alone. It does not outlive a power cut by promise, since a mail does not wait for the disk.

    waiting.jsonl       one report a line, appended under `lock`
    sending.jsonl       the same, on its way to central: whoever holds `sending.lock` sends
    dead-letters.jsonl  what central refused for good
"""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from linkrouter.secretfile import open_for_owner, replace_file

__all__ = ["MAX_SPOOL_FILE_BYTES", "ReportSpool"]

MAX_SPOOL_FILE_BYTES = 32 * 1024**2  # of each file: some ten thousand mails


class ReportSpool:
    """The files in *folder*, which is made when it is first needed."""

    def __init__(self, folder: Path, *, max_bytes: int = MAX_SPOOL_FILE_BYTES) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._waiting = folder / "waiting.jsonl"
        self._sending = folder / "sending.jsonl"

    def append(self, line: bytes) -> None:
        """Keep one report, a line without its end.

        Raises:
            OSError: the disk or the file is full, or the folder cannot be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            self._append_to(self._waiting, line)

    def is_empty(self) -> bool:
        """Say whether central has heard of everything, as far as this folder tells."""
        return not any(os.path.exists(path) for path in (self._waiting, self._sending))

    def size(self) -> int:
        """Give how many bytes of reports central has not heard of."""
        found = 0
        for path in (self._waiting, self._sending):
            with contextlib.suppress(OSError):
                found += path.stat().st_size
        return found

    @contextlib.contextmanager
    def lease(self) -> Iterator[bool]:
        """Be the only one who sends; False when another process is, or there is no folder that can be used."""
        try:
            lock = open_for_owner(str(self.folder / "sending.lock"), os.O_RDWR | os.O_CREAT)
        except OSError:
            yield False
            return
        try:
            yield _is_locked(lock)
        finally:
            os.close(lock)

    def send_all(self, send: Callable[[bytes], bool]) -> bool:
        """Hand each report to *send* while that says True; under the lease. True when nothing waits any more.

        What was sent is gone from the spool afterwards, also when *send* stops in the middle or raises.

        Raises:
            OSError: the folder cannot be written.
        """
        while self._next_batch():
            with open(self._sending, "rb") as batch:
                rest = _send_lines(batch, send)
            if rest:
                replace_file(self._sending, rest)
                return False
            self._sending.unlink()
        return True

    def bury(self, line: bytes, reason: str) -> None:
        """Keep a report that central refused for good, for a person to look at.

        Raises:
            OSError: the disk or the file is full.
        """
        letter = {"reason": reason, "report": line.decode("utf-8", "replace")}
        self._append_to(self.folder / "dead-letters.jsonl", json.dumps(letter).encode("ascii"))

    def _next_batch(self) -> bool:
        if self._sending.exists():
            return True
        with self._locked(), contextlib.suppress(FileNotFoundError):
            os.rename(self._waiting, self._sending)
            return True
        return False

    def _append_to(self, path: Path, line: bytes) -> None:
        with open(path, "ab", buffering=0, opener=open_for_owner) as file:
            size = os.fstat(file.fileno()).st_size
            if size + len(line) >= self._max_bytes:
                raise OSError(errno.ENOSPC, "the spool of reports is at its limit")
            if file.write(line + b"\n") != len(line) + 1:
                os.ftruncate(file.fileno(), size)
                raise OSError(errno.ENOSPC, "the disk is full")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.folder / "lock", "ab", opener=open_for_owner) as lock:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
            yield


def _send_lines(batch: IO[bytes], send: Callable[[bytes], bool]) -> bytes:
    """Send line by line, and give the lines that are left."""
    for line in batch:
        if line.strip() and not send(line.strip()):
            return line + batch.read()
    return b""


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False

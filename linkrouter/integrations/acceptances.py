"""Mails that the next hop took while their sender does not know it: what keeps a retry from doubling them.

Promise: a sender that hears no answer, or hears that some of several copies failed, and hands in the very same mail
again, does not send twice what was taken before, also when this process was killed in between. Only a mail with a
Message-ID is known again, since two without one may well be meant as two.

A `Witness` writes here, too, when this process was killed while the next hop decided; it has the same lock, so the next
process waits for it.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from pathlib import Path

from linkrouter.errors import SettingsError

__all__ = ["Acceptances", "copy_key"]

KEEP_S = 5 * 86_400.0  # as long as mail servers try
MAX_ACCEPTANCES = 100_000
LOCK_WITHIN_S = 25.0  # the witness of a process that was killed is done before
COMPACT_BYTES = 1024**2


def copy_key(tenant: int, sender: str, recipients: tuple[str, ...], content: bytes) -> str:
    """Give the name of one copy of a mail, as it came in."""
    digest = hashlib.sha256(repr((tenant, sender, recipients)).encode("utf-8", "surrogatepass"))
    digest.update(content)
    return digest.hexdigest()[:32]


class Acceptances:
    """What was taken and not confirmed, in the file *path*, one line an event, for one process at a time.

    Raises:
        SettingsError: the file cannot be used, or another process uses it.
    """

    def __init__(self, path: Path) -> None:
        self._open: dict[str, float] = {}  # whose sender may hear of it yet
        self._orphans: dict[str, float] = {}  # whose sender will not
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise SettingsError(f"SPOOL: {str(path)!r} cannot be written ({exc.strerror})") from exc
        if not self._is_locked():
            os.close(self._file)
            raise SettingsError("SPOOL: another process uses this folder; give each its own")
        self._read()

    def __repr__(self) -> str:
        return f"<Acceptances {len(self._open)} open, {len(self._orphans)} orphaned>"

    def fileno(self) -> int:
        """Give the open file, for a witness."""
        return self._file

    def _is_locked(self) -> bool:
        until = time.monotonic() + LOCK_WITHIN_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(0.05)
            else:
                return True

    def accept(self, key: str) -> None:
        """Remember that the next hop took this copy."""
        now = time.time()
        self._open[key] = now
        self._write(f"+ {key} {int(now)}\n")

    def confirm(self, keys: list[str]) -> None:
        """Forget what the sender knows of by now."""
        known = [key for key in keys if self._open.pop(key, None) is not None]
        if known:
            self._write("".join(f"- {key} 0\n" for key in known))
            self._compact()

    def orphan(self, keys: list[str]) -> None:
        """Know these copies again when they are handed in again: their sender was not told that they were taken."""
        for key in keys:
            if key in self._open:
                self._orphans[key] = self._open.pop(key)

    def take_orphan(self, key: str) -> bool:
        """Say whether this copy was taken before; from now on its sender may hear of it, as of any other."""
        since = self._orphans.pop(key, None)
        if since is None or time.time() - since > KEEP_S:
            return False
        self._open[key] = since
        return True

    def close(self) -> None:
        """Let another process use the file."""
        os.close(self._file)

    def _read(self) -> None:
        size = os.fstat(self._file).st_size
        for line in os.pread(self._file, size, 0).decode("ascii", "replace").splitlines():
            sign, _, rest = line.partition(" ")
            key, _, second = rest.partition(" ")
            if sign == "+" and len(key) == 32 and second.isdigit():
                self._orphans[key] = float(second)
            else:
                self._orphans.pop(key, None)
        oldest = time.time() - KEEP_S
        kept = [(key, since) for key, since in self._orphans.items() if since > oldest][-MAX_ACCEPTANCES:]
        self._orphans = dict(kept)

    def _compact(self) -> None:
        """Begin the file anew now and then; what a kill in between may lose is as if a line had come too late."""
        if os.fstat(self._file).st_size < COMPACT_BYTES:
            return
        rest = "".join(f"+ {key} {int(since)}\n" for key, since in (self._orphans | self._open).items())
        if len(rest) < COMPACT_BYTES // 2:
            os.ftruncate(self._file, 0)
            self._write(rest)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk: a kill could double a mail now, and nothing else is lost
            os.write(self._file, text.encode("ascii"))

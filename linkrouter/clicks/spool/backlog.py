"""The backlog: segments that nobody appends to any more, read back and handed out.

Promise: every click whose bytes are still in a segment's files is handed out, whatever became of the rest of them, and
what is missing is counted. Sound and damaged segments are read alike, by scanning for frames, so there is no second way
that only runs on the worst day; SQLite is not asked, because it may answer "ok" and leave out half.

A damaged segment goes to `quarantine/`. While its lock file is with it, it has clicks to give; then it stays there for
a person.
"""

import contextlib
import json
import os
from bisect import bisect_right
from collections.abc import Collection
from pathlib import Path

from linkrouter.clicks.click import clicked_at
from linkrouter.clicks.spool.claim import Claim, claim, made_at, segment_names
from linkrouter.clicks.spool.frame import scan_file
from linkrouter.clicks.store import OwnShare
from linkrouter.log import log

__all__ = ["QUARANTINE", "Backlog", "next_backlog"]

QUARANTINE = "quarantine"
SQLITE_MAGIC = b"SQLite format 3\0"


class Backlog:
    """The clicks of one claimed segment that central does not have, in memory. Its methods may block on the disk."""

    def __init__(self, owned: Claim) -> None:
        """Read the segment, and move it to quarantine when anything is wrong with it.

        Raises:
            OSError: the files are there but may not be read.
        """
        found: dict[int, bytes] = {}
        for path in (owned.database, owned.log):
            found.update((seq, record) for seq, record in scan_file(path) if seq > owned.checkpoint.acked)
        self._owned = owned
        self._checkpoint_at = os.stat(owned.lock).st_mtime_ns // 1000
        self._seqs = sorted(found)
        self._records = [found[seq] for seq in self._seqs]
        self._next = 0
        self._file_bytes = sum(path.stat().st_size for path in (owned.database, owned.log) if path.exists())
        self.is_quarantined = owned.directory.name == QUARANTINE
        self.lost = self._count_lost()
        self.is_damaged = self.lost > 0 or not self._is_whole()
        if self.is_damaged and not self.is_quarantined:
            self._quarantine()
        if self.is_quarantined:
            self._report()

    def _count_lost(self) -> int:
        """Count the clicks that must be there and are not; without a checkpoint, the gaps between those that are there.

        What a kill cut off may stand behind the checkpoint's mark. It was not promised, so it is not counted as
        missing; it is handed out if it is whole.
        """
        checkpoint = self._owned.checkpoint
        if self.is_quarantined and not self._owned.database.exists() and not self._owned.log.exists():
            return 0  # a kill came between the lock's move and theirs: they are looked at under another name
        if self._owned.has_checkpoint:
            return checkpoint.committed - checkpoint.acked - bisect_right(self._seqs, checkpoint.committed)
        return self._seqs[-1] - self._seqs[0] + 1 - len(self._seqs) if self._seqs else 0

    def _is_whole(self) -> bool:
        """Tell whether the database looks like one of ours, or was never begun."""
        try:
            with open(self._owned.database, "rb") as file:
                start = file.read(len(SQLITE_MAGIC))
        except FileNotFoundError:
            return not self._owned.log.exists() or self._is_done_with()
        return (start == SQLITE_MAGIC and len(self._seqs) > 0) or self._is_done_with()

    def _is_done_with(self) -> bool:
        """Tell whether its owner wrote that there is nothing left in it, and the files agree."""
        checkpoint = self._owned.checkpoint
        return self._owned.has_checkpoint and checkpoint.acked == checkpoint.committed and not self._seqs

    def _quarantine(self) -> None:
        log("spool.damaged", found=len(self._records), lost=self.lost)
        try:
            self._owned.move(self._owned.directory / QUARANTINE)
            self.is_quarantined = True
        except OSError:
            pass  # it is served from where it is; `finish` will not remove it

    def _report(self) -> None:
        """Write down, once, how much of the segment was found; the lost clicks of the status are the sum of these.

        What is lost lies between the oldest click that central does not have and the last checkpoint of the owner.
        """
        since = self._owned.checkpoint.oldest_at or made_at(self.name)
        until = max(since, self._checkpoint_at)
        report = json.dumps({"found": len(self._records), "lost": self.lost, "since": since, "until": until}) + "\n"
        with contextlib.suppress(OSError), open(self._owned.database.with_suffix(".json"), "a") as file:
            if not file.tell():
                file.write(report)

    @property
    def name(self) -> str:
        """The segment's name."""
        return self._owned.name

    def __len__(self) -> int:
        return len(self._records) - self._next

    @property
    def share(self) -> OwnShare:
        """What is left of it."""
        left = len(self)
        return OwnShare(left, clicked_at(self._records[self._next]) if left else None, self._file_bytes)

    def read(self, max_clicks: int) -> tuple[int, tuple[bytes, ...]]:
        """Give the next records, and the sequence number of the last of them."""
        until = min(self._next + max_clicks, len(self._records))
        return self._seqs[until - 1], tuple(self._records[self._next : until])

    def ack(self, seq: int, oldest_at: int) -> None:
        """Forget everything up to *seq*; what is left is no older than *oldest_at*."""
        self._next = max(self._next, bisect_right(self._seqs, seq))
        if self.is_quarantined or not self.is_damaged:
            self._owned.write_checkpoint(
                acked=seq, committed=max(seq, self._owned.checkpoint.committed), oldest_at=oldest_at
            )

    def finish(self) -> None:
        """Let go of a segment that has nothing more to give: unlink it, or leave it to a person when it was damaged."""
        if self.is_quarantined:
            with contextlib.suppress(OSError):
                self._owned.lock.unlink()
            self._owned.release()
        elif not self.is_damaged:
            self._owned.remove()
        # else it could not be moved: holding the claim keeps this process from reading it again and again

    def release(self) -> None:
        """Let go of a segment that still has clicks, for whoever comes next."""
        self._owned.release()


def next_backlog(directory: Path, unreadable: set[str]) -> Backlog | None:
    """Claim and read the newest segment under *directory* that has something to give, removing those that have not.

    Segments that may not be read are left alone; their names are kept in *unreadable* to say so once.
    """
    for place in (directory, directory / QUARANTINE):
        for name in _claimable(place):
            try:
                owned = claim(place, name)
            except OSError:
                _skip(name, unreadable)
                continue
            backlog = owned and _read(owned, unreadable)
            if backlog:
                log("spool.adopted", clicks=len(backlog))
                return backlog
    return None


def _claimable(place: Path) -> Collection[str]:
    names = segment_names(place)
    return [name for name in names if place.joinpath(f"{name}.lock").exists()] if place.name == QUARANTINE else names


def _read(owned: Claim, unreadable: set[str]) -> Backlog | None:
    try:
        backlog = Backlog(owned)
    except OSError:
        owned.release()
        _skip(owned.name, unreadable)
        return None
    if len(backlog):
        return backlog
    backlog.finish()
    return None


def _skip(name: str, unreadable: set[str]) -> None:
    if name not in unreadable:
        unreadable.add(name)
        log("spool.unreadable")

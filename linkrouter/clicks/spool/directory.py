"""The spool directory as a whole: what waits in it.

Promise: it only reads, and it may be asked by anybody at any time, whoever owns the segments.
"""

import contextlib
import json
import os
from pathlib import Path

from linkrouter.clicks.spool.backlog import QUARANTINE
from linkrouter.clicks.spool.claim import Note, read_note, segment_names
from linkrouter.clicks.spool.dead_letters import count_set_aside
from linkrouter.clicks.spool.disk import directory_bytes
from linkrouter.clicks.spool.frame import scan_file
from linkrouter.clicks.store import Loss, StoreStatus

__all__ = ["directory_status"]


def directory_status(directory: Path) -> StoreStatus:
    """Tell what waits in *directory*, across all the processes that use it.

    Exact while nothing moves. A segment whose note is missing is counted by scanning it, acknowledged clicks included;
    what a power cut or damage took from a segment is known once its backlog has been read.
    """
    quarantine = directory / QUARANTINE
    notes = [_note(place, name) for place in (directory, quarantine) for name in segment_names(place)]
    waiting = [note for note in notes if note.committed > note.acked]
    losses = tuple(loss for report in quarantine.glob("*.json") if (loss := _find_loss(report)) is not None)
    lost = sum(loss.count for loss in losses)
    return StoreStatus(
        pending=sum(note.committed - note.acked for note in waiting),
        oldest_at=min((note.oldest_at for note in waiting if note.oldest_at), default=None),
        bytes=directory_bytes(directory),
        set_aside=count_set_aside(directory),
        quarantined=len(segment_names(quarantine)),
        lost={"damaged": lost} if lost else {},
        losses=losses,
    )


def _note(place: Path, name: str) -> Note:
    """Give the note of a segment, or what stands in for it; what quarantine is done with has nothing waiting."""
    try:
        descriptor = os.open(place / f"{name}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return Note() if place.name == QUARANTINE else _count_frames(place, name)
    try:
        return read_note(descriptor, name) or _count_frames(place, name)
    finally:
        os.close(descriptor)


def _count_frames(place: Path, name: str) -> Note:
    seqs: set[int] = set()
    for suffix in (".db", ".db-wal"):
        with contextlib.suppress(OSError):
            seqs.update(seq for seq, _ in scan_file(place / f"{name}{suffix}"))
    return Note(committed=len(seqs))


def _find_loss(report: Path) -> Loss | None:
    """Read what a damaged segment could not give back; None when it was nothing."""
    try:
        said = json.loads(report.read_text("ascii"))
        loss = Loss(report.stem, "damaged", int(said["lost"]), int(said["since"]), int(said["until"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return loss if loss.count > 0 else None

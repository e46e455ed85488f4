"""The spool directory as a whole: what waits in it.

Promise: it only reads, and it may be asked by anybody at any time, whoever owns the segments.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path

from linkrouter.clicks.spool.backlog import QUARANTINE
from linkrouter.clicks.spool.claim import Checkpoint, read_checkpoint, segment_names
from linkrouter.clicks.spool.dead_letters import count_dead_letters
from linkrouter.clicks.spool.disk import directory_bytes
from linkrouter.clicks.spool.frame import scan_file
from linkrouter.clicks.store import Loss, OwnShare, StoreStatus

__all__ = ["directory_status", "unclaimed_shares"]


def directory_status(directory: Path) -> StoreStatus:
    """Tell what waits in *directory*, across all the processes that use it.

    Exact while nothing moves. A segment without a checkpoint is counted by scanning it, acknowledged clicks included;
    what a power cut or damage took from a segment is known once its backlog has been read.
    """
    quarantine = directory / QUARANTINE
    checkpoints = [_checkpoint(place, name) for place in (directory, quarantine) for name in segment_names(place)]
    waiting = [checkpoint for checkpoint in checkpoints if checkpoint.committed > checkpoint.acked]
    losses = tuple(loss for report in quarantine.glob("*.json") if (loss := _find_loss(report)) is not None)
    lost = sum(loss.count for loss in losses)
    return StoreStatus(
        pending=sum(checkpoint.committed - checkpoint.acked for checkpoint in waiting),
        oldest_at=min((checkpoint.oldest_at for checkpoint in waiting if checkpoint.oldest_at), default=None),
        bytes=directory_bytes(directory),
        dead_letters=count_dead_letters(directory),
        quarantined=len(segment_names(quarantine)),
        lost={"damaged": lost} if lost else {},
        losses=losses,
    )


def unclaimed_shares(directory: Path, names: Iterable[str]) -> dict[str, OwnShare | None]:
    """Tell what waits in each of the segments *names*; None when it is gone, or a process owns it now."""
    return {name: _unclaimed_share(directory, name) for name in names}


def _unclaimed_share(directory: Path, name: str) -> OwnShare | None:
    try:
        descriptor = os.open(directory / f"{name}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        checkpoint = read_checkpoint(descriptor, name)
        paths = [path for suffix in (".db", ".db-wal") if (path := directory / f"{name}{suffix}").exists()]
        size = sum(path.stat().st_size for path in paths)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if checkpoint is None or checkpoint.committed <= checkpoint.acked:
        return None
    return OwnShare(checkpoint.committed - checkpoint.acked, checkpoint.oldest_at or None, size)


def _checkpoint(place: Path, name: str) -> Checkpoint:
    """Give the checkpoint of a segment, or what stands in for it; what quarantine is done with has nothing waiting."""
    try:
        descriptor = os.open(place / f"{name}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return Checkpoint() if place.name == QUARANTINE else _count_frames(place, name)
    try:
        return read_checkpoint(descriptor, name) or _count_frames(place, name)
    finally:
        os.close(descriptor)


def _count_frames(place: Path, name: str) -> Checkpoint:
    seqs: set[int] = set()
    for suffix in (".db", ".db-wal"):
        with contextlib.suppress(OSError):
            seqs.update(seq for seq, _ in scan_file(place / f"{name}{suffix}"))
    return Checkpoint(committed=len(seqs))


def _find_loss(report: Path) -> Loss | None:
    """Read what a damaged segment could not give back; None when it was nothing."""
    try:
        said = json.loads(report.read_text("ascii"))
        loss = Loss(report.stem, "damaged", int(said["lost"]), int(said["since"]), int(said["until"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return loss if loss.count > 0 else None

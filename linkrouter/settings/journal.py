"""Whether what a process logs goes to systemd's journal."""

import os
from collections.abc import Mapping

__all__ = ["is_journal"]


def is_journal(descriptor: int = 2, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the file *descriptor*, standard error by default, is the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"

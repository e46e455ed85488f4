"""Where what a process writes goes: to systemd's journal, to a terminal that shows colours."""

import os
from collections.abc import Mapping

__all__ = ["is_journal", "wants_colour"]


def is_journal(descriptor: int = 2, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the file *descriptor*, standard error by default, is the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def wants_colour(descriptor: int = 1, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the file *descriptor*, standard output by default, is a terminal that takes colours (no-color.org)."""
    return os.isatty(descriptor) and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

"""Secrets come from files: tokens, one a line, and whatever systemd hands to a unit."""

import os
from collections.abc import Mapping
from pathlib import Path

from linkrouter.errors import SettingsError

__all__ = ["credentials_directory", "read_secret"]

MIN_TOKEN_CHARS = 16


def read_secret(path: Path, setting: str, min_chars: int = MIN_TOKEN_CHARS) -> tuple[str, ...]:
    """Read the tokens in *path*, one a line; *setting* is who asks, for the error.

    Raises:
        SettingsError: the file cannot be read, is readable by all, or holds no usable token.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text("ascii").split()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{setting}: {str(path)!r} cannot be read; it must hold one token a line") from None
    if mode & 0o007:
        raise SettingsError(f"{setting}: {str(path)!r} can be read by everybody; run 'chmod 600 {path}'")
    if not lines or any(len(line) < min_chars for line in lines):
        raise SettingsError(f"{setting}: {str(path)!r} must hold tokens of {min_chars} characters or more")
    return tuple(lines)


def credentials_directory(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the directory in which systemd put this unit's credentials, if there is one."""
    name = environ.get("CREDENTIALS_DIRECTORY")
    return Path(name) if name else None

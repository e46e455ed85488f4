"""Secrets come from files, and whatever systemd hands to a unit."""

import os
from collections.abc import Mapping
from pathlib import Path

from linkrouter.errors import SettingsError

__all__ = ["MIN_TOKEN_CHARS", "credentials_directory", "read_secret", "read_secret_text"]

MIN_TOKEN_CHARS = 16


def read_secret(path: Path, setting: str) -> str:
    """Read the one secret that *path* holds, such as the key for a service; *setting* is who asks, for the error.

    Raises:
        SettingsError: the file cannot be read, is readable by all, or holds anything but one word.
    """
    words = read_secret_text(path, setting).split()
    if len(words) != 1:
        raise SettingsError(f"{setting}: {str(path)!r} must hold one key and nothing else")
    return words[0]


def read_secret_text(path: Path, setting: str) -> str:
    """Read what stands in *path*, a file of secrets.

    Raises:
        SettingsError: it cannot be read, or is readable by all.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{setting}: {str(path)!r} cannot be read; it must be plain ASCII text") from None
    if mode & 0o007:
        raise SettingsError(f"{setting}: {str(path)!r} can be read by everybody; run 'chmod 600 {path}'")
    return text


def credentials_directory(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the directory in which systemd put this unit's credentials, if there is one."""
    name = environ.get("CREDENTIALS_DIRECTORY")
    return Path(name) if name else None

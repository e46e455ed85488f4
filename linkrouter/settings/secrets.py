"""Secrets come from files, and whatever systemd hands to a unit."""

import os
from collections.abc import Mapping
from pathlib import Path

from linkrouter.errors import ExposedSecret, SettingsError
from linkrouter.secretfile import read_secret_file

__all__ = ["MIN_TOKEN_CHARS", "credentials_directory", "read_secret", "read_secret_text"]

MIN_TOKEN_CHARS = 16
MAX_SECRET_BYTES = 64 * 1024


def read_secret(path: Path, setting: str, *, accept_mounted: bool = False) -> str:
    """Read the one secret that *path* holds, such as the key for a service; *setting* is who asks, for the error.

    Raises:
        SettingsError: the file cannot be read, is readable by others, or holds anything but one word.
    """
    words = read_secret_text(path, setting, accept_mounted=accept_mounted).split()
    if len(words) != 1:
        raise SettingsError(f"{setting}: {str(path)!r} must hold one key and nothing else")
    return words[0]


def read_secret_text(path: Path, setting: str, *, accept_mounted: bool = False) -> str:
    """Read what stands in *path*, a file of secrets.

    Raises:
        SettingsError: it cannot be read, or is readable by others (`read_secret_file`).
    """
    try:
        return read_secret_file(str(path), MAX_SECRET_BYTES, accept_mounted=accept_mounted).decode("ascii")
    except ExposedSecret as exc:
        raise SettingsError(f"{setting}: {str(path)!r} {exc}") from exc
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{setting}: {str(path)!r} cannot be read; it must be plain ASCII text") from None


def credentials_directory(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the directory in which systemd put this unit's credentials, if there is one."""
    name = environ.get("CREDENTIALS_DIRECTORY")
    return Path(name) if name else None

"""Files and directories: there, readable by whom they are for, and by nobody else, and of the right content."""

import os
from pathlib import Path

from linkrouter.doctor.finding import Finding, finding_of
from linkrouter.errors import KeyringError, SettingsError
from linkrouter.link.keyring import Keyring
from linkrouter.router.domains import load_domains
from linkrouter.settings import read_tokens

__all__ = ["look_at_directory", "look_at_domains", "look_at_keys", "look_at_tokens"]


def look_at_keys(path: Path, *, accept_mounted: bool = False) -> list[Finding]:
    """Look at a keyring as a router reads it."""
    try:
        ring = Keyring.load(path, accept_mounted=accept_mounted)
    except KeyringError as exc:
        return [finding_of("keys", exc)]
    states = {key.state for key in ring.keys}
    if states == {"revoked"}:
        return [Finding("keys", f"{str(path)!r} holds no key that verifies", "run 'linkrouter keys rotate'")]
    return []


def look_at_tokens(path: Path | None, setting: str, *, accept_mounted: bool = False) -> list[Finding]:
    """Look at a file of tokens; *setting* is who needs it."""
    if path is None:
        return [Finding("tokens", f"{setting} is not set", f"give it: the file with the tokens ({setting})")]
    try:
        read_tokens(path, setting, accept_mounted=accept_mounted)
    except SettingsError as exc:
        return [finding_of("tokens", exc)]
    return []


def look_at_domains(path: Path | None) -> list[Finding]:
    """Look at a file of own domains as a router reads it."""
    try:
        load_domains(path)
    except SettingsError as exc:
        return [finding_of("domains", exc)]
    return []


def look_at_directory(path: Path, setting: str) -> list[Finding]:
    """Look at a directory of people's data, which *setting* names; one that is not there yet is made at the start."""
    if not path.exists():
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if os.access(above, os.W_OK):
            return []
        return [Finding("files", f"{setting}: {str(path)!r} is not there", f"make it, or make {str(above)!r} writable")]
    if not path.is_dir():
        return [Finding("files", f"{setting}: {str(path)!r} is no directory", "name another, or move it away")]
    if not os.access(path, os.W_OK | os.X_OK):
        cure = f"run this as the service's user; if it is that user, chown {str(path)!r} to it"
        return [Finding("files", f"{setting}: {str(path)!r} cannot be written", cure)]
    if path.stat().st_mode & 0o007:
        return [Finding("files", f"{setting}: {str(path)!r} can be read by others", f"run 'chmod 700 {path}'")]
    return []

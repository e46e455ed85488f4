"""The keyring file: JSON, written all or nothing by one writer at a time.

Promise: a file that others can read is refused, no error quotes a piece of a secret, and whoever owned a file before it
was replaced still does. Two changes at once are made one after the other, so that neither is lost.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from linkrouter.errors import BadLink, ExposedSecret, KeyringError
from linkrouter.link.codec import decode_base64url, encode_base64url
from linkrouter.secretfile import locked_directory, read_secret_file, replace_file

__all__ = [
    "MAX_KEYS",
    "MIN_SECRET_BYTES",
    "Key",
    "change_keyring_file",
    "checked_keys",
    "parse_keyring",
    "read_keyring_file",
    "write_keyring_file",
]

STATES = ("sign", "verify", "revoked")
MIN_SECRET_BYTES = 32
MAX_KEYS = 15  # the key id has four bits, and 0 is refused
MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Key:
    """One secret of a keyring: `state` is "sign" (new links get it), "verify" (old links work) or "revoked"."""

    id: int
    secret: bytes = field(repr=False)
    state: str


def checked_keys(keys: list[Key]) -> list[Key]:
    """Give *keys* if a keyring can be made of them.

    Raises:
        KeyringError: two keys have one id or may both sign, an id is not 1-15, a state is unknown, or a secret is
            shorter than 32 bytes.
    """
    ids = [key.id for key in keys]
    for key in keys:
        if not 1 <= key.id <= MAX_KEYS:
            raise KeyringError(f"key id {key.id} is not 1 to {MAX_KEYS}")
        if key.state not in STATES:
            raise KeyringError(f"key {key.id} has an unknown state; it must be sign, verify or revoked")
        if len(key.secret) < MIN_SECRET_BYTES:
            raise KeyringError(f"the secret of key {key.id} is shorter than {MIN_SECRET_BYTES} bytes")
    if len(set(ids)) < len(ids):
        raise KeyringError("two keys have the same id")
    if sum(key.state == "sign" for key in keys) > 1:
        raise KeyringError("two keys may sign; leave one at 'sign' and set the others to 'verify'")
    return keys


def parse_keyring(raw: bytes, name: str) -> list[Key]:
    """Read the content of a keyring file; *name* is for the error.

    Raises:
        KeyringError: it is not a keyring; no piece of it is quoted.
    """
    try:
        return checked_keys(_parse_keys(raw))
    except (KeyringError, ValueError, BadLink, RecursionError) as exc:
        # `from None`: what a parser says may quote a piece of a secret.
        reason = str(exc) if isinstance(exc, KeyringError) else "it is not a keyring file"
        raise KeyringError(f"keyring {name!r} cannot be used: {reason}") from None


def read_keyring_file(name: str, check_mode: bool = True, accept_mounted: bool = False) -> list[Key]:
    """Read the file *name*; *check_mode* is whether others must not be able to read it (see `read_secret_file`).

    Raises:
        KeyringError: the file is missing, readable by others, or not a keyring.
    """
    try:
        raw = read_secret_file(name, MAX_FILE_BYTES + 1, check_mode=check_mode, accept_mounted=accept_mounted)
    except ExposedSecret as exc:
        raise KeyringError(f"keyring {name!r} {exc}") from exc
    except OSError as exc:
        raise KeyringError(
            f"keyring {name!r} cannot be read ({exc.strerror}); make one with 'linkrouter keys create {name}'"
        ) from exc
    return parse_keyring(raw, name)


def write_keyring_file(name: str, keys: Iterable[Key], replace_existing: bool = True) -> None:
    """Write *keys* to the file *name*; a file that is replaced keeps its owner and group, and never gets more readers.

    Raises:
        KeyringError: the file exists and *replace_existing* is off, or it cannot be written.
    """
    path = Path(os.path.realpath(name))  # a symlink is followed: to replace it would leave two keyrings
    try:
        with locked_directory(path):
            replace_file(path, _content(keys), replace_existing=replace_existing)
    except FileExistsError as exc:
        raise KeyringError(f"keyring {name!r} exists; rotate it, or choose another name") from exc
    except OSError as exc:
        raise KeyringError(f"keyring {name!r} cannot be written ({exc.strerror})") from exc


def change_keyring_file(name: str, change: Callable[[list[Key]], list[Key]]) -> list[Key]:
    """Replace the keys in the file *name* by what *change* makes of them, and give those.

    Raises:
        KeyringError: as `read_keyring_file` and `write_keyring_file`; or somebody who takes no lock, an editor say,
            has written the file meanwhile.
    """
    path = Path(os.path.realpath(name))
    try:
        with locked_directory(path):
            before = read_keyring_file(name)
            keys = checked_keys(change(before))
            if read_keyring_file(name) != before:
                raise KeyringError(f"keyring {name!r} was changed by somebody else meanwhile; run this again")
            replace_file(path, _content(keys))
    except OSError as exc:
        raise KeyringError(f"keyring {name!r} cannot be written ({exc.strerror})") from exc
    return keys


def _content(keys: Iterable[Key]) -> bytes:
    entries = [{"id": key.id, "secret": encode_base64url(key.secret), "state": key.state} for key in keys]
    return (json.dumps({"keys": entries}, indent=2) + "\n").encode("ascii")


def _parse_keys(raw: bytes) -> list[Key]:
    if len(raw) > MAX_FILE_BYTES:
        raise KeyringError("it is too large")
    if not raw.strip():
        raise KeyringError("it is empty")
    document = json.loads(raw)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise KeyringError("it holds no keys")
    return [_parse_key(entry) for entry in entries]


def _parse_key(entry: object) -> Key:
    if not isinstance(entry, dict) or set(entry) != {"id", "secret", "state"}:
        raise KeyringError("a key must have 'id', 'secret' and 'state', and nothing else")
    key_id, secret, state = entry["id"], entry["secret"], entry["state"]
    if type(key_id) is not int or not isinstance(secret, str) or not isinstance(state, str):
        raise KeyringError("a key's id must be a number, its secret and state text")
    return Key(key_id, decode_base64url(secret.rstrip("=")), state)

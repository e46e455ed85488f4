"""The keyring file: JSON, mode 0600, written all or nothing.

Promise: a file that others can read is refused, and no error quotes a piece of a secret.
"""

import json
import os
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from linkrouter.errors import BadLink, KeyringError
from linkrouter.link.codec import decode_base64url, encode_base64url

__all__ = ["MAX_KEYS", "MIN_SECRET_BYTES", "Key", "checked_keys", "read_keyring_file", "write_keyring_file"]

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


def read_keyring_file(name: str, check_mode: bool = True) -> list[Key]:
    """Read the file *name*; *check_mode* is whether others must not be able to read it.

    Raises:
        KeyringError: the file is missing, readable by others, or not a keyring.
    """
    try:
        with open(name, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise KeyringError(
            f"keyring {name!r} cannot be read ({exc.strerror}); make one with 'linkrouter keys create {name}'"
        ) from exc
    if check_mode and stat.S_IMODE(mode) & 0o077:
        raise KeyringError(f"keyring {name!r} can be read by others; run 'chmod 600 {name}'")
    try:
        return checked_keys(_parse_keys(raw))
    except (KeyringError, ValueError, BadLink, RecursionError) as exc:
        # `from None`: what a parser says may quote a piece of a secret.
        reason = str(exc) if isinstance(exc, KeyringError) else "it is not a keyring file"
        raise KeyringError(f"keyring {name!r} cannot be used: {reason}") from None


def write_keyring_file(name: str, keys: Iterable[Key], replace_existing: bool = True) -> None:
    """Write *keys* to the file *name*.

    Raises:
        KeyringError: the file exists and *replace_existing* is off, or it cannot be written.
    """
    entries = [{"id": key.id, "secret": encode_base64url(key.secret), "state": key.state} for key in keys]
    content = (json.dumps({"keys": entries}, indent=2) + "\n").encode("ascii")
    try:
        _write_atomically(Path(name), content, replace_existing)
    except FileExistsError as exc:
        raise KeyringError(f"keyring {name!r} exists; rotate it, or choose another name") from exc
    except OSError as exc:
        raise KeyringError(f"keyring {name!r} cannot be written ({exc.strerror})") from exc


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


def _write_atomically(path: Path, content: bytes, replace_existing: bool) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace_existing:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # refuses an existing name, and no one sees half a file
            os.unlink(temporary)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""The life of a key, as pure functions from keys to keys: added, made to sign, revoked, removed.

Promise: no step but `revoke_key` makes a living link dead. A key verifies everywhere before it signs anywhere, so
adding and signing are two steps.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace

from linkrouter.errors import KeyringError
from linkrouter.link.keyfile import MAX_KEYS, MIN_SECRET_BYTES, Key

__all__ = ["add_key", "fingerprint_of", "remove_key", "revoke_key", "sign_with"]


def add_key(keys: Sequence[Key]) -> tuple[list[Key], int]:
    """Give *keys* with a fresh one that verifies, and its id.

    Raises:
        KeyringError: all fifteen ids are taken.
    """
    taken = {key.id for key in keys}
    free = [key_id for key_id in range(1, MAX_KEYS + 1) if key_id not in taken]
    if not free:
        raise KeyringError(
            f"the keyring is full: {MAX_KEYS} keys are the most; revoke one whose links may be dead for good, "
            "and remove it with 'linkrouter keys remove'"
        )
    # After the highest id, while there is one: an id that was deleted may still stand in links out there.
    highest = max(taken, default=0)
    new_id = highest + 1 if highest + 1 in free else free[0]
    return [*keys, Key(new_id, secrets.token_bytes(MIN_SECRET_BYTES), "verify")], new_id


def sign_with(keys: Sequence[Key], key_id: int) -> list[Key]:
    """Give *keys* with *key_id* as the one that signs; the one that signed until now goes on verifying.

    Raises:
        KeyringError: it is not there, or is revoked.
    """
    if _find(keys, key_id).state == "revoked":
        raise KeyringError(f"key {key_id} is revoked; add another with 'linkrouter keys add'")
    olds = [replace(key, state="verify") if key.state == "sign" else key for key in keys]
    return [replace(key, state="sign") if key.id == key_id else key for key in olds]


def revoke_key(keys: Sequence[Key], key_id: int) -> list[Key]:
    """Give *keys* with every link of *key_id* dead.

    Raises:
        KeyringError: it is not there, or signs.
    """
    if _find(keys, key_id).state == "sign":
        raise KeyringError(f"key {key_id} signs new links; rotate first, then revoke it")
    return [replace(key, state="revoked") if key.id == key_id else key for key in keys]


def remove_key(keys: Sequence[Key], key_id: int) -> list[Key]:
    """Give *keys* without *key_id*, whose links are dead already.

    Raises:
        KeyringError: it is not there, or not revoked.
    """
    if _find(keys, key_id).state != "revoked":
        raise KeyringError(f"key {key_id} is not revoked, so its links are alive; revoke it first")
    return [key for key in keys if key.id != key_id]


def fingerprint_of(key: Key) -> str:
    """Give eight hexadecimal digits by which two machines compare a key; a secret is random, so they tell nothing."""
    return hashlib.sha256(b"linkrouter key fingerprint" + key.secret).hexdigest()[:8]


def _find(keys: Sequence[Key], key_id: int) -> Key:
    found = next((key for key in keys if key.id == key_id), None)
    if found is None:
        ids = ", ".join(str(key.id) for key in keys) or "none"
        raise KeyringError(f"key {key_id} is not in the keyring, which holds {ids}")
    return found

"""The published vectors of take-backs, and keyrings and links to try rules with."""

import base64
import json
from pathlib import Path

from linkrouter.link import Key, Keyring

VECTORS = json.loads((Path(__file__).parents[2] / "docs" / "take-back-vectors.json").read_text())


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ring_of_vectors(**states: str) -> Keyring:
    """Give the vectors' keyring; *states* are those of single keys, such as `key_2="revoked"`."""
    return Keyring(
        Key(int(key_id), unb64(secret), states.get(f"key_{key_id}", "sign" if key_id == "1" else "verify"))
        for key_id, secret in VECTORS["keys"].items()
    )


RING = ring_of_vectors()
LINK_ID = unb64(VECTORS["link_id"])
NEW_PATH = VECTORS["good"][1]["to"]

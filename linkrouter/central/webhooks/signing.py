"""Secrets and signatures of Standard Webhooks 1.0 (https://www.standardwebhooks.com).

Promise: what is signed is the id, the time of the attempt and the very bytes that are sent; while a secret is being
replaced, both of them sign.
"""

import base64
import hashlib
import hmac
import os

from linkrouter.central.store.webhooks import Endpoint
from linkrouter.units import DAY_S, SECOND_US

__all__ = ["OVERLAP_S", "header_id", "new_secret", "signature_headers"]

WHSEC = "whsec_"
SECRET_BYTES = 32
OVERLAP_S = DAY_S  # after a rotation the old secret signs for so long, too


def new_secret() -> str:
    """Draw a secret."""
    return WHSEC + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def header_id(event_id: str) -> str:
    """Write an id so that it has no dot, which would end it in what is signed."""
    return event_id.replace("%", "%25").replace(".", "%2E")


def signature_headers(endpoint: Endpoint, event_id: str, body: bytes, at_s: int) -> list[tuple[str, str]]:
    """Give the three headers for an attempt at *at_s* seconds since the epoch."""
    secrets = [endpoint.secret]
    if endpoint.old_secret is not None and at_s * SECOND_US < endpoint.old_until:
        secrets.append(endpoint.old_secret)
    signed = f"{header_id(event_id)}.{at_s}.".encode() + body
    return [
        ("webhook-id", header_id(event_id)),
        ("webhook-timestamp", str(at_s)),
        ("webhook-signature", " ".join(_sign(secret, signed) for secret in secrets)),
    ]


def _sign(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(WHSEC))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()

"""Who may do what: bearer tokens (RFC 6750) from two files.

Promise: a router's token may post clicks and nothing else, a sender's token may do everything but that. A token is
compared with every known one in constant time, and none is kept in memory or shown.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from linkrouter.settings import read_secret

__all__ = ["May", "Tokens"]

May = Literal["post clicks", "all else"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The digests of all tokens by what they may do."""

    digests: dict[May, tuple[bytes, ...]] = field(repr=False)

    @classmethod
    def load(cls, ingest_token_file: Path, api_token_file: Path) -> Self:
        """Read both files.

        Raises:
            SettingsError: one cannot be read, is readable by all, or holds no usable token.
        """
        return cls.of(
            read_secret(ingest_token_file, "INGEST_TOKEN_FILE"), read_secret(api_token_file, "API_TOKEN_FILE")
        )

    @classmethod
    def of(cls, ingest: tuple[str, ...], api: tuple[str, ...]) -> Self:
        """Make the routers' tokens *ingest* and the senders' tokens *api* known."""
        return cls({"post clicks": tuple(map(_digest, ingest)), "all else": tuple(map(_digest, api))})

    def refusal_status(self, authorization: str, may: May) -> int | None:
        """Give 401 or 403 when the header *authorization* does not carry a token that *may*, else None."""
        scheme, _, token = authorization.partition(" ")
        shown = _digest(token.strip(" ")) if scheme.lower() == "bearer" else b""
        known = {what: _is_among(shown, digests) for what, digests in self.digests.items()}
        if known[may]:
            return None
        return 403 if any(known.values()) else 401


def _digest(token: str) -> bytes:
    # Digests have one length, so a comparison does not even tell how long a token is.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _is_among(shown: bytes, digests: tuple[bytes, ...]) -> bool:
    return sum([hmac.compare_digest(shown, digest) for digest in digests]) > 0

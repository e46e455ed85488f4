"""Who may do what: bearer tokens (RFC 6750), each with scopes, a tenant and a name.

Promise: a token is compared with every known one in constant time, and none is kept in memory or shown. What a token
may do is the scope of the path; whose data it sees is its tenant.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self, get_args

from linkrouter.errors import SettingsError
from linkrouter.settings import TokenLine, read_tokens

__all__ = ["ADMIN", "ANYONE", "SCOPES", "Caller", "Scope", "Tokens", "digest_token"]

Scope = Literal[
    "clicks:write",
    "messages:write",
    "stats:read",
    "clicks:read",
    "checks",
    "takebacks",
    "webhooks",
    "privacy",
    "admin",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: what the token may do, and the one tenant whose data it sees; None sees all."""

    scopes: frozenset[Scope] = frozenset()
    tenant: int | None = None
    name: str = ""
    token_id: str = field(default="", repr=False, compare=False)  # tells tokens apart, and says nothing of one

    def may(self, scope: Scope) -> bool:
        """Whether the token holds *scope*; admin holds all but the routers' own, which is never a sender's."""
        return scope in self.scopes or ("admin" in self.scopes and scope != "clicks:write")

    def narrow(self, tenant: int | None) -> int | None:
        """Give the tenant that a question about *tenant*, which the token `sees`, is about; None is every tenant."""
        return tenant if self.tenant is None else self.tenant

    def sees(self, tenant: int | None) -> bool:
        """Whether a question about *tenant* may be asked; None leaves the tenant to the token."""
        return tenant is None or self.tenant in (None, tenant)


ANYONE = Caller()
ROUTER = Caller(frozenset({"clicks:write"}))
ADMIN = Caller(frozenset({"admin"}))
SENDER = Caller(frozenset({"messages:write"}))


@dataclass(frozen=True, slots=True)
class Tokens:
    """The digests of all tokens, and whom each lets in."""

    callers: tuple[tuple[bytes, Caller], ...] = field(repr=False)

    @classmethod
    def load(cls, ingest_token_file: Path, api_token_file: Path, *, accept_mounted: bool = False) -> Self:
        """Read both files.

        Raises:
            SettingsError: one cannot be read, is readable by others, is no token file or has a token of the other.
        """
        ingest = read_tokens(ingest_token_file, "INGEST_TOKEN_FILE", accept_mounted=accept_mounted)
        api = read_tokens(api_token_file, "API_TOKEN_FILE", accept_mounted=accept_mounted)
        if {line.token for line in ingest} & {line.token for line in api}:
            raise SettingsError(
                f"API_TOKEN_FILE: {str(api_token_file)!r} has a token of INGEST_TOKEN_FILE; give routers their own"
            )
        callers = [(line, ROUTER, "INGEST_TOKEN_FILE") for line in ingest]
        callers += [(line, ADMIN, "API_TOKEN_FILE") for line in api]
        return cls(tuple((digest_token(line.token), _caller(line, default, file)) for line, default, file in callers))

    @classmethod
    def load_senders(cls, token_file: Path, *, accept_mounted: bool = False) -> Self:
        """Read the one file of a service that is for senders alone: a bare token has `messages:write`.

        Raises:
            SettingsError: it cannot be read, is readable by others or is no token file.
        """
        lines = read_tokens(token_file, "TOKEN_FILE", accept_mounted=accept_mounted)
        return cls(tuple((digest_token(line.token), _caller(line, SENDER, "TOKEN_FILE")) for line in lines))

    @classmethod
    def of(cls, ingest: Iterable[str], api: Iterable[str]) -> Self:
        """Make the routers' tokens *ingest* and the senders' tokens *api* known."""
        return cls(
            (*((digest_token(token), ROUTER) for token in ingest), *((digest_token(token), ADMIN) for token in api))
        )

    @classmethod
    def of_callers(cls, callers: Mapping[str, Caller]) -> Self:
        """Make each of the tokens in *callers* let in whom it stands for."""
        return cls(tuple((digest_token(token), caller) for token, caller in callers.items()))

    def find_caller(self, token: str) -> Caller | None:
        """Give whom *token* lets in, or None when it is not known."""
        return self.find_by_digest(digest_token(token)) if token else None

    def find_by_digest(self, digest: bytes) -> Caller | None:
        """Give whom the token with *digest* lets in, or None when it is not known any more."""
        found = [caller for known, caller in self.callers if hmac.compare_digest(digest, known)]
        return replace(found[0], token_id=digest.hex()[:16]) if found else None


def _caller(line: TokenLine, default: Caller, setting: str) -> Caller:
    unknown = set(line.scopes).difference(SCOPES)
    if unknown:
        raise SettingsError(f"{setting}: no scope is called {min(unknown)!r}; there are {', '.join(SCOPES)}")
    scopes = frozenset(scope for scope in SCOPES if scope in line.scopes)
    return Caller(scopes or default.scopes, line.tenant, line.name)


def digest_token(token: str) -> bytes:
    """Give what is kept of *token*."""
    # Digests have one length, so a comparison does not even tell how long a token is.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()

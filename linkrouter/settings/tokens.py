"""Token files: one token a line, with what it may do.

    # the routers of Amsterdam
    kX3…           a bare token has the scope that its file is for
    9fQ…  scopes=messages:write,stats:read  tenant=7  name=shop

Promise: what is meant as a comment or as a field is never taken for a token, and an error names the line and no token.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from linkrouter.errors import SettingsError
from linkrouter.settings.secrets import MIN_TOKEN_CHARS, read_secret_text

__all__ = ["TokenLine", "parse_tokens", "read_tokens"]

_FIELDS = {
    "scopes": re.compile(r"[a-z]{1,20}(?::[a-z]{1,20})?(?:,[a-z]{1,20}(?::[a-z]{1,20})?)*"),
    "tenant": re.compile(r"[0-9]{1,18}"),
    "name": re.compile(r"[A-Za-z0-9._-]{1,64}"),
}


@dataclass(frozen=True, slots=True)
class TokenLine:
    """One token; no scopes are those of its file, no tenant is every tenant."""

    token: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    tenant: int | None = None
    name: str = ""


def read_tokens(path: Path, setting: str, *, accept_mounted: bool = False) -> tuple[TokenLine, ...]:
    """Read the tokens in *path*; *setting* is who asks, for the error.

    Raises:
        SettingsError: the file cannot be read, is readable by others, or is not a token file.
    """
    text = read_secret_text(path, setting, accept_mounted=accept_mounted)
    try:
        return parse_tokens(text)
    except ValueError as exc:
        raise SettingsError(f"{setting}: {str(path)!r} {exc}") from None


def parse_tokens(text: str) -> tuple[TokenLine, ...]:
    """Read the lines of a token file; empty ones and those that begin with `#` say nothing.

    Raises:
        ValueError: a line is malformed or has the token of another, or there is none; the words follow a file's name.
    """
    tokens: dict[str, TokenLine] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            parsed = _parse_line(words)
        except ValueError as exc:
            raise ValueError(f"line {number} {exc}") from None
        if parsed.token in tokens:
            raise ValueError(f"line {number} has the token of another line; keep one of them")
        tokens[parsed.token] = parsed
    if not tokens:
        raise ValueError(f"must hold tokens of {MIN_TOKEN_CHARS} characters or more, one a line")
    return tuple(tokens.values())


def _parse_line(words: list[str]) -> TokenLine:
    token, *rest = words
    if len(token) < MIN_TOKEN_CHARS or token.partition("=")[0] in _FIELDS:
        raise ValueError(f"must begin with a token of {MIN_TOKEN_CHARS} characters or more, or with # for a comment")
    found: dict[str, str] = {}
    for word in rest:
        name, _, value = word.partition("=")
        if name not in _FIELDS or name in found or not _FIELDS[name].fullmatch(value):
            raise ValueError(
                "must be TOKEN scopes=WORD,WORD tenant=NUMBER name=WORD; a token stands alone or before these"
            )
        found[name] = value
    scopes = tuple(found["scopes"].split(",")) if "scopes" in found else ()
    return TokenLine(token, scopes, int(found["tenant"]) if "tenant" in found else None, found.get("name", ""))

"""Obviously bad URLs, found before anything is requested.

Promise: the rules are data (`static/rules.json`), read here and by the page's `static/malformed.js`; both take a URL
apart in the same few steps, and one table of cases holds both to the same answers.
"""

import json
import re
from functools import cache
from importlib.resources import files
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

__all__ = ["Rule", "find_malformed", "rules_version"]

# Nine links in ten look like this and break no rule; telling so takes a twentieth of the time that the rules take.
_PLAIN = re.compile(
    r"https?://(?:(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,3}[a-z]{2,24}|(?:(?:1?[1-9])?[0-9]\.){3}(?:1?[1-9])?[0-9])"
    r"(?::[1-9][0-9]{0,3})?(?:[/?#][!-~]{0,2000})?"
)

_BLANKS = "".join(map(chr, range(33)))
_FOLDS = str.maketrans("", "", "\t\n\r")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)  # what other letters become depends on the language
_SCHEME = re.compile(r"([A-Za-z]+):([\s\S]*)")
_AUTHORITY_END = re.compile(r"[/?#]")
_HOST_AND_PORT = re.compile(r"([\s\S]*?)(?::([^:\]]*))?")


class Rule(NamedTuple):
    """One way to be malformed; `says` completes the sentence "the link is malformed: …"."""

    name: str
    on: str
    pattern: re.Pattern[str]
    says: str
    local: bool


def find_malformed(url: str, *, local: bool = False) -> Rule | None:
    """Give the first rule that *url* breaks, or None; *local* allows hosts that only a local network knows."""
    return None if _PLAIN.fullmatch(url) else _broken_rule(url, local)


def _broken_rule(url: str, local: bool) -> Rule | None:
    pieces = _take_apart(url)
    for rule in _load()[1]:
        piece = pieces.get(rule.on)
        if piece is not None and not (local and rule.local) and rule.pattern.search(piece):
            return rule
    return None


def rules_version() -> int:
    """The version of the table: verdicts of another version are not taken from a cache."""
    return _load()[0]


@cache
def _load() -> tuple[int, tuple[Rule, ...]]:
    table = json.loads(files(__package__).joinpath("rules.json").read_text("utf-8"))
    return table["version"], tuple(
        Rule(row["name"], row["on"], _compile(row["matches"]), row["says"], row.get("local", False))
        for row in table["rules"]
    )


def _compile(pattern: str) -> re.Pattern[str]:
    """Compile what JavaScript reads with the flag `u`; three spellings differ: `[^]`, `$` and `\\u{…}` (not used)."""
    return re.compile(pattern.replace("[^]", r"[\s\S]").replace("$", r"\Z"))


def _take_apart(text: str) -> dict[str, str | None]:
    """Do what `takeApart` in malformed.js does."""
    url = text.strip(_BLANKS).translate(_FOLDS)
    match = _SCHEME.match(url)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", "")
    if scheme == "mailto":
        return {"url": url, "mail": rest.partition("?")[0]}
    if scheme == "tel":
        return {"url": url, "tel": rest}
    if scheme not in ("http", "https"):
        return {"url": url}
    authority = _AUTHORITY_END.split(rest.removeprefix("//"), maxsplit=1)[0]
    found = _HOST_AND_PORT.fullmatch(authority.rpartition("@")[2])
    host, port = (found[1], found[2]) if found else ("", None)
    return {"url": url, "authority": authority, "host": host.translate(_LOWER), "port": port}

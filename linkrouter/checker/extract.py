"""What is to be checked in a mail: every link, once, with its places.

Promise: the encoder's own eyes. What the encoder would track or leave alone is found here, and nothing else; whatever
cannot be checked says why.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import ada_url

from linkrouter.checker.rules import find_malformed
from linkrouter.checker.verdict import Place
from linkrouter.encoder import FoundLink, find_links
from linkrouter.errors import BadDestination
from linkrouter.link import canonical

__all__ = ["Subject", "extract", "subjects_of"]

MAX_TEXT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """One link of a mail. `key` is its canonical URL without the fragment, empty when no browser could follow it.

    `settled` is None for a link that must be fetched, else the (verdict, reason, detail) that is known without: a merge
    tag, a malformed URL, a mail address.
    """

    url: str = field(repr=False)
    key: str = field(repr=False)
    settled: tuple[str, str, str] | None
    places: tuple[Place, ...] = field(default=(), repr=False)


def extract(content: str | bytes, kind: str = "message", *, local: bool = False) -> tuple[Subject, ...]:
    """Give the links of *content*, a "message", "html" or "text", in the order in which they first stand there.

    *local* allows hosts that only a local network knows.
    """
    return subjects_of(find_links(content, kind), local=local)


def subjects_of(links: Iterable[FoundLink], *, local: bool = False) -> tuple[Subject, ...]:
    """Do what `extract` does, with links that are found already."""
    subjects: dict[str, Subject] = {}
    places: dict[str, list[Place]] = {}
    for link in links:
        name = _canonical(link.url) or link.url
        if name not in subjects:
            subjects[name] = _subject(link, local)
        text = link.text[:MAX_TEXT_CHARS]
        places.setdefault(name, []).append(Place(link.part, link.position, link.line, text))
    return tuple(
        Subject(subject.url, subject.key, subject.settled, tuple(places[name])) for name, subject in subjects.items()
    )


def _subject(link: FoundLink, local: bool) -> Subject:
    if link.reason == "merge tag":
        return Subject(link.url, "", ("skipped", "merge tag", ""))
    key = (_canonical(link.url) or _followed(link.url)).partition("#")[0]
    if rule := find_malformed(link.url, local=local):
        return Subject(link.url, key, ("malformed", "malformed", rule.says))
    if link.url.lower().lstrip().startswith(("mailto:", "tel:")):
        return Subject(link.url, "", ("fine", "syntax only", ""))
    if not key:
        return Subject(link.url, "", ("malformed", "malformed", "browsers cannot read it"))
    return Subject(link.url, key, None)


def _canonical(url: str) -> str:
    try:
        return canonical(url)
    except BadDestination:
        return ""


def _followed(url: str) -> str:
    """Give what a browser requests for a *url* that is never tracked, such as one with a user name; "" for none.

    It is not fetched, but a listed host must not pass for being badly spelt.
    """
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        return ""
    if parsed.protocol not in ("http:", "https:"):
        return ""
    return f"{parsed.protocol}//{parsed.host}{parsed.pathname}{parsed.search}"

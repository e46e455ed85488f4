"""What is to be checked in a mail: every link, once, with its places.

Promise: the encoder's own scanner finds the links, so what is checked is what would be tracked or left alone. Whatever
cannot be checked says why; a part that cannot be read is reported, too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from linkrouter.checker.mail.rules import find_malformed
from linkrouter.checker.urls import find_browser_url
from linkrouter.checker.verdict import LinkPlace, Verdict
from linkrouter.encoder import ContentKind, FoundLink, UnreadPart, find_links
from linkrouter.errors import BadDestination
from linkrouter.link import canonical_url

__all__ = ["MAX_TEXT_CHARS", "LinkToCheck", "extract", "links_to_check"]

MAX_TEXT_CHARS = 200

_NO_TRACK = re.compile(r"(https?)\+notrack:", re.IGNORECASE)  # Postal's opt-out; it takes the word away when it sends
_WHOLE_TAG = re.compile(r"\[[A-Za-z][A-Za-z0-9_ -]*\]")  # SendGrid's [unsubscribe]
_WEB = re.compile(r"https?:", re.IGNORECASE)
_READ_ONLY = re.compile(r"mailto:|tel:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LinkToCheck:
    """One link of a mail. `key` is its canonical URL without the fragment, empty when no browser could follow it.

    `settled` is None for a link that must be fetched, else the (verdict, reason, detail) that is known without: a merge
    tag, a malformed URL, a mail address.
    """

    url: str = field(repr=False)
    key: str = field(repr=False)
    settled: tuple[Verdict, str, str] | None
    places: tuple[LinkPlace, ...] = field(default=(), repr=False)


def extract(
    content: str | bytes, content_type: ContentKind = "message", *, local: bool = False
) -> tuple[LinkToCheck, ...]:
    """Return the links of *content*, a "message", "html" or "text", in the order in which they first stand there.

    *local* allows hosts that only a local network knows.
    """
    found = find_links(content, content_type)  # which refuses any other
    return (*map(_unread, found.unread), *links_to_check(found.links, local=local))


def links_to_check(links: Iterable[FoundLink], *, local: bool = False) -> tuple[LinkToCheck, ...]:
    """Do what `extract` does, with links that are found already."""
    unique: dict[str, LinkToCheck] = {}
    places: dict[str, list[LinkPlace]] = {}
    for link in links:
        name, to_check = _link_to_check(_NO_TRACK.sub(r"\1:", link.url), link.reason, local)
        unique.setdefault(name, to_check)
        text = link.text[:MAX_TEXT_CHARS]
        places.setdefault(name, []).append(LinkPlace(link.part, link.position, link.line, text))
    return tuple(replace(link, places=tuple(places[name])) for name, link in unique.items())


def _unread(part: UnreadPart) -> LinkToCheck:
    """Return a link without a URL for what cannot be read: its links are unknown, so it holds the mail."""
    return LinkToCheck("", "", ("unverifiable", "unreadable", part.reason), (LinkPlace(part.part, 0, 1, ""),))


def _link_to_check(url: str, reason: str | None, local: bool) -> tuple[str, LinkToCheck]:
    """Return a link, with the name that it shares with its other places.

    Two spellings of one URL are one link, unless one of them is malformed: that one is to be corrected.
    """
    destination = _canonical(url)
    key = (destination or find_browser_url(url) or "").partition("#")[0]
    settled = _settle(url, reason, key, destination, local)
    return url if settled else destination, LinkToCheck(url, key, settled)


def _settle(url: str, reason: str | None, key: str, destination: str, local: bool) -> tuple[Verdict, str, str] | None:
    if reason == "merge tag" or _WHOLE_TAG.fullmatch(url):
        return "skipped", "merge tag", ""
    if url.startswith("#"):
        return "skipped", "inside the mail", ""
    if rule := find_malformed(url, local=local):
        return "malformed", "malformed", rule.says
    if destination:
        return None
    if _READ_ONLY.match(url):
        return "fine", "syntax only", ""
    if not _WEB.match(url):
        return "skipped", "opens another program", ""
    return (
        "malformed",
        "malformed",
        "it is too long or too odd to be redirected to" if key else "browsers cannot read it",
    )


def _canonical(url: str) -> str:
    try:
        return canonical_url(url)
    except BadDestination:
        return ""

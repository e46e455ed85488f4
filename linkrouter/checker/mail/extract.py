"""What is to be checked in an input: every link, once, with its places; and its images, where they are asked for.

Promise: the encoder's own scanner finds the links of a mail, so what is checked is what would be tracked or left alone.
Whatever cannot be checked says why; a part that cannot be read is reported, too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

import ada_url

from linkrouter.checker.mail.content import CONTENT_TYPES, ContentType
from linkrouter.checker.mail.found import FoundUrl
from linkrouter.checker.mail.markup import anchors_of
from linkrouter.checker.mail.reading import read_urls
from linkrouter.checker.mail.rules import find_malformed
from linkrouter.checker.urls import find_browser_url
from linkrouter.checker.verdict import LinkPlace, Verdict
from linkrouter.encoder import UnreadPart
from linkrouter.errors import BadDestination
from linkrouter.link import canonical_url

__all__ = ["FEW_PLACES", "MAX_TEXT_CHARS", "LinkToCheck", "extract", "merge_links"]

MAX_TEXT_CHARS = 200
FEW_PLACES = 20  # of one link, where the number of links is bounded, too

_NO_TRACK = re.compile(r"(https?)\+notrack:", re.IGNORECASE)  # Postal's opt-out; it takes the word away when it sends
_WHOLE_TAG = re.compile(r"\[[A-Za-z][A-Za-z0-9_ -]*\]")  # SendGrid's [unsubscribe]
_WEB = re.compile(r"https?:", re.IGNORECASE)
_READ_ONLY = re.compile(r"mailto:|tel:", re.IGNORECASE)
_OWN_IMAGE = re.compile(r"data:|cid:", re.IGNORECASE)


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
    is_image: bool = False


def extract(
    content: str | bytes,
    content_type: ContentType = "message",
    *,
    local: bool = False,
    images: bool = False,
    fragments: bool = False,
    base: str = "",
    file: str = "",
    max_links: int | None = None,
) -> tuple[LinkToCheck, ...]:
    """Return the links of *content* in the order in which they first stand there, and its images behind them.

    Args:
        content: What is to be checked.
        content_type: What it is, one of `CONTENT_TYPES`.
        local: Whether hosts are allowed that only a local network knows.
        images: Whether images are wanted.
        fragments: Whether a link within the mail (`#top`) must lead to something in it.
        base: Where *content* was fetched from, for its relative links.
        file: What the places are to name.
        max_links: Reading ends one link beyond that number; of each link, a few places are enough then.

    Raises:
        ValueError: *content_type* is unknown.
    """
    if content_type not in CONTENT_TYPES:
        raise ValueError(f"content_type must be one of {', '.join(CONTENT_TYPES)}, not {content_type!r}")
    found = read_urls(content, content_type)
    wanted = [*found.links, *(found.images if images else ())]
    links = _to_check(wanted, local, base, file, max_links)
    if fragments:
        anchors = frozenset().union(*map(anchors_of, found.pages))
        links = tuple(_with_anchor(link, anchors) for link in links)
    return (*map(_unread, found.unread), *links)


def merge_links(inputs: Iterable[tuple[LinkToCheck, ...]]) -> tuple[LinkToCheck, ...]:
    """Put together the links of several inputs: one that stands in two of them is one link."""
    merged: dict[object, LinkToCheck] = {}
    for links in inputs:
        for link in links:
            name = (link.url, link.is_image) if link.url else link.places
            known = merged.get(name)
            merged[name] = replace(known, places=known.places + link.places) if known else link
    return (*(link for link in merged.values() if not link.is_image), *filter(lambda x: x.is_image, merged.values()))


def _to_check(
    found: Iterable[FoundUrl], local: bool, base: str, file: str, max_links: int | None
) -> tuple[LinkToCheck, ...]:
    unique: dict[tuple[str, bool], LinkToCheck] = {}
    places: dict[tuple[str, bool], list[LinkPlace]] = {}
    numbers: dict[tuple[str, bool], int] = {}  # how many links, or images, of each part there were
    seen: dict[tuple[str, str | None, bool], tuple[str, bool]] = {}
    for each in found:
        spelling = each.url, each.reason, each.is_image
        if spelling not in seen:
            url = _joined(_NO_TRACK.sub(r"\1:", each.url), each.reason, base)
            name, to_check = _link_to_check(url, each.reason, local, each.is_image)
            seen[spelling] = name, each.is_image
            unique.setdefault(seen[spelling], to_check)
        position = numbers[each.part, each.is_image] = numbers.get((each.part, each.is_image), -1) + 1
        place = LinkPlace(each.part, position, each.line, each.text[:MAX_TEXT_CHARS], file, each.alt, each.is_image)
        listed = places.setdefault(seen[spelling], [])
        if max_links is None or len(listed) < FEW_PLACES:
            listed.append(place)
        if max_links is not None and len(unique) > max_links:
            break
    return tuple(replace(link, places=tuple(places[name])) for name, link in unique.items())


def _joined(url: str, reason: str | None, base: str) -> str:
    """Give where a relative *url* leads from *base*."""
    if not base or reason != "relative" or url.startswith("#"):
        return url
    try:
        return str(ada_url.URL(url, base).href)
    except ValueError:
        return url


def _unread(part: UnreadPart) -> LinkToCheck:
    """Return a link without a URL for what cannot be read: its links are unknown, so it holds the mail."""
    return LinkToCheck("", "", ("unverifiable", "unreadable", part.reason), (LinkPlace(part.part, 0, 1, ""),))


def _with_anchor(link: LinkToCheck, anchors: frozenset[str]) -> LinkToCheck:
    if not link.url.startswith("#") or link.url in ("#", "#top"):
        return link
    if link.url[1:] in anchors or unquote(link.url[1:]) in anchors:
        return link
    return replace(link, settled=("broken", "no such fragment", "nothing in the mail has this name"))


def _link_to_check(url: str, reason: str | None, local: bool, is_image: bool) -> tuple[str, LinkToCheck]:
    """Return a link, with the name that it shares with its other places.

    Two spellings of one URL are one link, unless one of them is malformed: that one is to be corrected.
    """
    destination = _canonical(url)
    key = (destination or find_browser_url(url) or "").partition("#")[0]
    if is_image and _OWN_IMAGE.match(url):
        return url, LinkToCheck(url[:MAX_TEXT_CHARS], "", ("skipped", "part of the mail", ""), is_image=True)
    settled = _settle(url, reason, key, destination, local)
    return url if settled else destination, LinkToCheck(url, key, settled, is_image=is_image)


def _settle(url: str, reason: str | None, key: str, destination: str, local: bool) -> tuple[Verdict, str, str] | None:
    if reason == "merge tag" or _WHOLE_TAG.fullmatch(url):
        return "skipped", "merge tag", ""
    if reason == "in a header":
        return "skipped", reason, ""
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

"""Which links are tracked, and which are left alone and why.

Promise: when in doubt, a link stays as it is. Every way a sender in this field can say "do not track this one" is
understood, whichever service the mail was first written for.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from linkrouter.encoder.html import MAX_VISIBLE_CHARS, Seen, tag_attributes, visible_text
from linkrouter.errors import BadDestination
from linkrouter.link import canonical

__all__ = ["Judgement", "Policy", "checked_domains", "checked_origin", "judge"]


def _always(_: str) -> bool:
    return True


# Attribute of the tag, and which of its values (in lower case) opt out. From each sender's documentation or code.
_OPT_OUTS: dict[str, Callable[[str], bool]] = {
    "data-pm-no-track": _always,  # Postmark
    "ses:no-track": _always,  # Amazon SES
    "clicktracking": lambda value: value == "off",  # SendGrid
    "disable-tracking": lambda value: value != "false",  # Mailgun
    "mc:disable-tracking": _always,  # Mandrill
    "mautic:disable-tracking": _always,
    "data-msys-clicktrack": lambda value: value == "0",  # SparkPost
    "autotrack": lambda value: value == "false",
    "ecm:tracking": lambda value: value == "false",
    "data-skip-click": lambda value: value != "false",  # ahoy
    "data-no-track": _always,  # kannon
    "class": lambda value: "mktnotrack" in value.split(),  # Marketo
}
_NO_TRACK_SCHEME = re.compile(r"https?\+notrack:", re.ASCII | re.IGNORECASE)  # Postal

_HTTP = re.compile(r"[hH][tT][tT][pP][sS]?://")
_HTTP_ALONE = re.compile(r"https?:", re.ASCII | re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# The placeholders of the usual template languages. `%…%` must not be two percent-encoded bytes.
_MERGE_TAG = re.compile(r"\{\{|\}\}|\{%|%\}|<%|%>|\*\||\|\*|%%|\[\[|[$#]\{|%(?![0-9A-Fa-f]{2})[A-Za-z][A-Za-z0-9_.]*%")
_MAY_HOLD_MERGE_TAG = re.compile(r"[{}\[|%]")  # of what a canonical URL can hold
_FOLDS = str.maketrans("", "", "\t\n\r")  # the URL standard drops them
_VISIBLE_URL = re.compile(r"(?<![\w.])(?:https?://|www\.)\w", re.IGNORECASE)
_LOOPBACK = re.compile(r"http://(?:127\.[0-9.]+|localhost|\[::1\])(?::[0-9]+)?")
_ORIGIN = re.compile(r"https?://[^/?#@\s]+")


@dataclass(frozen=True, slots=True)
class Policy:
    """What an encoder was told about links; hosts and attributes in lower case."""

    tracking_host: str = ""  # with its port, when it has one
    excluded_domains: frozenset[str] = frozenset()  # with all their subdomains
    opt_out_attribute: str | None = None
    skip_visible_urls: bool = False
    track_unsubscribe: bool = False


class Judgement(NamedTuple):
    """What is to become of a link: tracked when `reason` is None."""

    destination: str  # canonical; known too when the link is opted out, which then holds for the other part as well
    reason: str | None
    visible_url: bool


def judge(policy: Policy, document: str, link: Seen) -> Judgement:
    """Decide about one *link* of *document*."""
    in_tag = link.tag_end != link.end  # plain text has no attributes, and shows what it says
    reason = link.reason or (_opt_out(policy, document, link) if in_tag else None)
    try:
        destination = canonical(link.url)
    except BadDestination as exc:
        return Judgement("", reason or _not_an_address(link.url) or exc.reason, False)
    if destination != link.url or _MAY_HOLD_MERGE_TAG.search(destination):  # else it can be nothing but an address
        reason = reason or _not_an_address(link.url)
    if reason is not None:
        return Judgement(destination, reason, False)
    host = destination.split("/", 3)[2]
    visible = in_tag and _shows_url(document, link, host)
    if visible and policy.skip_visible_urls:
        return Judgement(destination, "visible URL", True)
    return Judgement(destination, _reason_against(policy, destination, host), visible)


def _opt_out(policy: Policy, document: str, link: Seen) -> str | None:
    tag = document[link.tag_start : link.tag_end].lower()
    own = policy.opt_out_attribute
    if "track" not in tag and "skip-click" not in tag and (own is None or own not in tag):
        return None
    for name, value in tag_attributes(tag):
        if name == own or (name in _OPT_OUTS and _OPT_OUTS[name](value)):
            return "opted out"
    return None


def _not_an_address(url: str) -> str | None:
    if _MERGE_TAG.search(url):
        return "merge tag"
    if "\0" in url:
        return "characters"
    if _HTTP.match(url) or _HTTP.match(url.translate(_FOLDS)):
        return None
    if _NO_TRACK_SCHEME.match(url):
        return "opted out"
    if not url:
        return "empty"
    # `https:page` is relative wherever the mail is shown on a page of that scheme.
    return "relative" if _HTTP_ALONE.match(url) or not _SCHEME.match(url) else "scheme"


def _reason_against(policy: Policy, destination: str, host: str) -> str | None:
    if host == policy.tracking_host:
        return "already tracked"
    if policy.excluded_domains and _is_excluded(policy, host):
        return "excluded domain"
    if not policy.track_unsubscribe and _lets_the_reader_choose(destination.lower()):
        return "unsubscribe"
    return None


def _is_excluded(policy: Policy, host: str) -> bool:
    labels = host.partition(":")[0].split(".")
    return any(".".join(labels[first:]) in policy.excluded_domains for first in range(len(labels)))


def _lets_the_reader_choose(url: str) -> bool:
    # Written out: this runs for every link, and a regular expression takes ten times as long.
    return "unsubscri" in url or "preference" in url or "opt-out" in url or "optout" in url or "opt_out" in url


def _shows_url(document: str, link: Seen, host: str) -> bool:
    """Whether the visible text of *link* is an address, or begins with its own host."""
    bare = host.removeprefix("www.")
    start, end = link.tag_end, link.tag_end + MAX_VISIBLE_CHARS
    tag = document.find("</a", start, end)
    inner = document[start : end if tag < 0 else tag]
    if "." not in inner and "://" not in inner:  # most links: no look behind their markup is needed
        return False
    text = visible_text(document, link).lower()
    if text.startswith(bare):
        return not text[len(bare) : len(bare) + 1].isalnum()
    return _VISIBLE_URL.search(text) is not None


def checked_origin(base_url: str) -> str:
    """Give the origin that *base_url* is, in canonical form.

    Raises:
        ValueError: it is none, or is neither https nor on the loopback.
    """
    try:
        origin = canonical(base_url)
    except BadDestination as exc:
        raise ValueError(f"base URL is not usable: {exc.reason}") from None
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("base URL must be an origin, such as 'https://click.example.com', without path or query")
    if origin.startswith("http:") and not _LOOPBACK.fullmatch(origin):
        raise ValueError("base URL must be https, unless it is on the loopback")
    return origin


def checked_domains(domains: Iterable[str]) -> frozenset[str]:
    """Give *domains* in canonical form: lower case, punycode, no dot at either end.

    Raises:
        ValueError: one of them is no domain.
    """
    if isinstance(domains, str):
        raise ValueError("excluded domains must be a collection of domains, not one string")
    try:
        return frozenset(canonical(f"https://{domain.strip('.')}")[8:] for domain in domains)
    except BadDestination as exc:
        raise ValueError(f"an excluded domain is not usable: {exc.reason}") from None

"""Which links are tracked, and which are left alone and why.

Promise: when in doubt, a link stays as it is.

Placeholders. Of 38,664 tracked links in held-out HTML mail, six had a `{word}` and forty a `[word]` in them: each was a
placeholder that nobody had merged, none a working address; in the corpus of the tests there is none. So both spellings
are merge tags, with the limits that keep working addresses tracked: a word has two characters or more (`{x}` is in use
as a literal), `{GUID}` is SharePoint's, `filter[name]=` is a parameter of a PHP or Rails form, and what is already
percent-encoded (`%7Bword%7D`) was meant as it stands.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple, cast

from linkrouter.encoder.html import MAX_VISIBLE_CHARS, Found, visible_text
from linkrouter.encoder.opt_outs import is_opted_out
from linkrouter.encoder.report import SkipReason
from linkrouter.errors import BadDestination
from linkrouter.link import canonical_url

__all__ = ["Judged", "LinkPolicy", "destination_reason", "judge_link", "lets_reader_choose"]

_NO_TRACK_SCHEME = re.compile(r"https?\+notrack:", re.ASCII | re.IGNORECASE)  # Postal

_HTTP = re.compile(r"[hH][tT][tT][pP][sS]?://")
_HTTP_ALONE = re.compile(r"https?:", re.ASCII | re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WORD = r"[A-Za-z][A-Za-z0-9_. -]*+(?<=[A-Za-z0-9_]{2})"
# The placeholders of the usual template languages. `%…%` must not be two percent-encoded bytes.
_MERGE_TAG = re.compile(
    r"\{\{|\}\}|\{%|%\}|<%|%>|\*\||\|\*|%%|\[\[|[$#]\{|%(?![0-9A-Fa-f]{2})[A-Za-z][A-Za-z0-9_.]*%"
    rf"|\{{[$!@]?(?![0-9A-Fa-f]{{8}}-){_WORD}\}}|(?<![\w\]])\[{_WORD}\]|\[{_WORD}\](?![=\[&])"
)
_MAY_HOLD_MERGE_TAG = re.compile(r"[{}\[|%]")  # of what a canonical URL can hold
_FOLDS = str.maketrans("", "", "\t\n\r")  # the URL standard drops them
_VISIBLE_URL = re.compile(r"(?<![\w.])(?:https?://|www\.)\w", re.IGNORECASE)
_UNDECODED = re.compile("[\udc80-\udcff]")  # bytes that the charset does not have


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """What an encoder was told about links; hosts and attributes in lower case."""

    tracking_host: str = ""  # with its port, when it has one
    excluded_domains: frozenset[str] = frozenset()  # with all their subdomains
    opt_out_attribute: str | None = None
    skip_visible_urls: bool = False
    track_unsubscribe: bool = False


class Judged(NamedTuple):
    """A link with what is to become of it: it is tracked when `reason` is None."""

    found: Found
    position: int  # among the links of the mail's HTML, or text, from 0
    number: int  # among all links of the mail, from 0
    destination: str  # canonical; known too when the link is opted out, which then holds for the other part as well
    reason: SkipReason | None
    visible_url: bool


def judge_link(policy: LinkPolicy, document: str, found: Found, position: int, number: int) -> Judged:
    """Decide about one link of *document*."""
    in_tag = found.tag_end != found.end  # plain text has no attributes, and shows what it says
    reason = found.reason
    if reason is None and in_tag and is_opted_out(document[found.tag_start : found.tag_end], policy.opt_out_attribute):
        reason = "opted out"
    try:
        destination = canonical_url(found.url)
    except BadDestination as exc:
        return Judged(found, position, number, "", reason or _unusable(found.url, exc), False)
    if destination != found.url or _MAY_HOLD_MERGE_TAG.search(destination):  # else it can be nothing but an address
        reason = reason or _not_an_address(found.url)
    if reason is not None:
        return Judged(found, position, number, destination, reason, False)
    host = destination.split("/", 3)[2]
    visible = in_tag and _shows_url(document, found, host)
    if visible and policy.skip_visible_urls:
        return Judged(found, position, number, destination, "visible URL", True)
    return Judged(found, position, number, destination, _reason_against(policy, destination, host), visible)


def _unusable(url: str, error: BadDestination) -> SkipReason:
    reason = _not_an_address(url)
    if reason is None and _UNDECODED.search(url):
        return "charset"
    return reason or destination_reason(error)


def destination_reason(error: BadDestination) -> SkipReason:
    """Return why a URL cannot be signed, as a reason of this encoder's."""
    return cast("SkipReason", error.reason)  # a test holds that each of them is one


def _not_an_address(url: str) -> SkipReason | None:
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


def _reason_against(policy: LinkPolicy, destination: str, host: str) -> SkipReason | None:
    if host == policy.tracking_host:
        return "already tracked"
    if policy.excluded_domains and _is_excluded(policy, host):
        return "excluded domain"
    if not policy.track_unsubscribe and lets_reader_choose(destination.lower()):
        return "unsubscribe"
    return None


def _is_excluded(policy: LinkPolicy, host: str) -> bool:
    labels = host.partition(":")[0].split(".")
    return any(".".join(labels[first:]) in policy.excluded_domains for first in range(len(labels)))


def lets_reader_choose(url: str) -> bool:
    """Whether *url*, in lower case, is for signing off or changing preferences."""
    # Written out: this runs for every link, and a regular expression takes ten times as long.
    return "unsubscri" in url or "preference" in url or "opt-out" in url or "optout" in url or "opt_out" in url


def _shows_url(document: str, link: Found, host: str) -> bool:
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

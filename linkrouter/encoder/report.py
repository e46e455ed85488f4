"""What the encoder tells its caller: the links it tracked, the links it left alone, and why.

Promise: a value's repr never shows a link, a destination or the mail, because reprs end up in logs and tracebacks.
"""

from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

__all__ = ["REASONS", "FoundLink", "Rewritten", "SkippedLink", "TrackedLink"]

Content = TypeVar("Content")

REASONS: dict[str, str] = {
    # of one link
    "already tracked": "it leads to the tracking host itself",
    "characters": "its destination has characters that no redirect may carry",
    "empty": "the href is empty",
    "excluded domain": "its domain is on the encoder's list",
    "line too long": "the tracked link would make a line longer than 998 octets, or the line is already",
    "merge tag": "it still holds a template's placeholder: merge first, then encode",
    "mode": "the mode says that links of this part stay",
    "not a URL": "a browser would not accept it either",
    "opted out": "its sender marked it with one of the attributes that say so, here or in the mail's HTML part",
    "quoted": "it stands on a quoted line of a text part, in somebody else's words",
    "relative": "it has no scheme, so it leads nowhere from a mail",
    "round trip": "its tracked link does not decode to the same destination",
    "scheme": "it is not http or https",
    "too long": "its destination is over 4,096 bytes, or the tracked path over 8,000 characters",
    "too many links": "the encoder's limit of links for one mail was reached",
    "unsubscribe": "it lets the reader leave or choose; that must work whatever happens to tracking",
    "userinfo": "it holds a name or a password",
    "visible URL": "its visible text is a URL, and the encoder was told to keep those",
    "wrapped": "a line break of the text part cuts it",
    # of a whole mail or part, on each of its links too
    "DKIM signature": "a changed body would break it: encode before signing",
    "ambiguous headers": "a header that decides how to read the body is there twice or malformed",
    "binary": "it is not text",
    "charset": "its charset is unknown, does not contain ASCII, or does not fit the bytes",
    "no body": "there are headers only",
    "no text part": "there is no HTML or plain text in it",
    "not a mail": "it does not begin with a header",
    "not serialisable": "the EmailMessage cannot be written as bytes",
    "signed or encrypted": "a change would break the signature",
    "too complex": "its parts are nested too deeply, or are too many",
    "transfer encoding": "its transfer encoding is unknown or damaged",
    "truncated": "the closing boundary is missing",
}


class TrackedLink(NamedTuple):
    """A link that was replaced."""

    link_id: str  # base64url, as it stands in the link
    url: str  # the destination in canonical form
    part: str  # "html" or "text"
    position: int  # number of the link among all links of the mail's HTML, or text, from 0
    tracked_url: str
    visible_url: bool = False  # its visible text is a URL, which mail clients compare with the href

    def __repr__(self) -> str:
        return f"<TrackedLink {self.part} {self.position}>"


class SkippedLink(NamedTuple):
    """A link that was left as it is."""

    url: str  # as written, character references resolved
    part: str
    position: int
    reason: str  # one of `REASONS`

    def __repr__(self) -> str:
        return f"<SkippedLink {self.part} {self.position}: {self.reason}>"


class FoundLink(NamedTuple):
    """A link as it stands in a mail."""

    url: str  # as written, character references resolved
    part: str
    position: int
    line: int  # in the decoded part, from 1
    text: str  # what a reader sees of an HTML link; "" in text parts
    reason: str | None  # why the encoder would leave it alone, one of `REASONS`

    def __repr__(self) -> str:
        return f"<FoundLink {self.part} {self.position}: {self.reason or 'trackable'}>"


@dataclass(frozen=True, slots=True)
class Rewritten(Generic[Content]):
    """What became of a mail or a part.

    `content` has the type that was given, and is the very same object when nothing changed. `bytes_added` counts
    octets (UTF-8 for a str). `reason`, one of `REASONS`, says why a mail came back unchanged in which nothing could be
    rewritten; a mail whose links all had their own reasons has none. `unread` has the reason of each text part whose
    links are not known, because it could not be read.
    """

    content: Content = field(repr=False)
    links: tuple[TrackedLink, ...] = ()
    skipped: tuple[SkippedLink, ...] = ()
    bytes_added: int = 0
    reason: str | None = None
    unread: tuple[str, ...] = ()

"""What the encoder tells its caller: the links it tracked, the links it left alone, and why.

Promise: a value's repr never shows a link, a destination or the mail, because reprs end up in logs and tracebacks.
"""

import re
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

from linkrouter.link import LinkPart

__all__ = [
    "SKIP_REASONS",
    "Content",
    "FoundLink",
    "FoundLinks",
    "Rewritten",
    "SkipReason",
    "SkippedLink",
    "TrackedLink",
    "UnreadPart",
    "printable",
]

Content = TypeVar("Content")

SkipReason = Literal[
    "already tracked",
    "characters",
    "empty",
    "excluded domain",
    "line too long",
    "merge tag",
    "mode",
    "not a URL",
    "opted out",
    "quoted",
    "relative",
    "round trip",
    "scheme",
    "too long",
    "too many links",
    "unsubscribe",
    "userinfo",
    "visible URL",
    "wrapped",
    "DKIM signature",
    "ambiguous headers",
    "binary",
    "charset",
    "no body",
    "no text part",
    "not a mail",
    "not serialisable",
    "signed or encrypted",
    "too complex",
    "transfer encoding",
    "truncated",
]

SKIP_REASONS: dict[SkipReason, str] = {
    # of one link
    "already tracked": "it leads to the tracking host itself",
    "characters": "its destination has characters that no redirect may carry",
    "empty": "the href is empty",
    "excluded domain": "its domain is on the encoder's list",
    "line too long": "the tracked link would make a line longer than 998 octets",
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
    "charset": "its charset is unknown, does not contain ASCII, or does not fit the bytes of the part or link",
    "no body": "there are headers only",
    "no text part": "there is no HTML or plain text in it",
    "not a mail": "it does not begin with a header",
    "not serialisable": "the message object cannot be written as bytes, or not twice alike",
    "signed or encrypted": "a change would break the signature",
    "too complex": "its parts are nested too deeply, or are too many",
    "transfer encoding": "its transfer encoding is unknown or damaged",
    "truncated": "the closing boundary is missing",
}


_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """Return *text* with U+FFFD for each lone surrogate, which can be neither printed, logged nor sent."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


class TrackedLink(NamedTuple):
    """A link that was replaced."""

    link_id: str  # base64url, as it stands in the link
    url: str  # the destination in canonical form
    part: LinkPart
    position: int  # number of the link among all links of the mail's HTML, or text, from 0
    tracked_url: str
    visible_url: bool = False  # its visible text is a URL, which mail clients compare with the href
    trap: bool = False  # put in by the encoder where no reader sees it: only a machine follows it

    def __repr__(self) -> str:
        return f"<TrackedLink {self.part} {self.position}>"


class SkippedLink(NamedTuple):
    """A link that was left as it is."""

    url: str  # as written, character references resolved, `printable`
    part: LinkPart
    position: int
    reason: SkipReason  # one of `SKIP_REASONS`

    def __repr__(self) -> str:
        return f"<SkippedLink {self.part} {self.position}: {self.reason}>"


class FoundLink(NamedTuple):
    """A link as it stands in a mail."""

    url: str  # as written, character references resolved, `printable`
    part: LinkPart
    position: int
    line: int  # in the decoded part, from 1
    text: str  # what a reader sees of an HTML link; "" in text parts
    reason: SkipReason | None  # why the encoder would leave it alone, one of `SKIP_REASONS`

    def __repr__(self) -> str:
        return f"<FoundLink {self.part} {self.position}: {self.reason or 'trackable'}>"


class UnreadPart(NamedTuple):
    """A part whose links are not known, because it could not be read; the whole message when not even that is known."""

    part: Literal["html", "text", "message"]
    reason: SkipReason


class FoundLinks(NamedTuple):
    """What one scan of a mail or document tells."""

    links: tuple[FoundLink, ...]  # in the order of the mail
    unread: tuple[UnreadPart, ...]

    def __repr__(self) -> str:
        return f"<FoundLinks {len(self.links)} in what was read, {len(self.unread)} unread>"


@dataclass(frozen=True, slots=True)
class Rewritten(Generic[Content]):
    """What became of a mail or a part.

    `content` has the type that was given, and is the very same object when nothing changed. `bytes_added` counts
    octets (UTF-8 for a str). `reason`, one of `SKIP_REASONS`, says why a mail came back unchanged in which nothing
    could be rewritten; a mail whose links all had their own reasons has none. `unread` has the reason of each text part
    whose links are not known, because it could not be read. `message_key`, 8 bytes, begins the id of every link of this
    mail; it is empty when the ids are the caller's, or there are none.
    """

    content: Content = field(repr=False)
    links: tuple[TrackedLink, ...] = ()
    skipped: tuple[SkippedLink, ...] = ()
    bytes_added: int = 0
    reason: SkipReason | None = None
    unread: tuple[SkipReason, ...] = ()
    message_key: bytes = field(default=b"", repr=False)

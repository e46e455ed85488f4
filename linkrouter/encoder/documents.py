"""The documents a mail consists of, on their way through the encoder: read, judged, replaced in, written back.

Promise: what is written back is the body that was read, with the replacements and nothing else; if that cannot be
had, it is None and the caller keeps the body it has.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from linkrouter.encoder.charsets import Decoded, Splice, decode_charset, find_run, to_octets
from linkrouter.encoder.html import Found, scan_html
from linkrouter.encoder.link_policy import Judged, LinkPolicy, judge_link
from linkrouter.encoder.message import Leaf, Mail
from linkrouter.encoder.report import SkipReason
from linkrouter.encoder.text import scan_text
from linkrouter.encoder.transfer import decode_transfer, overlong, splice, splice_text, splice_transfer
from linkrouter.link import LinkPart

__all__ = [
    "Document",
    "Reading",
    "Text",
    "judge_documents",
    "overlong_splices",
    "read_content",
    "read_documents",
    "write_content",
    "write_document",
]

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_OPAQUE = ("quoted-printable", "base64")  # encodings whose lines are not those of the document

Text = TypeVar("Text", str, bytes)


@dataclass(slots=True)
class Document:
    """One HTML or text document and the links in it."""

    part: LinkPart
    decoded: Decoded
    found: list[Found]
    reason: SkipReason | None = None  # why all its links stay
    leaf: Leaf | None = None  # where it lies in a message
    octets: bytes = b""  # of a message's part: the document before its charset was decoded
    is_unread: bool = False
    judged: list[Judged] = field(default_factory=list)
    trap: Judged | None = None  # one more link, to be put in

    @property
    def text(self) -> str:
        """The document itself; "" when it could not be read."""
        return self.decoded.text

    @property
    def has_own_lines(self) -> bool:
        """Whether its lines are lines of a message, which must not grow too long."""
        return self.leaf is not None and self.leaf.encoding not in _OPAQUE

    def accepts_splice(self, start: int, end: int) -> bool:
        """Whether `text[start:end]` can be replaced by ASCII: no escape sequence of its charset lies there."""
        return self.decoded.runs is None or find_run(self.decoded.runs, start, end) is not None


class Reading(NamedTuple):
    """What could be read of a mail or document, and why it must stay, if it must."""

    documents: list[Document]
    reason: SkipReason | None


def read_content(content: str | bytes, part: LinkPart) -> Reading:
    """Read an HTML document or plain text that comes without headers.

    Raises:
        TypeError: *content* is neither str nor bytes.
    """
    if not isinstance(content, str | bytes):
        raise TypeError(f"{part} must be str or bytes, not {type(content).__name__}")
    if isinstance(content, str):
        return Reading([_document(part, Decoded(str.__str__(content)))], None)  # a plain str, whatever subclass it is
    if content.startswith(_UTF16_MARKS):
        return Reading([], "charset")
    if b"\0" in content:
        return Reading([], "binary")
    decoded = decode_charset(content, "", is_html=part == "html")
    return Reading([], "charset") if decoded is None else Reading([_document(part, decoded)], None)


def read_documents(raw: bytes, mail: Mail) -> Reading:
    """Read the text parts of *mail*, which is *raw*; one that cannot be read has an empty document and a reason."""
    documents: list[Document] = []
    for leaf in mail.leaves:
        octets = decode_transfer(raw[leaf.start : leaf.end], leaf.encoding)
        decoded = None if octets is None else decode_charset(octets, leaf.charset, is_html=leaf.part == "html")
        if octets is None or decoded is None:
            why: SkipReason = "transfer encoding" if octets is None else "charset"
            documents.append(Document(leaf.part, Decoded(""), [], why, leaf, is_unread=True))
            continue
        document = _document(leaf.part, decoded, leaf.joined_lines)
        document.leaf, document.octets, document.reason = leaf, octets, mail.reason or leaf.reason
        documents.append(document)
    changeable = any(document.reason is None for document in documents)
    return Reading(documents, mail.reason or (None if changeable or not documents else documents[0].reason))


def _document(part: LinkPart, decoded: Decoded, joined_lines: bool = False) -> Document:
    found = scan_html(decoded.text) if part == "html" else scan_text(decoded.text, joined_lines=joined_lines)
    if decoded.runs is not None:
        runs = decoded.runs
        found = [
            link if find_run(runs, link.start, link.end) is not None else link._replace(reason=link.reason or "charset")
            for link in found
        ]
    return Document(part, decoded, found)


def judge_documents(policy: LinkPolicy, documents: list[Document], opted_out: Collection[str] = ()) -> None:
    """Judge every link; what an HTML part opts out, or *opted_out* (canonical URLs) names, stays in text parts too."""
    exempt = set(opted_out)
    number = 0
    positions: dict[LinkPart, int] = {"html": 0, "text": 0}
    for document in documents:
        first = positions[document.part]
        document.judged = [
            judge_link(policy, document.text, link, position, number + position - first)
            for position, link in enumerate(document.found, first)
        ]
        if document.reason is not None:
            document.judged = [_because(document.reason, link) for link in document.judged]
        number += len(document.found)
        positions[document.part] += len(document.found)
        if document.part == "html":
            exempt.update(link.destination for link in document.judged if link.reason == "opted out")
    if not exempt:
        return
    for document in documents:
        if document.part == "text":
            document.judged = [
                _because("opted out", link) if link.destination in exempt else link for link in document.judged
            ]


def _because(reason: SkipReason, link: Judged) -> Judged:
    return link if link.reason else link._replace(reason=reason)


def overlong_splices(document: Document, splices: list[Splice]) -> set[int]:
    """Return the numbers of those *splices* that would make a line of a message over 998 octets long."""
    return overlong(document.octets, to_octets(document.decoded, splices))


def write_content(content: Text, document: Document, splices: list[Splice]) -> Text:
    """Make *splices* in the *content* that *document* was read from; a subclass of str or bytes stays what it is."""
    if isinstance(content, str):
        return str.__new__(type(content), splice_text(document.text, splices))
    return bytes.__new__(type(content), splice(content, to_octets(document.decoded, splices)))


def write_document(raw: bytes, document: Document, splices: list[Splice]) -> bytes | None:
    """Make *splices* in the encoded body of *document*, which lies in the message *raw*."""
    leaf = document.leaf
    assert leaf is not None
    moved = to_octets(document.decoded, splices)
    return splice_transfer(raw[leaf.start : leaf.end], leaf.encoding, document.octets, moved)

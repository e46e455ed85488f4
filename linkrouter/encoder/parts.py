"""The documents a mail consists of, on their way through the encoder: read, judged, replaced in, written back.

Promise: what is written back is the body that was read, with the replacements and nothing else; if that cannot be
had, it is None and the caller keeps the body it has.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from linkrouter.encoder.html import Seen, scan_html
from linkrouter.encoder.message import Leaf, Mail
from linkrouter.encoder.policy import Judgement, Policy, judge
from linkrouter.encoder.text import scan_text
from linkrouter.encoder.transfer import (
    Splice,
    decode_charset,
    decode_transfer,
    overlong,
    splice,
    splice_text,
    splice_transfer,
    to_octets,
)

__all__ = [
    "Part",
    "Reading",
    "judge_parts",
    "overlong_links",
    "read_document",
    "read_parts",
    "write_body",
    "write_document",
]

OPTED_OUT = "opted out"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

Text = TypeVar("Text", str, bytes)


@dataclass(slots=True)
class Part:
    """One HTML or text document and the links in it."""

    kind: str  # "html" or "text"
    document: str
    seen: list[Seen]
    reason: str | None = None  # why all its links stay
    leaf: Leaf | None = None  # where it lies in a message
    octets: bytes = b""  # of a message's part: the document before its charset was decoded
    first_position: int = 0
    unread: bool = False
    judged: list[Judgement] = field(default_factory=list)


class Reading(NamedTuple):
    """What could be read of a mail or document, and why it must stay, if it must."""

    parts: list[Part]
    reason: str | None


def read_document(content: str | bytes, kind: str) -> Reading:
    """Read an HTML document or plain text that comes without headers.

    Raises:
        TypeError: *content* is neither str nor bytes.
    """
    if not isinstance(content, str | bytes):
        raise TypeError(f"{kind} must be str or bytes, not {type(content).__name__}")
    if isinstance(content, str):
        return Reading([_part(kind, content)], None)
    if content.startswith(_UTF16_MARKS):
        return Reading([], "charset")
    if b"\0" in content:
        return Reading([], "binary")
    return Reading([_part(kind, content.decode("utf-8", "surrogateescape"))], None)


def read_parts(raw: bytes, mail: Mail) -> Reading:
    """Read the text parts of *mail*, which is *raw*; one that cannot be read has an empty document and a reason."""
    parts: list[Part] = []
    following = {"html": 0, "text": 0}
    for leaf in mail.leaves:
        octets = decode_transfer(raw[leaf.start : leaf.end], leaf.encoding)
        document = None if octets is None else decode_charset(octets, leaf.charset)
        if octets is None or document is None:
            parts.append(
                Part(leaf.kind, "", [], "transfer encoding" if octets is None else "charset", leaf, unread=True)
            )
            continue
        part = _part(leaf.kind, document, leaf.joined_lines)
        part.leaf, part.octets, part.reason = leaf, octets, mail.reason or leaf.reason
        part.first_position = following[leaf.kind]
        following[leaf.kind] += len(part.seen)
        parts.append(part)
    changeable = any(part.reason is None for part in parts)
    return Reading(parts, mail.reason or (None if changeable or not parts else parts[0].reason))


def _part(kind: str, document: str, joined_lines: bool = False) -> Part:
    seen = scan_html(document) if kind == "html" else scan_text(document, joined_lines=joined_lines)
    return Part(kind, document, seen)


def judge_parts(policy: Policy, parts: list[Part], opted_out: Collection[str] = ()) -> None:
    """Judge every link; what an HTML part opts out, or *opted_out* (canonical URLs) names, stays in text parts too."""
    exempt = set(opted_out)
    for part in parts:
        if part.kind == "html":
            part.judged = [_in_part(part, judge(policy, part.document, link)) for link in part.seen]
            exempt.update(one.destination for one in part.judged if one.reason == OPTED_OUT)
    for part in parts:
        if part.kind == "text":
            judged = [_in_part(part, judge(policy, part.document, link)) for link in part.seen]
            part.judged = [
                one._replace(reason=OPTED_OUT) if one.reason is None and one.destination in exempt else one
                for one in judged
            ]


def _in_part(part: Part, judgement: Judgement) -> Judgement:
    return judgement if part.reason is None or judgement.reason else judgement._replace(reason=part.reason)


def overlong_links(part: Part, splices: list[Splice]) -> set[int]:
    """Give the numbers of those *splices* that would make a line of a message over 998 octets long."""
    if part.leaf is None or part.leaf.encoding in ("quoted-printable", "base64"):
        return set()
    return overlong(part.octets, to_octets(part.document, part.leaf.charset, splices))


def write_document(content: Text, part: Part, splices: list[Splice]) -> Text:
    """Make *splices* in the *content* that *part* was read from."""
    if isinstance(content, str):
        return splice_text(content, splices)
    return splice(content, to_octets(part.document, "utf-8", splices))


def write_body(raw: bytes, part: Part, splices: list[Splice]) -> bytes | None:
    """Make *splices* in the encoded body of *part*, which lies in the message *raw*."""
    leaf = part.leaf
    assert leaf is not None
    moved = to_octets(part.document, leaf.charset, splices)
    return splice_transfer(raw[leaf.start : leaf.end], leaf.encoding, part.octets, moved)

"""The links of a mail as the encoder sees them, for those who check a mail before it is sent.

Promise: what is checked is what is tracked, and what could not be read is told in the same breath. There is one scanner
and one judge, and these are they.
"""

from typing import TYPE_CHECKING, Literal, get_args

from linkrouter.encoder.documents import Document, Reading, judge_documents, read_content, read_documents
from linkrouter.encoder.html import visible_text
from linkrouter.encoder.link_policy import LinkPolicy
from linkrouter.encoder.message import read_mail
from linkrouter.encoder.report import FoundLink, FoundLinks, SkipReason, UnreadPart, printable
from linkrouter.link import LinkPart

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["ContentKind", "find_links", "read_parts"]

ContentKind = Literal["message", "html", "text"]

_NOTHING_TO_READ: tuple[SkipReason, ...] = ("no body", "no text part")


def find_links(content: "str | bytes | Message", kind: ContentKind = "message") -> FoundLinks:
    """Find every link that an encoder with default options would track or leave alone, `mailto:` and `tel:` included.

    Args:
        content: A whole message (bytes or a message object), or a document (str or bytes).
        kind: What *content* is.

    Returns:
        The links in the order of the mail, and the parts that could not be read.

    Raises:
        TypeError: *content* does not have a type that *kind* goes with.
        ValueError: *kind* is unknown.
    """
    if kind not in get_args(ContentKind):
        raise ValueError(f"kind must be one of {', '.join(get_args(ContentKind))}, not {kind!r}")
    if kind != "message":
        if not isinstance(content, str | bytes):
            raise TypeError(f"{kind} must be str or bytes, not {type(content).__name__}")
        reading = read_content(content, kind)
    else:
        reading = _read_message(content)
    judge_documents(LinkPolicy(), reading.documents)
    return FoundLinks(
        tuple(link for document in reading.documents for link in _found(document)), _unread(reading, kind)
    )


def read_parts(content: "str | bytes | Message", kind: ContentKind = "message") -> tuple[tuple[LinkPart, str], ...]:
    """Give the text of each part that `find_links` looks for links in, decoded: ("html" or "text", the document)."""
    reading = _read_message(content) if kind == "message" else read_content(content, kind)  # type: ignore[arg-type]
    return tuple((document.part, document.text) for document in reading.documents if not document.is_unread)


def _read_message(message: object) -> Reading:
    raw: bytes
    if isinstance(message, bytes):
        raw, reason = message, None
    else:
        from linkrouter.encoder.message_objects import message_to_bytes  # here: the `email` package is slow to import

        raw, reason = message_to_bytes(message)
    return Reading([], reason) if reason else read_documents(raw, read_mail(raw))


def _unread(reading: Reading, kind: ContentKind) -> tuple[UnreadPart, ...]:
    if reading.documents or reading.reason is None:
        return tuple(
            UnreadPart(document.part, document.reason)
            for document in reading.documents
            if document.is_unread and document.reason
        )
    return () if reading.reason in _NOTHING_TO_READ else (UnreadPart(kind, reading.reason),)


def _found(document: Document) -> list[FoundLink]:
    found = []
    line, at = 1, 0
    for link, position, _, _, reason, _ in document.judged:
        line += document.text.count("\n", at, link.start)
        at = link.start
        text = visible_text(document.text, link) if document.part == "html" else ""
        found.append(FoundLink(printable(link.url), document.part, position, line, printable(text), reason))
    return found

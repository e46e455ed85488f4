"""The links of a mail as the encoder sees them, for those who check a mail before it is sent.

Promise: what is checked is what is tracked. There is one scanner and one judge, and these are they.
"""

from typing import TYPE_CHECKING

from linkrouter.encoder.html import visible_text
from linkrouter.encoder.message import read_mail
from linkrouter.encoder.parts import Part, judge_parts, read_document, read_parts
from linkrouter.encoder.policy import Policy
from linkrouter.encoder.report import FoundLink

if TYPE_CHECKING:
    from email.message import EmailMessage

__all__ = ["find_links"]


def find_links(content: "str | bytes | EmailMessage", kind: str = "message") -> tuple[FoundLink, ...]:
    """Find every link that an encoder with default options would track or leave alone, `mailto:` and `tel:` included.

    Args:
        content: A whole message (bytes or `EmailMessage`), or a document (str or bytes).
        kind: What *content* is.

    Returns:
        The links in the order of the mail; none when it cannot be read.

    Raises:
        TypeError: *content* does not have a type that *kind* goes with.
        ValueError: *kind* is unknown.
    """
    if kind not in ("message", "html", "text"):
        raise ValueError(f"kind must be 'message', 'html' or 'text', not {kind!r}")
    if kind != "message" and not isinstance(content, str | bytes):
        raise TypeError(f"{kind} must be str or bytes, not {type(content).__name__}")
    if kind == "message":
        raw = _message_bytes(content)
        parts = read_parts(raw, read_mail(raw)).parts
    else:
        assert isinstance(content, str | bytes)
        parts = read_document(content, kind).parts
    judge_parts(Policy(), parts)
    return tuple(link for part in parts for link in _found(part))


def _message_bytes(message: object) -> bytes:
    if isinstance(message, bytes):
        return message
    from email.message import EmailMessage

    if not isinstance(message, EmailMessage):
        raise TypeError(f"message must be bytes or an EmailMessage, not {type(message).__name__}")
    return message.as_bytes()


def _found(part: Part) -> list[FoundLink]:
    found = []
    line, at = 1, 0
    for position, (link, judgement) in enumerate(zip(part.seen, part.judged, strict=True), part.first_position):
        line += part.document.count("\n", at, link.start)
        at = link.start
        text = visible_text(part.document, link) if part.kind == "html" else ""
        found.append(FoundLink(link.url, part.kind, position, line, text, judgement.reason))
    return found

"""What a sender tells us in a mail's own headers, and the headers taken out again.

Promise: of the mail nothing but whole header fields of ours goes, byte for byte; one that a DKIM signature covers
stays, since without it the signature would not hold. What a field says wrongly is as if it were not there: a mail does
not fail for its tag.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header

from linkrouter.encoder import Mode

__all__ = ["TRACK_LINKS", "MailLabels", "find_message_id", "take_labels"]

TRACK_LINKS: dict[str, Mode] = {  # Postmark's words, and ours without the hyphens
    "none": "none",
    "htmlandtext": "html-and-text",
    "htmlonly": "html-only",
    "textonly": "text-only",
}
HEAD_BYTES = 256 * 1024  # of a mail, in which its headers are looked for

_OURS = re.compile(
    rb"^(x-pm-tag|x-pm-tracklinks|x-pm-metadata-[!-9;-~]+|x-linkrouter-count-only)[ \t]*:"
    rb"((?:[^\r\n]++|\r\n[ \t])*+)\r\n",
    re.IGNORECASE | re.MULTILINE,
)
_DKIM = re.compile(rb"^dkim-signature[ \t]*:((?:[^\r\n]++|\r\n[ \t])*+)", re.IGNORECASE | re.MULTILINE)
_BLANK_LINE = re.compile(rb"\n\r?\n")
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:[ \t\r\n]*<?([^<>\s]{1,900})>?", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MailLabels:
    """What was said of a mail: by what to count it, and how to track it; None leaves that to the settings."""

    tag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    mode: Mode | None = None
    count_only: bool | None = None


def take_labels(raw: bytes) -> tuple[bytes, MailLabels]:
    """Give *raw* without the header fields that are ours, and what they said."""
    end = _head_end(raw)
    head = raw[:end]
    found = list(_OURS.finditer(head))
    if not found:
        return raw, MailLabels()
    said = {match[1].decode("ascii").lower(): _text(match[2]) for match in found}
    signed = b"".join(match[1] for match in _DKIM.finditer(head)).lower()
    pieces, at = [], 0
    for match in found:
        if match[1].lower() not in signed:
            pieces.append(raw[at : match.start()])
            at = match.end()
    return b"".join((*pieces, raw[at:])), _labels(said)


def find_message_id(raw: bytes) -> str:
    """Give the id that *raw* has in its header, without the angle brackets; empty when there is none.

    Lines may end with CRLF, as in SMTP, or with LF, as in a file.
    """
    blank = _BLANK_LINE.search(raw, 0, HEAD_BYTES)
    match = _MESSAGE_ID.search(raw, 0, blank.start() + 1) if blank else None
    return match[1].decode("utf-8", "replace") if match else ""


def _head_end(raw: bytes) -> int:
    blank = raw.find(b"\r\n\r\n", 0, HEAD_BYTES)
    return blank + 2 if blank >= 0 else 0


def _labels(said: Mapping[str, str]) -> MailLabels:
    prefix = "x-pm-metadata-"
    consent = said.get("x-linkrouter-count-only", "").lower()
    return MailLabels(
        tag=said.get("x-pm-tag", ""),
        metadata={name.removeprefix(prefix): text for name, text in said.items() if name.startswith(prefix)},
        mode=TRACK_LINKS.get(said.get("x-pm-tracklinks", "").lower()),
        count_only={"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(consent),
    )


def _text(value: bytes) -> str:
    """Read the text of a header field: unfolded, encoded words (RFC 2047) decoded."""
    unfolded = re.sub(rb"\r\n(?=[ \t])", b"", value).strip().decode("utf-8", "replace")
    if "=?" not in unfolded:
        return unfolded
    try:
        return "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "ascii", "replace")
            for piece, charset in decode_header(unfolded)
        )
    except (HeaderParseError, LookupError, ValueError):
        return unfolded

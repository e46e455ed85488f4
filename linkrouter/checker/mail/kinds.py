"""What an input is, told by its name and by how it begins.

Promise: a list of URLs, or a text that begins with "Update: …", is not taken for a mail. A message needs a header that
mail programs know and a blank line. The page's `mail.js` guesses by the same rules; one table of cases holds both.
"""

import re

from linkrouter.checker.mail.content import ContentType

__all__ = ["guess_kind", "is_message"]

_GUESS_BYTES = 64 * 1024
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n|\n\r?\n")
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_KNOWN_HEADER = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|mime-version|content-type|content-transfer-encoding|received|return-path"
    rb"|reply-to|sender|delivered-to|dkim-signature|list-unsubscribe|list-id)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_ROOT = re.compile(rb"(?:\s|<\?[^>]*>|<!--[\s\S]{0,4000}?-->|<!DOCTYPE[^>]*>)*<([A-Za-z][A-Za-z0-9:-]*)", re.IGNORECASE)
_TAG = re.compile(rb"<(?:!doctype|html|head|body|table|div|p|a|span|img|br|h[1-6])\b[^<]*>", re.IGNORECASE)
_MARKDOWN = re.compile(
    rb"\]\((?:<|https?:|mailto:|/|#|\.)|^ {0,3}\[[^\]\n]+\]:[ \t]*\S|^#{1,6} \S", re.IGNORECASE | re.MULTILINE
)
_URL = re.compile(rb"https?:", re.IGNORECASE)
_NAMES: dict[str, ContentType] = {
    "eml": "message",
    "htm": "html",
    "html": "html",
    "md": "markdown",
    "markdown": "markdown",
    "mjml": "mjml",
    "rss": "feed",
    "atom": "feed",
}


def guess_kind(raw: bytes, name: str = "") -> ContentType:
    """Tell what *raw* is; the ending of *name*, where it has one that says so, has the first word."""
    by_name = _NAMES.get(name.rpartition(".")[2].lower()) if "." in name else None
    if by_name is not None:
        return by_name
    start = raw[:_GUESS_BYTES].removeprefix(b"\xef\xbb\xbf")
    if is_message(start):
        return "message"
    root = _ROOT.match(start)
    tag = root[1].lower() if root else b""
    if tag == b"mjml" or tag.startswith(b"mj-"):
        return "mjml"
    if tag in (b"rss", b"feed", b"rdf:rdf"):
        return "feed"
    if _is_url_list(start):
        return "urls"
    if root is None and _MARKDOWN.search(start):
        return "markdown"
    return "html" if _TAG.search(start) else "text"


def is_message(start: bytes) -> bool:
    """Whether what begins with *start* is a mail: header lines, one of them well known, then a blank line."""
    if start.startswith(b"From "):  # the line that an mbox puts before a mail
        start = start.partition(b"\n")[2]
    blank = _BLANK_LINE.search(start)
    return blank is not None and bool(_HEADER.match(start) and _KNOWN_HEADER.search(start, 0, blank.start() + 1))


def _is_url_list(start: bytes) -> bool:
    lines = [line.strip() for line in start.splitlines()]
    lines = [line for line in lines if line and not line.startswith(b"#")]
    return any(map(_URL.match, lines)) and not any(b" " in line or b"\t" in line for line in lines)

"""Where the links of a plain text are.

Promise: a link found is the address a reader would see as one, no more and no less: the brackets, quotation marks and
full stops around it stay outside. Only `http://` and `https://` count; `www.example.com` and bare domains are words,
and replacing them would change what the text says.

The rules are those of the extended autolinks of GitHub Flavored Markdown, with the punctuation of other scripts. They
differ where Markdown gives links that lead nowhere: an unbalanced closing bracket, an invisible character and a long
dash end an address, and so does punctuation that another address follows.
"""

import re

from linkrouter.encoder.html import Found
from linkrouter.encoder.report import SkipReason

__all__ = ["scan_text"]

_BEFORE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-_@/")
# Nobody sees these, and editors put them behind addresses by themselves. The joiners U+200C and U+200D are not among
# them: Persian words and emoji need those.
_INVISIBLE = r"\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
_LONG_DASHES = r"\u2013-\u2015\u2e3a\u2e3b"
_QUOTES = r"\u00ab\u00bb\u2018-\u201f\u2039\u203a"
_ARABIC_AND_INDIC = r"\u060c\u061b\u061f\u06d4\u0964\u0965"
_WIDE = r"\u3000-\u3003\u3008-\u3011\u3014-\u301f\ufe50-\ufe5e\uff01\uff02\uff07-\uff09\uff0c\uff0e\uff1a-\uff1c\uff1e"
_WIDE += r"\uff1f\uff3b\uff3d\uff5b-\uff5d\uff5f-\uff64"
# An address ends at white space, at these marks, and where Markdown or an opt-out begins to speak about it.
_RUN = re.compile(
    rf"""(?:[^][\s<>"\x00-\x1f\x7f\u2025\u2026{_INVISIBLE}{_LONG_DASHES}{_QUOTES}{_ARABIC_AND_INDIC}{_WIDE}]++"""
    r"""|\](?!\()|\[(?!\[data-msys-clicktrack=))*+"""
)
# Punctuation that another address may follow. `?`, `:`, `=`, `&` and `/` pass one on: `/login?next=https://…`.
_PUNCTUATION = re.compile(r"[][(){},;|!*`'\\]++(?=(https?://)?)", re.IGNORECASE)
_INNER_ADDRESS = re.compile(r"=https?://", re.IGNORECASE)
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_TRAILING = frozenset("?!.,:*_~'\";|\\`\u200c\u200d")
_ENTITY_TAIL = re.compile(r"&[A-Za-z0-9]+;\Z")
_SPARKPOST_OPT_OUT = '[[data-msys-clicktrack="0"]]'
# The rest of an address behind a line break. In angle brackets it goes on to the closing one, over a few lines.
_WRAPPED_IN_ANGLES = re.compile(r"(?:[ \t]*+\r?\n[ \t]*+[^\s<>]*+){1,8}+>")
_SOFT_BREAK = re.compile(r" \r?\n")
# Without brackets: behind a soft break (RFC 3676 §4.2), or alone on an indented line, what has the marks of a path.
_PATH = r"(?!https?:|www\.)[A-Za-z0-9%&=?#_~+-](?=[^\s<>]*[/=&%#_?][^\s<>])[^\s<>]*+"
_WRAPPED_IN_FLOW = re.compile(rf"[ \t]++\r?\n[ \t]*+{_PATH}", re.IGNORECASE)
_WRAPPED_WITH_INDENT = re.compile(rf"\r?\n[ \t]++{_PATH}[ \t]*+(?:\r?\n|\Z)", re.IGNORECASE)


def scan_text(document: str, *, joined_lines: bool = False) -> list[Found]:
    """Find the addresses of *document*, in order.

    Args:
        document: A plain text.
        joined_lines: Whether a line that ends in a space goes on in the next without it (RFC 3676, `delsp=yes`).
    """
    links: list[Found] = []
    position = line_start = run_end = 0
    while (colon := document.find("://", position)) >= 0:
        # Never look back beyond what was seen: a document may be one line.
        line_start = document.rfind("\n", position, colon) + 1 or line_start
        position = colon + 3
        start = _scheme_start(document, colon)
        if start is None:
            continue
        if run_end < position:  # else this address is joined to the one before, and its run is known
            run_end = _run_end(document, position)
        end = _link_end(document, start, run_end)
        if end > position:
            reason: SkipReason | None = (
                "quoted" if document[line_start] == ">" else _reason(document, start, run_end, end, joined_lines)
            )
            links.append(Found(start, end, document[start:end], start, end, reason))
            position = end
    return links


def _run_end(document: str, start: int) -> int:
    run = _RUN.match(document, start)
    return run.end() if run else start


def _scheme_start(document: str, colon: int) -> int | None:
    """Give where the `http` or `https` before *colon* begins, unless it is the tail of another word."""
    for length in (5, 4):
        start = colon - length
        if start >= 0 and document[start:colon].lower() in ("https", "http"):
            return None if start and document[start - 1] in _BEFORE else start
    return None


def _link_end(document: str, start: int, run_end: int) -> int:
    in_angles = start > 0 and document[start - 1] == "<" and document[run_end : run_end + 1] == ">"
    end = _first_end(document, start, run_end, in_angles)
    return end if in_angles and end == run_end else start + len(_trimmed(document[start:end]))


def _first_end(document: str, start: int, end: int, in_angles: bool) -> int:
    """Give where the first of several joined addresses ends, or the first closing bracket that was not opened in it.

    A list within a query (`?urls=https://…,https://…`) is one address.
    """
    open_ = {"(": 0, "[": 0, "{": 0}
    is_list = False
    for match in _PUNCTUATION.finditer(document, start, end):
        if match[1] and not is_list:
            is_list = _INNER_ADDRESS.search(document, start, match.start()) is not None
            if not is_list:
                return match.start() + len(match[0][: _balanced(match[0], open_)].rstrip("([{"))
        length = len(match[0]) if in_angles else _balanced(match[0], open_)
        if length < len(match[0]):
            return match.start() + length
    return end


def _balanced(marks: str, open_: dict[str, int]) -> int:
    """Give how many of *marks* come before a bracket that closes none of the *open_* ones, which are counted on."""
    for number, mark in enumerate(marks):
        opening = _BRACKETS.get(mark)
        if mark in open_:
            open_[mark] += 1
        elif opening is not None:
            if open_[opening] == 0:
                return number
            open_[opening] -= 1
    return len(marks)


def _trimmed(url: str) -> str:
    """Drop from the end of *url* what belongs to the sentence around it."""
    end = len(url)
    while end and url[end - 1] in _TRAILING:
        if url[end - 1] == ";" and (entity := _ENTITY_TAIL.search(url, max(0, end - 40), end)):
            end = entity.start() + 1
        end -= 1
    return url[:end]


def _reason(document: str, start: int, run_end: int, end: int, joined_lines: bool) -> SkipReason | None:
    if document.startswith(_SPARKPOST_OPT_OUT, end):
        return "opted out"
    if document[run_end : run_end + 1] not in ("\r", "\n", " ", "\t"):
        return None
    if start > 0 and document[start - 1] == "<" and _WRAPPED_IN_ANGLES.match(document, run_end):
        return "wrapped"
    if joined_lines and _SOFT_BREAK.match(document, run_end):
        return "wrapped"
    if document.find("/", start + 8, end) < 0:  # a bare host is short: no mailer cuts there
        return None
    if _WRAPPED_IN_FLOW.match(document, run_end) or _WRAPPED_WITH_INDENT.match(document, run_end):
        return "wrapped"
    return None

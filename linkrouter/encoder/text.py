"""Where the links of a plain text are.

Promise: a link found is the address a reader would see as one, no more and no less: the brackets, quotation marks and
full stops around it stay outside. Only `http://` and `https://` count; `www.example.com` and bare domains are words,
and replacing them would change what the text says.

The rules are those of the extended autolinks of GitHub Flavored Markdown, with the punctuation of Chinese and Japanese.
"""

import re

from linkrouter.encoder.html import Seen

__all__ = ["scan_text"]

_BEFORE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.-_@/")
# An address ends at white space, at these marks, and where Markdown or an opt-out begins to speak about it.
_RUN = re.compile(
    r"""(?:[^][\s<>"\x00-\x1f\x7f\u3000-\u3002\u300a-\u3011\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\uff5c"""
    r"""\u201c\u201d\u2018\u2019\u00ab\u00bb\u2026]++|\](?!\()|\[(?!\[data-msys-clicktrack=))*+"""
)
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_TRAILING = frozenset("?!.,:*_~'\";|\\`")
_ENTITY_TAIL = re.compile(r"&[A-Za-z0-9]+;\Z")
_SPARKPOST_OPT_OUT = '[[data-msys-clicktrack="0"]]'
_WRAPPED_IN_ANGLES = re.compile(r"\r?\n[^\s<>]*>")
_SOFT_BREAK = re.compile(r" \r?\n")


def scan_text(document: str, *, joined_lines: bool = False) -> list[Seen]:
    """Find the addresses of *document*, in order.

    Args:
        document: A plain text.
        joined_lines: Whether a line that ends in a space goes on in the next without it (RFC 3676, `delsp=yes`).
    """
    links: list[Seen] = []
    position = line_start = 0
    while (colon := document.find("://", position)) >= 0:
        # Never look back beyond what was seen: a document may be one line.
        line_start = document.rfind("\n", position, colon) + 1 or line_start
        position = colon + 3
        start = _scheme_start(document, colon)
        if start is None:
            continue
        run_end = _run_end(document, position)
        end = _link_end(document, start, run_end)
        if end > position:
            reason = "quoted" if document[line_start] == ">" else _reason(document, start, run_end, end, joined_lines)
            links.append(Seen(start, end, document[start:end], start, end, reason))
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


def _link_end(document: str, start: int, end: int) -> int:
    if start and document[start - 1] == "<" and document[end : end + 1] == ">":
        return end
    return start + len(_trimmed(document[start:end]))


def _trimmed(url: str) -> str:
    """Drop from the end of *url* what belongs to the sentence around it."""
    if url[-1] not in _TRAILING and url[-1] not in _BRACKETS:
        return url
    excess = {close: url.count(close) - url.count(opening) for close, opening in _BRACKETS.items()}
    end = len(url)
    while end:
        last = url[end - 1]
        if excess.get(last, 0) > 0:
            excess[last] -= 1
        elif last not in _TRAILING:
            break
        elif last == ";" and (entity := _ENTITY_TAIL.search(url, max(0, end - 40), end)):
            end = entity.start() + 1
        end -= 1
    return url[:end]


def _reason(document: str, start: int, run_end: int, end: int, joined_lines: bool) -> str | None:
    if document.startswith(_SPARKPOST_OPT_OUT, end):
        return "opted out"
    in_angles = start > 0 and document[start - 1] == "<"
    if in_angles and _WRAPPED_IN_ANGLES.match(document, run_end):
        return "wrapped"
    if joined_lines and _SOFT_BREAK.match(document, run_end):
        return "wrapped"
    return None

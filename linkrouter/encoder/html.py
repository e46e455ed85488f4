"""Where the links of an HTML document are: offsets into it, found without building a tree.

Promise: every `href` that a mail client would follow is found at its exact offsets, and nothing else is. That takes in
what Outlook alone reads (conditional comments, VML), and leaves out what only looks like a link (comments, `<style>`,
attribute text). Python's `html.parser` gives no offsets of attributes, and every DOM rewrites what it prints.

One regular expression walks over all that is no link, so Python takes one step per link and not one per tag. Every
quantifier that could backtrack is possessive: the time is linear in the document, whatever is in it. A tag or comment
that is cut off by the end of the document is none, as in the standard.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from linkrouter.encoder.entities import decode_attribute
from linkrouter.encoder.report import SkipReason

__all__ = ["MAX_VISIBLE_CHARS", "Found", "scan_html", "tag_attributes", "visible_text"]

MAX_VISIBLE_CHARS = 1000  # how far behind a link its visible text is looked for

# The tokeniser of the HTML standard (§13.2.5), as far as links need it.
_END_OF_NAME = r"[\t\n\f\r />]"
_VALUE = r"""(?:"[^"]*+"|'[^']*+'|(?=>)|[^\t\n\f\r >"'][^\t\n\f\r >]*+)"""
_NAME = r"[^\t\n\f\r />][^\t\n\f\r />=]*+"
_IS = r"[\t\n\f\r ]*+=[\t\n\f\r ]*+"
_ATTRIBUTE = rf"(?:{_NAME}(?:{_IS}{_VALUE}|(?![\t\n\f\r ]*+=)))"
# For speed alone: the spelling of nine attributes in ten, and tags whose first letters no name below begins with.
_COMMON_ATTRIBUTE = r' [A-Za-z:-]++="[^"]*+"'
_COMMON_TAG = rf"(?:t[abdfhr]|[bcdefghjklmoqruwyz])[a-z0-9]*+(?:{_COMMON_ATTRIBUTE})*+>"
_ATTRIBUTES = rf"(?:{_COMMON_ATTRIBUTE}|[\t\n\f\r /]++|{_ATTRIBUTE})*+"
_NOT_HREF = rf"(?:[\t\n\f\r /]++|(?!(?i:href)[\t\n\f\r />=]){_ATTRIBUTE})*+"
_HREF = rf"""(?i:href){_IS}(?:"([^"]*+)"|'([^']*+)'|(?=>)|([^\t\n\f\r >"'][^\t\n\f\r >]*+))"""
_LINK = rf"(?i:a|area|v:[a-z]+)(?={_END_OF_NAME})"
_RAW_TEXT = rf"(?i:style|script|title|textarea|xmp|iframe|noembed|noframes|plaintext)(?={_END_OF_NAME})"
_CONDITIONAL = r"!--\[(?i:if)"

_BETWEEN_LINKS = (
    rf"(?:[^<]*+<(?:/[A-Za-z]++>|{_COMMON_TAG}"
    rf"|(?!{_LINK}|{_RAW_TEXT})[A-Za-z][^\t\n\f\r />]*+{_ATTRIBUTES}>"
    rf"|/[A-Za-z][^\t\n\f\r />]*+{_ATTRIBUTES}>"
    rf"|(?!{_CONDITIONAL})!--(?:-?>|(?:[^-]++|-(?!-!?>))*+--!?>)"
    r"|!(?!--)[^>]*+>|\?[^>]*+>|/(?![A-Za-z])[^>]*+>"
    r"|(?![A-Za-z/!?])))*+[^<]*+"
)
_NEXT = re.compile(
    rf"{_BETWEEN_LINKS}()<(?:{_LINK}{_NOT_HREF}(?:{_HREF})?+{_ATTRIBUTES}>|({_RAW_TEXT}){_ATTRIBUTES}>|({_CONDITIONAL}))",
    re.ASCII,
)
_TAG, _RAW, _COMMENT = 1, 5, 6  # groups; 2-4 are the value in double, single and no quotes

_ONE_ATTRIBUTE = re.compile(rf"({_NAME})(?:{_IS}({_VALUE}))?", re.ASCII)
_COMMENT_END = re.compile(r"--!?>")
_END_OF_LINK = re.compile(r"</?(?:a|v:[a-z]+)[\t\n\f\r />]", re.ASCII | re.IGNORECASE)
_MARKUP = re.compile(r"<!--.*?(?:-->|\Z)|<[^>]*+(?:>|\Z)", re.DOTALL)
_OUTER_SPACE = "\t\n\f\r "


class Found(NamedTuple):
    """A link as a scanner saw it: `document[start:end]` is what a tracked link would replace."""

    start: int
    end: int
    url: str  # references resolved, outer white space gone
    tag_start: int
    tag_end: int
    reason: SkipReason | None = None  # why it must stay, when the scanner knows


def scan_html(document: str) -> list[Found]:
    """Find the first `href` of every `<a>`, `<area>` and VML element of *document*, in order."""
    return list(_scan(document, 0, len(document)))


def _scan(document: str, start: int, end: int) -> Iterator[Found]:
    while match := _NEXT.match(document, start, end):
        group = match.lastindex or 0
        start = match.end()
        if _TAG < group < _RAW:
            value_start, value_end = match.span(group)
            url = decode_attribute(match[group]).strip(_OUTER_SPACE)
            yield Found(value_start, value_end, url, match.start(_TAG), start)
        elif group == _RAW:
            start = _end_of_raw_text(document, match[_RAW].lower(), start, end)
        elif group == _COMMENT:
            comment_end = _COMMENT_END.search(document, start, end)
            if comment_end is None:  # the end of the document, or a conditional comment within one
                return
            content = document.find("]>", start, comment_end.start())
            if content >= 0:
                yield from _scan(document, content + 2, comment_end.start())
            start = comment_end.end()


def _end_of_raw_text(document: str, name: str, start: int, end: int) -> int:
    """Give where the content of the raw-text element *name* ends: at its end tag, or with the document."""
    if name == "plaintext":
        return end
    match = _END_TAGS[name].search(document, start, end)
    return end if match is None else match.start()


_END_TAGS = {
    name: re.compile(rf"</{name}(?={_END_OF_NAME})", re.ASCII | re.IGNORECASE)
    for name in ("style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}


def tag_attributes(tag: str) -> Iterator[tuple[str, str]]:
    """Give the attributes of the start tag *tag* (`<a href=…>`): names in lower case, values without their quotes."""
    name_end = re.compile(_END_OF_NAME).search(tag)
    position = name_end.start() if name_end else len(tag)
    for match in _ONE_ATTRIBUTE.finditer(tag, position, len(tag) - 1):
        value = match[2] or ""
        yield match[1].lower(), value[1:-1] if value[:1] in ('"', "'") else value


def visible_text(document: str, link: Found) -> str:
    """Give what a reader sees of *link*: the text up to its end tag, at most `MAX_VISIBLE_CHARS` away."""
    window = document[link.tag_end : link.tag_end + MAX_VISIBLE_CHARS]
    end = _END_OF_LINK.search(window)
    inner = window[: end.start()] if end else window
    return " ".join(html.unescape(_MARKUP.sub("", inner)).split())

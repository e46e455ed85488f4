"""Tags of HTML, MJML and XML, one after another, with where they stand.

Promise: the time is linear in the document, whatever is in it, and what is no tag (comments, the text of a script) is
left out. The encoder's scanner finds links alone and is faster; this one sees images, MJML and feeds, too.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["MarkupTag", "plain_text", "scan_tags"]

_SPACE = r"[\t\n\f\r ]"
_VALUE = r"""(?:"[^"]*+"|'[^']*+'|[^\t\n\f\r >"'][^\t\n\f\r >]*+)"""
_NAME = r"[^\t\n\f\r />][^\t\n\f\r />=]*+"
_ATTRIBUTE = rf"{_NAME}(?:{_SPACE}*+={_SPACE}*+{_VALUE}?+)?+"
# What is cut off by the end of the document ends the scan: group 1 tells.
_TOKEN = re.compile(
    r"<(?:!--(?!\[(?i:if))(?:-?>|(?:[^-]++|-(?!-!?>))*+(?:--!?>|()))"
    r"|!\[CDATA\[((?:[^\]]++|\](?!\]>))*+)(?:\]\]>|())"
    rf"|([A-Za-z][^\t\n\f\r />]*+)((?:[\t\n\f\r /]++|{_ATTRIBUTE})*+)(?:>|())"
    r"|/([A-Za-z][^\t\n\f\r />]*+)[^>]*+(?:>|()))"
)
_ONE_ATTRIBUTE = re.compile(rf"({_NAME})(?:{_SPACE}*+={_SPACE}*+({_VALUE}))?")
_CUT_OFF = (1, 3, 6, 8)
_RAW_TEXT = ("style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
_MARKUP = re.compile(r"<!--.*?(?:-->|\Z)|<[^>]*+(?:>|\Z)", re.DOTALL)


class MarkupTag(NamedTuple):
    """A start tag, an end tag (`/name`) or a piece of CDATA (`!`): `document[start:end]`.

    `content` is CDATA's, or the text of `<style>` and its like.
    """

    name: str
    start: int
    end: int
    inner: str = ""  # what stands behind the name of a start tag
    content: str = ""

    def attributes(self) -> dict[str, str]:
        """Give the first attribute of each name, in lower case, its references resolved."""
        found: dict[str, str] = {}
        for match in _ONE_ATTRIBUTE.finditer(self.inner):
            value = match[2] or ""
            value = value[1:-1] if value[:1] in ('"', "'") else value
            found.setdefault(match[1].lower(), html.unescape(value).strip("\t\n\f\r "))
        return found


def scan_tags(document: str, *, is_html: bool = True) -> Iterator[MarkupTag]:
    """Give the tags of *document* in order; *is_html* says that the content of `<script>` and the like is text."""
    position = 0
    while match := _TOKEN.search(document, position):
        position = match.end()
        group = match.lastindex or 0
        if group in _CUT_OFF:
            return
        if match[7] is not None:
            yield MarkupTag("/" + match[7].lower(), match.start(), position)
        elif match[2] is not None:
            yield MarkupTag("!", match.start(), position, content=match[2])
        elif match[4] is not None:
            name, start, content = match[4].lower(), match.start(), ""
            if is_html and name in _RAW_TEXT:
                end = re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE).search(document, position)
                content = document[position : end.start() if end else len(document)]
                position += len(content)
            yield MarkupTag(name, start, match.end(), match[5], content)


def plain_text(markup: str) -> str:
    """Give what a reader sees of *markup*."""
    return " ".join(html.unescape(_MARKUP.sub("", markup)).split())

"""The links and images of Markdown (CommonMark, with the bare URLs of GitHub's).

Promise: linear in the document. Inline links, references, autolinks, bare URLs and the anchors of HTML in it are found;
what stands in code is not, since nobody follows it.
"""

import html
import re
from collections.abc import Iterator

from linkrouter.checker.mail.found import FoundUrl
from linkrouter.checker.mail.markup import images_of
from linkrouter.checker.mail.tags import plain_text
from linkrouter.encoder import find_links

__all__ = ["markdown_images", "markdown_links"]

_FENCED = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[^\n]*+\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)(`++).{0,1000}?(?<!`)\1(?!`)", re.DOTALL)
_LABEL = r"\[((?:[^][\\]|\\.|!?\[[^][]{0,500}\](?:\([^()]{0,2000}\))?){0,1000}+)\]"
_TITLE = r"""(?:"[^"]{0,500}"|'[^']{0,500}'|\([^()]{0,500}\))"""
_TARGET = rf"\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*\))*))(?:\s+{_TITLE})?\s*\)"
_INLINE = re.compile(rf"(?<![!\\]){_LABEL}{_TARGET}", re.DOTALL)
_IMAGE = re.compile(rf"!\[([^][]{{0,500}})\]{_TARGET}", re.DOTALL)
_REFERENCE = re.compile(r"^ {0,3}\[(?!\^)([^]\n]{1,1000})\]:[ \t]*(?:<([^<>\n]*)>|(\S+))", re.MULTILINE)
_HTML_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?=[\s/>])[^<>]*>")
_ESCAPE = re.compile(r"\\([!-/:-@[-`{-~])")


def markdown_links(document: str) -> Iterator[FoundUrl]:
    """Give the links of *document*, in the order of its lines."""
    text = _without_code(document)
    found = [_found(text, match, match[2] or match[3], plain_text(match[1])) for match in _INLINE.finditer(text)]
    found += [_found(text, match, match[2] or match[3], match[1]) for match in _REFERENCE.finditer(text)]
    found += [FoundUrl(link.url, "markdown", link.line, link.text) for link in find_links(text, "html").links]
    for pattern in (_IMAGE, _INLINE, _REFERENCE, _HTML_TAG):
        text = pattern.sub(_blank, text)
    found += [FoundUrl(link.url, "markdown", link.line) for link in find_links(text, "text").links]
    yield from sorted(found, key=lambda each: each.line)


def markdown_images(document: str) -> Iterator[FoundUrl]:
    """Give the images of *document*."""
    text = _without_code(document)
    found = [
        _found(text, match, match[2] or match[3], "")._replace(is_image=True, alt=match[1].strip() or None)
        for match in _IMAGE.finditer(text)
    ]
    yield from sorted([*found, *images_of(text, "markdown")], key=lambda each: each.line)


def _found(text: str, match: re.Match[str], url: str | None, label: str) -> FoundUrl:
    line = text.count("\n", 0, match.start()) + 1
    return FoundUrl(html.unescape(_ESCAPE.sub(r"\1", url or "")), "markdown", line, label)


def _without_code(document: str) -> str:
    """Give *document* with the code in it blanked out, line breaks kept."""
    return _CODE.sub(_blank, _FENCED.sub(_blank, document))


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])

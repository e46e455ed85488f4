"""The links of MJML and of feeds (RSS 1 and 2, Atom), and the images of HTML and MJML.

Promise: what would become a link or an image in a mail is found; what only names something (xmlns, an Atom id) is not.
"""

import html
import re
from collections.abc import Iterator

from linkrouter.checker.mail.found import FoundUrl
from linkrouter.checker.mail.tags import MarkupTag, plain_text, scan_tags
from linkrouter.encoder import find_links

__all__ = ["anchors_of", "feed_links", "images_of", "mjml_links"]

MAX_INNER_CHARS = 1000  # how far behind a link its text is looked for

_NO_LINKS = ("link", "mj-font", "mj-include", "base")
_IMAGES = {
    "img": ("src",),
    "input": ("src",),
    "amp-img": ("src",),
    "video": ("poster",),
    "v:fill": ("src",),
    "v:image": ("src",),
    "v:imagedata": ("src",),
    "mj-image": ("src",),
    "mj-carousel-image": ("src", "thumbnails-src"),
    "mj-social-element": ("src",),
    "mj-accordion": ("icon-wrapped-url", "icon-unwrapped-url"),
}
_WITH_ALT = ("img", "input", "amp-img", "mj-image", "mj-carousel-image", "mj-social-element")
_STYLE_URL = re.compile(r"""url\(\s*+(?:"([^"]*+)"|'([^']*+)'|([^)\s"']*+))\s*+\)""", re.IGNORECASE)
_NO_IMAGE = re.compile(r"@import\s*$|src\s*:[^;{}]*$", re.IGNORECASE)  # a style sheet, a font
_CANDIDATE = re.compile(r"[\s,]*([^\s,][^\s]*[^\s,]|[^\s,])(?:\s[^,]*)?(?:,|$)")

# Elements of feeds: those that hold a URL as text, those with one in an attribute, and those that hold HTML.
_URL_ELEMENTS = ("link", "guid", "comments", "url", "docs", "uri", "icon", "logo", "wfw:commentrss")
_URL_ATTRIBUTES = ("href", "url", "uri", "rdf:resource")
_NO_URL = ("rdf:li", "category", "cloud")
_HTML_ELEMENTS = ("description", "content:encoded", "content", "summary", "subtitle", "title", "itunes:summary")


class _Lines:
    """Tells the line of an offset; offsets come in order."""

    def __init__(self, document: str, first: int = 1) -> None:
        self._document, self._line, self._at = document, first, 0

    def at(self, offset: int) -> int:
        self._line += self._document.count("\n", self._at, offset)
        self._at = max(self._at, offset)
        return self._line


def mjml_links(document: str) -> Iterator[FoundUrl]:
    """Give the `href` of every element of an MJML document; those of a navigation bar with its base URL."""
    lines, base = _Lines(document), ""
    for tag in scan_tags(document):
        if tag.name == "mj-navbar":
            base = tag.attributes().get("base-url", "")
        elif tag.name == "/mj-navbar":
            base = ""
        elif "href" in tag.inner.lower() and tag.name not in _NO_LINKS:
            href = tag.attributes().get("href")
            if href is not None:
                url = base + href if tag.name == "mj-navbar-link" else href
                yield FoundUrl(url, "mjml", lines.at(tag.start), _text_of(document, tag))


def feed_links(document: str) -> Iterator[FoundUrl]:
    """Give every address of a feed, and the links of the HTML in it."""
    lines = _Lines(document)
    for tag in scan_tags(document, is_html=False):
        if tag.name.startswith(("/", "!")):
            continue
        attributes = tag.attributes()
        line = lines.at(tag.start)
        if tag.name not in _NO_URL:
            text = _text_of(document, tag) if tag.name == "a" else ""
            yield from (FoundUrl(attributes[key], "feed", line, text) for key in _URL_ATTRIBUTES if attributes.get(key))
        if tag.inner.endswith("/"):
            continue
        name = tag.name.removeprefix("atom:")
        if name in _URL_ELEMENTS and attributes.get("ispermalink") != "false":
            url = _element_text(document, tag).strip()
            if url:
                yield FoundUrl(url, "feed", line)
        elif name in _HTML_ELEMENTS:
            yield from _inner_links(_element_text(document, tag), line)


def _inner_links(content: str, line: int) -> Iterator[FoundUrl]:
    if "<" in content:
        for link in find_links(content, "html").links:
            yield FoundUrl(link.url, "feed", line + link.line - 1, link.text)
    elif "://" in content:
        for link in find_links(content, "text").links:
            yield FoundUrl(link.url, "feed", line + link.line - 1)


def _element_text(document: str, tag: MarkupTag) -> str:
    """Give the text in an element of XML: up to the next tag, or its CDATA."""
    if cdata := re.compile(r"\s*+<!\[CDATA\[").match(document, tag.end):
        end = document.find("]]>", cdata.end())
        return document[cdata.end() : end if end >= 0 else len(document)]
    end = document.find("<", tag.end)
    return html.unescape(document[tag.end : end if end >= 0 else len(document)])


def _text_of(document: str, tag: MarkupTag) -> str:
    window = document[tag.end : tag.end + MAX_INNER_CHARS]
    end = re.search(rf"</{re.escape(tag.name)}[\s>]", window, re.IGNORECASE)
    return plain_text(window[: end.start()]) if end else ""


def images_of(document: str, part: str) -> Iterator[FoundUrl]:
    """Give every image of an HTML or MJML document: elements, `srcset`, backgrounds, and `url(…)` of styles."""
    lines = _Lines(document)
    alt: str | None
    for tag in scan_tags(document):
        if tag.name == "style" or tag.name == "mj-style":
            style = tag.content or document[tag.end : document.find("<", tag.end)]
            urls, alt = _style_urls(style), ""
        elif tag.name[0] in "/!" or "=" not in tag.inner:
            continue
        else:
            attributes = tag.attributes()
            urls = _image_urls(tag.name, attributes)
            alt = attributes.get("alt") if tag.name in _WITH_ALT else ""
        if urls:
            line = lines.at(tag.start)
            yield from (FoundUrl(url, part, line, is_image=True, alt=alt) for url in dict.fromkeys(urls))


def _image_urls(name: str, attributes: dict[str, str]) -> list[str]:
    urls = [attributes[key] for key in _IMAGES.get(name, ()) if attributes.get(key)]
    if name in ("img", "source", "mj-image") and attributes.get("srcset"):
        urls += _srcset_urls(attributes["srcset"])
    urls += [attributes[key] for key in ("background", "background-url") if attributes.get(key)]
    return urls + _style_urls(attributes["style"]) if "style" in attributes else urls


def _srcset_urls(srcset: str) -> list[str]:
    return [match[1] for match in _CANDIDATE.finditer(srcset)]


def _style_urls(style: str) -> list[str]:
    return [
        html.unescape(match[1] or match[2] or match[3] or "").strip()
        for match in _STYLE_URL.finditer(style)
        if not _NO_IMAGE.search(style, max(0, match.start() - 200), match.start())
        and (match[1] or match[2] or match[3])
    ]


def anchors_of(document: str) -> frozenset[str]:
    """Give every `id` of *document*, and every `name` of an `<a>`: what a fragment can lead to."""
    found = set()
    for tag in scan_tags(document):
        if "=" in tag.inner and tag.name[0] not in "/!":
            attributes = tag.attributes()
            found.add(attributes.get("id", ""))
            found.add(attributes.get("name", "") if tag.name == "a" else "")
    return frozenset(found - {""})

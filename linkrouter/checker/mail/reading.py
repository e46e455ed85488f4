"""From an input to the URLs in it: one reader for each kind.

Promise: what the encoder reads (mails, HTML, text) is read with its eyes; nothing is lost in silence, since what cannot
be read at all is an `UnreadPart`.
"""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple, cast

from linkrouter.checker.mail.content import ContentType
from linkrouter.checker.mail.found import FoundUrl, judged
from linkrouter.checker.mail.headers import header_links
from linkrouter.checker.mail.markdown import markdown_images, markdown_links
from linkrouter.checker.mail.markup import feed_links, images_of, mjml_links
from linkrouter.encoder import ContentKind, UnreadPart, find_links, read_parts

__all__ = ["FoundUrls", "read_urls"]

_ENCODERS_OWN = ("message", "html", "text")
_XML_ENCODING = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_NO_TEXT = (b"%PDF-", b"PK\3\4", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"\x1f\x8b", b"\xd0\xcf\x11\xe0")
_LINKS_OF = {"markdown": markdown_links, "mjml": mjml_links, "feed": feed_links}


class FoundUrls(NamedTuple):
    """What an input holds: its links in order, its images, what of it could not be read, and its HTML."""

    links: list[FoundUrl]
    images: list[FoundUrl]
    unread: tuple[UnreadPart, ...]
    pages: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<FoundUrls {len(self.links)} links, {len(self.images)} images>"


def read_urls(content: str | bytes, kind: ContentType) -> FoundUrls:
    """Read *content*, which is a *kind*."""
    if isinstance(content, bytes) and content.startswith(_NO_TEXT):
        return FoundUrls([], [], (UnreadPart("text", "binary"),), ())
    if kind in _ENCODERS_OWN:
        return _read_mail(content, cast("ContentKind", kind))
    text = content if isinstance(content, str) else _decode(content)
    if isinstance(text, UnreadPart):
        return FoundUrls([], [], (text,), ())
    links = _url_list(text) if kind == "urls" else _LINKS_OF[kind](text)
    images = markdown_images(text) if kind == "markdown" else images_of(text, kind) if kind == "mjml" else ()
    return FoundUrls(list(judged(links)), list(judged(images)), (), (text,) if kind in ("markdown", "mjml") else ())


def _read_mail(content: str | bytes, kind: ContentKind) -> FoundUrls:
    found = find_links(content, kind)
    links = [FoundUrl(link.url, link.part, link.line, link.text, link.reason) for link in found.links]
    if kind == "message" and isinstance(content, bytes):
        links += judged(header_links(content))
    pages = tuple(text for part, text in read_parts(content, kind) if part == "html") if kind != "text" else ()
    images = [image for page in pages for image in judged(images_of(page, "html"))]
    return FoundUrls(links, images, found.unread, pages)


def _url_list(text: str) -> Iterator[FoundUrl]:
    """Give a URL a line; blank lines and those that begin with # are none."""
    for number, line in enumerate(text.splitlines(), 1):
        if (url := line.strip()) and not url.startswith("#"):
            yield FoundUrl(url, "urls", number)


def _decode(raw: bytes) -> str | UnreadPart:
    declared = _XML_ENCODING.match(raw)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace")
    if declared:
        try:
            return raw.decode(declared[1].decode("ascii"))
        except (LookupError, UnicodeError):
            return UnreadPart("text", "charset")
    unread = find_links(raw, "text").unread
    return unread[0] if unread else read_parts(raw, "text")[0][1].removeprefix("\ufeff")

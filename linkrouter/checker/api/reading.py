"""From what an author hands in to the links in it.

Promise: pure, and the same whether it runs here or in a process of its own.
"""

import binascii
from dataclasses import replace
from html import escape
from typing import Any, NamedTuple

from linkrouter.checker.api.models import CHECK_RULES, MAX_CHECKED_LINKS, MAX_MAIL_BYTES, CheckRequest
from linkrouter.checker.formats import InputRecord
from linkrouter.checker.mail.content import CONTENT_TYPES, ContentType
from linkrouter.checker.mail.extract import LinkToCheck, extract
from linkrouter.checker.verdict import LinkPlace
from linkrouter.web.problems import Fault, Refusal

__all__ = ["ReadLinks", "read_links"]


class ReadLinks(NamedTuple):
    """What was handed in, and its links, with its images behind them."""

    record: InputRecord
    links: tuple[LinkToCheck, ...]

    def __repr__(self) -> str:
        return f"<ReadLinks {self.record.kind}, {len(self.links)} links>"


def read_links(request: CheckRequest, *, local: bool = False) -> ReadLinks | Refusal:
    """Give the links of what is to be checked."""
    given: list[tuple[ContentType, Any]] = [(kind, request[kind]) for kind in CONTENT_TYPES if kind in request]
    if len(given) != 1:
        return Refusal(
            422, Fault(f"exactly one of {', '.join(CONTENT_TYPES[:-1])} and {CONTENT_TYPES[-1]} must be there")
        )
    [(kind, content)] = given
    if kind == "urls":
        links = _listed(content, local)
    else:
        if kind == "message":
            content = _decode(content)
            if content is None:
                return Refusal(422, Fault(f"message must be {CHECK_RULES['message']}"))
        images = request.get("images", False)
        links = extract(content, kind, local=local, images=images, max_links=MAX_CHECKED_LINKS)
    if len(links) > MAX_CHECKED_LINKS:
        return Refusal(422, Fault(f"it must have at most {MAX_CHECKED_LINKS} links"))
    pictures = sum(link.is_image for link in links)
    return ReadLinks(InputRecord("-", kind, len(links) - pictures, pictures), links)


def _decode(text: str) -> bytes | None:
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return raw if len(raw) <= MAX_MAIL_BYTES else None


def _listed(urls: list[str], local: bool) -> tuple[LinkToCheck, ...]:
    """Read *urls* as links of a mail would be read, so that merge tags and all else mean the same."""
    links = extract("".join(f'<a href="{escape(url)}"></a>' for url in urls), "html", local=local)
    return tuple(
        replace(link, places=tuple(LinkPlace("urls", place.position, place.position + 1, "") for place in link.places))
        for link in links
    )

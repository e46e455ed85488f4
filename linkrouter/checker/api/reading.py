"""From what an author hands in to the links in it.

Promise: whatever is handed in, the event loop is free meanwhile, and what cannot be read is refused in our words.
"""

from dataclasses import replace
from html import escape
from typing import Any, NamedTuple

from linkrouter.checker.api.models import CHECK_RULES, MAX_CHECKED_LINKS, MAX_MAIL_BYTES, CheckRequest
from linkrouter.checker.formats import InputRecord
from linkrouter.checker.mail.apart import ToRead, read_apart
from linkrouter.checker.mail.content import CONTENT_TYPES, ContentType
from linkrouter.checker.mail.extract import LinkToCheck
from linkrouter.checker.verdict import LinkPlace
from linkrouter.web.problems import Fault, Refusal

__all__ = ["ReadLinks", "read_links"]

_ONE_OF_THEM = f"exactly one of {', '.join(CONTENT_TYPES[:-1])} and {CONTENT_TYPES[-1]} must be there"


class ReadLinks(NamedTuple):
    """What was handed in, and its links, with its images behind them."""

    record: InputRecord
    links: tuple[LinkToCheck, ...]

    def __repr__(self) -> str:
        return f"<ReadLinks {self.record.kind}, {len(self.links)} links>"


async def read_links(request: CheckRequest, *, local: bool = False) -> ReadLinks | Refusal:
    """Give the links of what is to be checked."""
    given: list[tuple[ContentType, Any]] = [(kind, request[kind]) for kind in CONTENT_TYPES if kind in request]
    if len(given) != 1:
        return Refusal(422, Fault(_ONE_OF_THEM))
    [(kind, content)] = given
    try:
        links = await _read(kind, content, local, request.get("images", False))
    except (OSError, TimeoutError):
        return Refusal(422, Fault(f"{kind} must be what can be read within half a minute"))
    if links is None:
        return Refusal(422, Fault(f"message must be {CHECK_RULES['message']}"))
    if len(links) > MAX_CHECKED_LINKS:
        return Refusal(422, Fault(f"it must have at most {MAX_CHECKED_LINKS} links"))
    pictures = sum(link.is_image for link in links)
    return ReadLinks(InputRecord("-", kind, len(links) - pictures, pictures), links)


async def _read(kind: ContentType, content: Any, local: bool, images: bool) -> tuple[LinkToCheck, ...] | None:
    if kind != "urls":
        return await read_apart(ToRead(kind, content, local, images, MAX_MAIL_BYTES, MAX_CHECKED_LINKS))
    # As links of a mail would be read, so that merge tags and all else mean the same.
    page = "".join(f'<a href="{escape(url)}"></a>' for url in content)
    found = await read_apart(ToRead("html", page, local, False, MAX_MAIL_BYTES, MAX_CHECKED_LINKS))
    return tuple(replace(link, places=tuple(map(_in_list, link.places))) for link in found or ())


def _in_list(place: LinkPlace) -> LinkPlace:
    return LinkPlace("urls", place.position, place.position + 1, "")

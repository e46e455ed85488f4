"""A URL that was found in an input, before anything is known of it.

Promise: what judges merge tags and the like is the encoder's own judge, whatever the input was.
"""

from collections.abc import Iterable, Iterator
from html import escape
from typing import NamedTuple

from linkrouter.encoder import find_links

__all__ = ["FoundUrl", "judged"]


class FoundUrl(NamedTuple):
    """A URL as it stands in an input. `reason` is why nobody would follow it, where that is known already."""

    url: str
    part: str
    line: int
    text: str = ""  # what a reader sees of a link
    reason: str | None = None
    is_image: bool = False
    alt: str | None = None  # of an image: its alternative text, None when it has none

    def __repr__(self) -> str:
        return f"<FoundUrl {self.part}, line {self.line}>"


def judged(found: Iterable[FoundUrl]) -> Iterator[FoundUrl]:
    """Give *found* with the reasons that the encoder has."""
    pending = list(found)
    page = "".join(f'<a href="{escape(each.url)}"></a>' for each in pending)
    for each, link in zip(pending, find_links(page, "html").links, strict=True):
        yield each._replace(url=link.url, reason=each.reason or link.reason)

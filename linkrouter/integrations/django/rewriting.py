"""From Django's message to a copy with tracked links.

Promise: the caller's message stays as it was; what the copy shares with it nobody changes here. Attributes are
rewritten and not MIME, since most backends never look at MIME. What cannot be rewritten goes out untouched.
"""

import copy
from email.utils import getaddresses
from typing import Any

from linkrouter.encoder import Encoder, Mode, Rewritten
from linkrouter.integrations.mail_headers import TRACK_LINKS
from linkrouter.link import LinkPart

__all__ = ["Parts", "copy_with_links", "find_recipient", "parts_of", "read_mode", "read_tag"]

Parts = list[tuple[LinkPart, str]]

_PART_OF_TYPE: dict[str, LinkPart] = {"text/html": "html", "text/plain": "text"}


def read_mode(message: Any, default: Mode) -> Mode | None:
    """Give which parts of *message* are to be tracked; None when its `track_links` is no word that is known.

    `track_links` is True, False, or one of the encoder's words or Postmark's; without it, anymail's
    `track_clicks = False` is a no.
    """
    asked = getattr(message, "track_links", None)
    if asked is None:
        return "none" if getattr(message, "track_clicks", None) is False else default
    if isinstance(asked, bool):
        return default if asked else "none"
    return TRACK_LINKS.get(str(asked).lower().replace("-", ""))


def read_tag(message: Any) -> str | None:
    """Give the message's `tag`, or the first of anymail's `tags`."""
    tag = getattr(message, "tag", None)
    if tag is None:
        tags = getattr(message, "tags", None)
        tag = tags[0] if isinstance(tags, list | tuple) and tags else None
    return None if tag is None else str(tag)


def find_recipient(message: Any) -> str | None:
    """Give the address of the recipient, when there is exactly one."""
    found = getaddresses([str(address) for address in message.recipients()])
    return found[0][1] or None if len(found) == 1 else None


def parts_of(message: Any) -> Parts:
    """Give the HTML and text of *message*: its body first, then its alternatives."""
    return [(part, content) for _, part, content in _places(message)]


def copy_with_links(message: Any, encoder: Encoder | None) -> tuple[Any, Rewritten[tuple[str, ...]] | None]:
    """Copy *message* with the links that *encoder* makes; without one its text stays."""
    duplicate = copy.copy(message)
    places = _places(message) if encoder is not None else []
    if encoder is None or not places:
        return duplicate, None
    done = encoder.rewrite_parts([(part, content) for _, part, content in places])
    if not done.links:
        return duplicate, done
    alternatives = list(getattr(message, "alternatives", None) or ())
    for (place, _, _), content in zip(places, done.content, strict=True):
        if place is None:
            duplicate.body = content
        else:
            alternatives[place] = _with_content(alternatives[place], content)
    if alternatives:
        duplicate.alternatives = alternatives
    return duplicate, done


def _places(message: Any) -> list[tuple[int | None, LinkPart, str]]:
    """Give where text stands: None for the body, else the number of an alternative; what it is; and the text."""
    found: list[tuple[int | None, Any, Any]] = [(None, f"text/{message.content_subtype}", message.body)]
    found += [(number, one[1], one[0]) for number, one in enumerate(getattr(message, "alternatives", None) or ())]
    places: list[tuple[int | None, LinkPart, str]] = []
    for place, content_type, content in found:
        part = _PART_OF_TYPE.get(str(content_type).partition(";")[0].strip().lower())
        if part is not None and content and not isinstance(content, bytes):
            places.append((place, part, content if isinstance(content, str) else str(content)))  # a lazy translation
    return places


def _with_content(alternative: Any, content: str) -> Any:
    """Give *alternative* with other content, of the class it has: a named tuple, a tuple, or JSON's list."""
    if hasattr(alternative, "_replace"):
        return alternative._replace(content=content)
    return type(alternative)((content, *alternative[1:]))

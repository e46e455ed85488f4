"""What an encoder is told, checked when it is told.

Promise: an argument that will not do is refused when the encoder is made, with its name, and not in the middle of a
mail.
"""

import re
from collections.abc import Iterable
from typing import Literal, get_args

from linkrouter.errors import BadDestination
from linkrouter.link import LinkPart, canonical_url

__all__ = ["MODE_PARTS", "Mode", "VisibleUrls", "checked_domains", "checked_origin", "checked_word"]

Mode = Literal["html-and-text", "html-only", "text-only", "none"]
VisibleUrls = Literal["track", "skip"]

MODE_PARTS: dict[Mode, tuple[LinkPart, ...]] = {
    "html-and-text": ("html", "text"),
    "html-only": ("html",),
    "text-only": ("text",),
    "none": (),
}

_LOOPBACK = re.compile(r"http://(?:127\.[0-9.]+|localhost|\[::1\])(?::[0-9]+)?")
_ORIGIN = re.compile(r"https?://[^/?#@\s]+")


def checked_word(name: str, words: object, value: object) -> None:
    """Refuse *value* for the argument *name* when it is none of *words*, a `Literal`.

    Raises:
        ValueError: it is none of them.
    """
    known = get_args(words)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def checked_origin(base_url: str) -> str:
    """Return the origin that *base_url* is, in canonical form.

    Raises:
        ValueError: it is none, or is neither https nor on the loopback.
    """
    try:
        origin = canonical_url(base_url)
    except BadDestination as exc:
        raise ValueError(f"base URL is not usable: {exc.reason}") from None
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("base URL must be an origin, such as 'https://click.example.com', without path or query")
    if origin.startswith("http:") and not _LOOPBACK.fullmatch(origin):
        raise ValueError("base URL must be https, unless it is on the loopback")
    return origin


def checked_domains(domains: Iterable[str]) -> frozenset[str]:
    """Return *domains* in canonical form: lower case, punycode, no dot at either end.

    Raises:
        ValueError: one of them is no domain.
    """
    if isinstance(domains, str):
        raise ValueError("excluded domains must be a collection of domains, not one string")
    try:
        return frozenset(canonical_url(f"https://{domain.strip('.')}")[8:] for domain in domains)
    except BadDestination as exc:
        raise ValueError(f"an excluded domain is not usable: {exc.reason}") from None

"""Redirects that stand outside `Location`: the `Refresh` header, and `meta refresh` in the first kilobytes of a page.

Promise: pure; what a browser would follow within ten seconds is found, as the HTML standard reads it. Hostile markup
costs no more time than its length.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from linkrouter.checker.fetch.classify import HttpAnswer

__all__ = ["MAX_DELAY_S", "SCANNED_BYTES", "Refresh", "find_refresh", "is_html", "visible_markup"]

MAX_DELAY_S = 10  # who waits longer has read the page
SCANNED_BYTES = 16 * 1024

# https://html.spec.whatwg.org/#shared-declarative-refresh-steps
_VALUE = re.compile(r"\s*(?P<delay>[0-9]+|(?=\.))[0-9.]*(?:\s*[;,]\s*|\s+)(?P<url>\S.*)", re.DOTALL)
_NAMED = re.compile(r"url\s*=\s*", re.IGNORECASE)
_TAG = re.compile(r"""<(meta|base)(?=[\s/])((?:[^>"']|"[^"]*"|'[^']*'){0,2000}+)>""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
# What a browser does not read as markup.
_HIDDEN = re.compile(
    r"<(?:(!--)|(script|style|textarea|template|xmp|iframe|noembed|noframes)(?=[\s/>]))", re.IGNORECASE
)


class Refresh(NamedTuple):
    """Where an answer leads by itself, after how long, and the page's own `<base>` (or ""), as they are written."""

    url: str
    delay_s: int
    base: str = ""


def find_refresh(answer: HttpAnswer) -> Refresh | None:
    """Give where *answer* leads by itself, or None."""
    if "refresh" in answer.headers:
        found = _read_value(_as_utf8(answer.headers["refresh"].split("\n")[0]))
        if found is not None:
            return found
    return _find_meta(answer) if answer.body and is_html(answer) else None


def is_html(answer: HttpAnswer) -> bool:
    """Whether a browser would show *answer* as a page; it guesses so of what has no type."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("", "text/html", "application/xhtml+xml")


def visible_markup(answer: HttpAnswer) -> str:
    """Give the first kilobytes of a page without comments, scripts and their like."""
    page = answer.body[:SCANNED_BYTES].decode("utf-8", "replace")
    return "".join(_visible(page))


def _find_meta(answer: HttpAnswer) -> Refresh | None:
    base = ""
    for match in _TAG.finditer(visible_markup(answer)):
        attributes: dict[str, str] = {}
        for name, *values in _ATTRIBUTE.findall(match[2]):
            attributes.setdefault(name.lower(), html.unescape("".join(values)))
        if match[1].lower() == "base":
            base = base or attributes.get("href", "")
        elif attributes.get("http-equiv", "").strip().lower() == "refresh":
            found = _read_value(attributes.get("content", ""))
            if found is not None:
                return found._replace(base=base)
    return None


def _visible(page: str) -> Iterator[str]:
    at = 0
    while match := _HIDDEN.search(page, at):
        yield page[at : match.start()]
        end = re.compile("-->" if match[1] else f"</{match[2]}", re.IGNORECASE).search(page, match.end())
        if end is None:
            return
        at = end.end()
    yield page[at:]


def _read_value(text: str) -> Refresh | None:
    """Read "0; url=…"; None where there is no URL, or the reader has time to stop it."""
    match = _VALUE.match(text.strip())
    if match is None or len(match["delay"]) > 4 or int(match["delay"] or 0) >= MAX_DELAY_S:
        return None
    url = _NAMED.sub("", match["url"], count=1) if _NAMED.match(match["url"]) else match["url"]
    if url[:1] in ("'", '"'):
        url = url[1:].partition(url[0])[0]
    return Refresh(url.strip(), int(match["delay"] or 0)) if url.strip() else None


def _as_utf8(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text

"""The trap: one link in the HTML that no reader sees, so that whoever follows it is a machine.

Promise: it shows nothing, speaks to no screen reader, takes no keyboard focus, and leads where a link of the mail leads
anyway, which the gate was asked about. It stands only where the document is sure to read it as a link.
"""

import re

from linkrouter.encoder.documents import Document
from linkrouter.encoder.html import Found, scan_html
from linkrouter.encoder.link_policy import Judged

__all__ = ["set_trap", "trap_markup"]

_END_OF_BODY = re.compile(r"</body[\t\n\f\r />]", re.ASCII | re.IGNORECASE)


def trap_markup(url: str) -> str:
    """Return the HTML of a trap that leads to *url*; `mso-hide` is what Outlook needs."""
    return f'<a href="{url}" aria-hidden="true" tabindex="-1" style="display:none;mso-hide:all"></a>'


def set_trap(documents: list[Document]) -> None:
    """Put a trap into the last HTML document with a link to be tracked, if there is one, as the mail's last link."""
    tracked = [
        (document, link)
        for document in documents
        if document.part == "html"
        for link in document.judged
        if link.reason is None
    ]
    if not tracked:
        return
    document, destination = tracked[-1][0], tracked[0][1].destination
    at = _place(document)
    if at is None:
        return
    position = sum(len(one.found) for one in documents if one.part == "html")
    number = sum(len(one.found) for one in documents)
    document.trap = Judged(Found(at, at, "", at, at), position, number, destination, None, False)


def _place(document: Document) -> int | None:
    """Find where a trap may stand: before `</body>`, or at the end; None when a comment or an open tag swallows it."""
    text, last = document.text, document.found[-1]
    ends = [match.start() for match in _END_OF_BODY.finditer(text, last.tag_end)]
    at = ends[-1] if ends else len(text)
    found = scan_html(text[:at] + trap_markup("https://trap.invalid/") + text[at:])
    if len(found) != len(document.found) + 1 or found[-1].tag_start != at:
        return None
    return at if document.accepts_splice(at, at) else None

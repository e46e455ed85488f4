"""URLs in what was taken for the headers of a mail.

Promise: no URL is lost because a text begins like a mail. Those of headers that only programs read are named and left
alone: a List-Unsubscribe that is opened may sign somebody off.
"""

import re
from collections.abc import Iterator

from linkrouter.checker.mail.found import FoundUrl
from linkrouter.encoder import find_links

__all__ = ["header_links"]

_END = re.compile(rb"\n\r?\n")
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:")
_FOR_PROGRAMS = re.compile(
    r"x-|list-|arc-|dkim-|received|authentication-results|return-path|message-id|in-reply-to|references|content-|mime-"
    r"|feedback-id|archived-at|autocrypt|bimi-|precedence|delivered-to|user-agent|tls-|cfbl-|require-recipient",
    re.IGNORECASE,
)


def header_links(raw: bytes) -> Iterator[FoundUrl]:
    """Give every URL in the headers of the message *raw*."""
    end = _END.search(raw)
    head = raw[: end.start() if end else len(raw)]
    if b"://" not in head:
        return
    lines = head.decode("utf-8", "replace").split("\n")
    name = ""
    for number, line in enumerate(lines, 1):
        field = _FIELD.match(line)
        if field and "//" not in line[field.end() - 1 : field.end() + 2]:  # a URL on a line is no header
            name = field[1]
        elif not line.startswith((" ", "\t")):
            name = ""
        reason = "in a header" if name and _FOR_PROGRAMS.match(name) else None
        if "://" in line:
            for link in find_links(line, "text").links:
                yield FoundUrl(link.url, "headers", number, name, reason)

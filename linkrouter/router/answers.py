"""Every answer a router gives, ready to be written to the socket.

Promise: an answer is the same bytes whoever asks; only a redirect's `Location` varies, and it is written raw, since
aiohttp's own redirect re-encodes URLs (it changed 3.4 % of 16,000 real ones). Nothing of a request is reflected.
"""

import time

from linkrouter.router.decide import Outcome

__all__ = ["Answers"]

_COMMON = "Cache-Control: private, no-store\r\nReferrer-Policy: no-referrer\r\nX-Robots-Tag: noindex, nofollow\r\n"
_PAGE = (
    "<!doctype html>\n"
    '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
    "<title>{title}</title>\n"
    "<style>body{{font:1.1em/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em}}</style>\n"
    "<h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
)
_HTML = "text/html; charset=utf-8"
_PAGES: dict[str, tuple[str, str, str, str]] = {
    # outcome: status line, further headers, content type, body
    Outcome.NOT_FOUND: (
        "404 Not Found",
        "",
        _HTML,
        _PAGE.format(
            title="This link does not work",
            text="It may have been cut off on its way to you. Try opening it from the original message, "
            "or ask whoever sent it.",
        ),
    ),
    Outcome.STOPPED: (
        "410 Gone",
        "",
        _HTML,
        _PAGE.format(title="This link was withdrawn", text="This link was withdrawn by its sender."),
    ),
    Outcome.METHOD_NOT_ALLOWED: (
        "405 Method Not Allowed",
        "Allow: GET, HEAD\r\n",
        _HTML,
        _PAGE.format(title="Links can only be followed", text="This address answers to GET and HEAD."),
    ),
    Outcome.MALFORMED: (
        "400 Bad Request",
        "",
        _HTML,
        _PAGE.format(title="This was not understood", text="The request was not well-formed HTTP."),
    ),
    Outcome.FAILED: (
        "500 Internal Server Error",
        "",
        _HTML,
        _PAGE.format(title="Something went wrong", text="Please try the link again."),
    ),
    Outcome.READY: ("200 OK", "", "text/plain; charset=utf-8", "ready\n"),
    Outcome.NOT_READY: ("503 Service Unavailable", "", "text/plain; charset=utf-8", "not ready\n"),
    Outcome.ROBOTS: ("200 OK", "", "text/plain; charset=utf-8", "User-agent: *\nDisallow: /\n"),
}


_PAGES[Outcome.UNKNOWN_KEY] = _PAGES[Outcome.NOT_FOUND]  # nobody outside learns which keys there are


class Answers:
    """The prebuilt bytes; `refresh` once a second keeps their `Date` right."""

    def __init__(self) -> None:
        self._redirect = (b"HTTP/1.1 302 Found\r\n" + _COMMON.encode() + b"Content-Length: 0\r\nLocation: ", b"", b"")
        self._pages: dict[tuple[str, bool, bool], bytes] = {}
        self.refresh(time.time())

    def refresh(self, now_s: float) -> None:
        """Rebuild everything that bears a date, for *now_s* seconds since the epoch (RFC 9110 §6.6.1)."""
        date = time.strftime("\r\nDate: %a, %d %b %Y %H:%M:%S GMT", time.gmtime(now_s))
        start, _, _ = self._redirect
        keep, close = f"{date}\r\n\r\n".encode(), f"{date}\r\nConnection: close\r\n\r\n".encode()
        self._redirect = (start, keep, close)
        for outcome, (status, headers, content_type, body) in _PAGES.items():
            head = (
                f"HTTP/1.1 {status}\r\n{_COMMON}{headers}Content-Type: {content_type}\r\n"
                f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}"
            ).encode()
            for closing, end in ((False, keep), (True, close)):
                self._pages[outcome, closing, False] = head + end + body.encode()
                self._pages[outcome, closing, True] = head + end

    def redirect(self, destination: str, close: bool) -> bytes:
        """Give a 302 to *destination*, which the keyring has checked: printable ASCII and nothing else."""
        start, keep_end, close_end = self._redirect
        return start + destination.encode("ascii") + (close_end if close else keep_end)

    def app_file(self, content: bytes, *, close: bool, head: bool) -> bytes:
        """Give *content*, JSON by which an app claims a domain; for a HEAD request without it."""
        _, keep_end, close_end = self._redirect
        start = (
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Type: application/json\r\n"
            f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(content)}"
        ).encode("ascii")
        return start + (close_end if close else keep_end) + (b"" if head else content)

    def page(self, outcome: str, *, close: bool, head: bool) -> bytes:
        """Give the constant answer for *outcome*; for a HEAD request without its body."""
        return self._pages[outcome, close, head]

"""From an answer to a reason: the verdict table for HTTP.

Promise: pure; the same answer gives the same reason. A status is called broken only when it says so itself; what is
said to a robot behind a wall, or by a site known to lie, is unverifiable.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from linkrouter.retry import find_retry_after

__all__ = ["GET_AFTER_HEAD", "REDIRECTS", "HttpAnswer", "classify_answer", "find_wall", "retry_after_s"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

# What a server that merely dislikes HEAD answers to it. Never 429: asking again at once is what it complains of.
GET_AFTER_HEAD = frozenset({400, 403, 404, 405, 406, 500, 501, 503})

_BY_STATUS = {
    401: "needs a login",
    402: "needs a payment",
    403: "forbidden",
    404: "not found",
    408: "timed out",
    410: "gone",
    429: "rate limited",
    451: "blocked for legal reasons",
    999: "refuses robots",  # LinkedIn's own
}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One HTTP response: header names in lower case, several of one name joined by line breaks, up to 64 KB of body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


def classify_answer(answer: HttpAnswer) -> tuple[str, str]:
    """Give the reason, one of `CHECK_REASONS`, and a detail for the *answer* that ended the chain."""
    wall = None if answer.status in (404, 410) else find_wall(answer)
    if wall:
        return "bot wall", wall
    if 200 <= answer.status < 300:
        return "answers", ""
    if answer.status == 503 and "retry-after" in answer.headers:
        return "busy", ""
    if answer.status in _BY_STATUS:
        return _BY_STATUS[answer.status], ""
    if 300 <= answer.status < 400:
        return "redirects nowhere", ""
    if 400 <= answer.status < 500:
        return "refused by the server", ""
    return ("server error", "") if 500 <= answer.status < 600 else ("not HTTP", "")


# What a bot wall leaves in its answer: (whose, header, pattern). Each alone proves it; headers that a vendor also sends
# with honest errors (such as `server: cloudflare`) do not stand here.
_WALL_HEADERS = tuple(
    (whose, header, re.compile(pattern, re.IGNORECASE))
    for whose, header, pattern in (
        ("Cloudflare", "cf-mitigated", "challenge"),
        ("Vercel", "x-vercel-mitigated", "challenge|deny"),
        ("DataDome", "x-datadome", ""),
        ("DataDome", "set-cookie", r"^datadome="),
        ("AWS WAF", "x-amzn-waf-action", "challenge|captcha"),
        ("Kasada", "x-kpsdk-ct", ""),
        ("Kasada", "x-kasada", ""),
        ("Anubis", "refresh", "anubis/api/pass-challenge"),
        ("Anubis", "set-cookie", r"^techaro\.lol-anubis"),
        ("go-away", "set-cookie", r"^\.?go-away-"),
    )
)
# These cookies are set on honest pages too, so they prove a wall only together with a refusal.
_WALL_COOKIES = tuple(
    (whose, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for whose, pattern in (
        ("Akamai", r"^_abck="),
        ("Imperva", r"^(?:incap_ses_|visid_incap_)"),
        ("PerimeterX", r"^_px[23h]?="),
    )
)
_WALL_BODIES = tuple(
    (whose, re.compile(pattern, re.IGNORECASE))
    for whose, pattern in (
        ("Cloudflare", rb"<title>just a moment\.\.\.</title>|/cdn-cgi/challenge-platform/h/[bg]/orchestrate"),
        ("Anubis", rb'<script id="anubis_challenge"'),
        ("Amazon", rb"/errors/validatecaptcha|csm-captcha-instrumentation"),
        ("DataDome", rb"geo\.captcha-delivery\.com"),
        ("Imperva", rb"_incapsula_resource"),
        ("PerimeterX", rb"px-captcha"),
        ("AWS WAF", rb"awswafintegration\.(?:checkforcerefresh|forcerefreshtoken)"),
    )
)
_REFUSALS = frozenset({401, 403, 405, 429, 500, 502, 503, 504, 999})


def find_wall(answer: HttpAnswer) -> str | None:
    """Give whose bot wall answered, or None."""
    for whose, header, pattern in _WALL_HEADERS:
        if any(pattern.search(line) for line in answer.headers.get(header, "\0").split("\n") if line != "\0"):
            return whose
    cookies = answer.headers.get("set-cookie", "") if answer.status in _REFUSALS else ""
    for whose, pattern in _WALL_COOKIES:
        if pattern.search(cookies):
            return whose
    return next((whose for whose, body in _WALL_BODIES if body.search(answer.body)), None)


def retry_after_s(answer: HttpAnswer, now: float) -> float | None:
    """Give the seconds that `Retry-After` asks for (RFC 9110 §10.2.3: a number or a date), or None; *now* is UTC."""
    return find_retry_after(answer.headers.get("retry-after"), now)

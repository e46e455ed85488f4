"""From an answer to a reason: the verdict table for HTTP.

Promise: pure; the same answer gives the same reason. A status is called broken only when it says so itself; what is
said to a robot behind a wall, or by a site known to lie, is unverifiable. A wall is a refusal with a wall's marks: the
same marks stand on honest pages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from linkrouter.retry import find_retry_after

__all__ = ["GATEWAY_ERRORS", "REDIRECTS", "HttpAnswer", "classify_answer", "find_wall", "retry_after_s"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

# Of what stands before the server, and often over a moment later; 520 to 530 are Cloudflare's.
GATEWAY_ERRORS = frozenset({502, 503, 504, *range(520, 531)})

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
    wall = find_wall(answer)
    if wall:
        return "bot wall", wall
    if 200 <= answer.status < 300:
        return "answers", ""
    if answer.status in (403, 503) and retry_after_s(answer, 0.0) is not None:
        return ("rate limited" if answer.status == 403 else "busy"), ""
    if answer.status in _BY_STATUS:
        return _BY_STATUS[answer.status], ""
    if 300 <= answer.status < 400:
        return "redirects nowhere", ""
    if 400 <= answer.status < 500:
        return "refused by the server", ""
    return ("server error", "") if 500 <= answer.status < 600 else ("not HTTP", "")


# A challenge, whatever its status: (whose, header, pattern). The answer is the wall itself.
_CHALLENGES = tuple(
    (whose, header, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for whose, header, pattern in (
        ("Cloudflare", "cf-mitigated", "challenge"),
        ("Vercel", "x-vercel-mitigated", "challenge|deny"),
        ("AWS WAF", "x-amzn-waf-action", "challenge|captcha"),
        ("Anubis", "refresh", "anubis/api/pass-challenge"),
    )
)
_CHALLENGE_PAGES = (
    ("Anubis", b'<script id="anubis_challenge"'),
    ("Imperva", b"Incapsula incident ID"),
    ("Amazon", b'action="/errors/validateCaptcha"'),
    ("Sucuri", b"sucuri_cloudproxy_js"),
)
# What these leave on honest pages, too, so that it proves a wall only together with a refusal. What a vendor also sends
# with honest errors (such as `server: cloudflare`) does not stand here.
_MARKS = tuple(
    (whose, header, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for whose, header, pattern in (
        ("DataDome", "x-datadome", ""),
        ("DataDome", "x-dd-b", ""),
        ("DataDome", "set-cookie", r"^datadome="),
        ("Kasada", "x-kpsdk-ct", ""),
        ("Kasada", "x-kasada", ""),
        ("Anubis", "set-cookie", r"^techaro\.lol-anubis"),
        ("go-away", "set-cookie", r"^\.?go-away-"),
        ("Akamai", "set-cookie", r"^_abck="),
        ("Imperva", "set-cookie", r"^(?:incap_ses_|visid_incap_)"),
        ("PerimeterX", "set-cookie", r"^_px[23h]?="),
    )
)
_PAGES = tuple(
    (whose, re.compile(pattern, re.IGNORECASE))
    for whose, pattern in (
        ("Cloudflare", rb"<title>just a moment\.\.\.</title>|/cdn-cgi/challenge-platform/h/[bg]/orchestrate"),
        ("Amazon", rb"/errors/validatecaptcha|csm-captcha-instrumentation"),
        ("DataDome", rb"geo\.captcha-delivery\.com"),
        ("Imperva", rb"_incapsula_resource"),
        ("PerimeterX", rb"px-captcha"),
        ("AWS WAF", rb"awswafintegration\.(?:checkforcerefresh|forcerefreshtoken)"),
    )
)


def find_wall(answer: HttpAnswer) -> str | None:
    """Give whose bot wall answered, or None; a page that is not there is no wall."""
    if answer.status in (404, 410):
        return None
    for whose, mark in _CHALLENGE_PAGES:
        if mark in answer.body:
            return whose
    refused = answer.status >= 400 or answer.status == 202  # AWS WAF's challenge is accepted for later
    for whose, header, pattern in (*_CHALLENGES, *(_MARKS if refused else ())):
        if header in answer.headers and pattern.search(answer.headers[header]):
            return whose
    return next((whose for whose, page in _PAGES if refused and page.search(answer.body)), None)


def retry_after_s(answer: HttpAnswer, now: float) -> float | None:
    """Give the seconds that `Retry-After` asks for (RFC 9110 §10.2.3: a number or a date), or None; *now* is UTC."""
    return find_retry_after(answer.headers.get("retry-after", "").partition("\n")[0], now)

"""What a chain of redirects ended at, where that is not the page that was linked to.

Promise: pure, and what it says is always "unverifiable": a log-in page, a parked domain or a page that asks for cookies
answers 200 as well as any other.
"""

import html
import re

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.fetch.refresh import SCANNED_BYTES, is_html, visible_markup
from linkrouter.checker.urls import split_url

__all__ = ["judge_landing"]

_LOGIN_HOST = re.compile(r"(?:log-?in|log-?on|sign-?in|auth|sso|idp|cas|accounts)[0-9]*\.")
_LOGIN_PATH = re.compile(
    r"[/_-](?:(?:wp|user|users|account|member|customer)[-_]?)?"
    r"(?:log[-_]?[io]n|sign[-_]?in|sso|saml2?|servicelogin|authenticate|oauth2?/(?:v[0-9.]+/)?authorize|anmelden|connexion)"
    r"(?:[-_]?(?:form|page|required|user))?(?:[/.;]|$)",
    re.IGNORECASE,
)
_COOKIE_PAGE = re.compile(
    r"cookies?[-_]?(?:absent|required|disabled|error|missing|needed)|(?:no|enable|missing|without)[-_]?cookies?(?![a-z])",
    re.IGNORECASE,
)
_PARKING_HOST = re.compile(
    r"(?:.*\.)?(?:sedoparking\.com|parkingcrew\.(?:net|com)|bodis\.com|parklogic\.com|hugedomains\.com|dan\.com|afternic\.com"
    r"|above\.com|domainmarket\.com|undeveloped\.com|cashparking\.com)"
)
_HOSTERS_PAGE = re.compile(r"/cgi-sys/(?:suspendedpage|defaultwebpage)\.cgi")  # cPanel's, for sites that are no more
_PARKING_WORDS = (b"sedoparking", b"parkingcrew", b"bodis.com", b"parklogic", b"/lander")  # finding these is quicker
_PARKING_MARKS = re.compile(
    rb"//(?:[a-z0-9-]+\.)*(?:sedoparking\.com|parkingcrew\.(?:net|com)|bodis\.com|parklogic\.com)[/\"']"
    rb"|location\.(?:href\s*=|replace\()\s*[\"']/lander[\"']"
)
_HEADINGS = re.compile(r"<(title|h[12])(?=[\s>])[^>]{0,500}>([^<]{0,300})", re.IGNORECASE)
_FOR_SALE = re.compile(
    r"(?:[a-z0-9-]+(?:\.[a-z0-9-]+)+\W{0,5})?"
    r"(?:(?:this |the |your )?(?:premium )?(?:domain|web ?site)(?: name)?(?: [a-z0-9.-]+\.[a-z]+)? ?"
    r"(?:is|may be|might be)? ?(?:for sale|parked|up for sale|available for (?:sale|purchase))"
    r"|(?:is|may be) (?:for sale|parked)|buy this domain|(?:this )?(?:domain|account)(?: name)? (?:has )?(?:been )?"
    r"(?:expired|suspended)|diese (?:domain|web ?site) steht zum verkauf)\b",
    re.IGNORECASE,
)


def judge_landing(url: str, last: str, answer: HttpAnswer, reason: str = "answers") -> tuple[str, str] | None:
    """Give reason and detail for the *answer* of *last*, to which the link *url* led, or None when *reason* stands."""
    if last != url and _COOKIE_PAGE.search(_path(last)) and not _COOKIE_PAGE.search(_path(url)):
        return "needs cookies", ""
    if reason != "answers":
        return None
    if _is_parked(url, last, answer):
        return "parked domain", ""
    if last != url and _is_login(last) and not _is_login(url):
        return "needs a login", "it leads to a log-in page"
    return None


def _is_login(url: str) -> bool:
    _, host, target = split_url(url)
    return bool(_LOGIN_HOST.match(host) or _LOGIN_PATH.search(target.partition("?")[0]))


def _is_parked(url: str, last: str, answer: HttpAnswer) -> bool:
    host, first = split_url(last)[1], split_url(url)[1]
    behind = re.fullmatch(r"ww[0-9]+\.(.+)", host)
    if (behind and behind[1] == first.removeprefix("www.")) or (
        _PARKING_HOST.fullmatch(host) and not _PARKING_HOST.fullmatch(first)
    ):
        return True
    if _HOSTERS_PAGE.search(last) and not _HOSTERS_PAGE.search(url):
        return True
    if not answer.body or not is_html(answer):
        return False
    page = answer.body[:SCANNED_BYTES].lower()
    if any(word in page for word in _PARKING_WORDS) and _PARKING_MARKS.search(page):
        return True
    headings = _HEADINGS.findall(visible_markup(answer))
    return any(_FOR_SALE.match(" ".join(html.unescape(text).split())) for _, text in headings)


def _path(url: str) -> str:
    return split_url(url)[2]

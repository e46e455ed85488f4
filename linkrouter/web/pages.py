"""Pages written on the server: forms and links in, HTML out, for who is signed in.

Promise: a page gets checked fields and a visitor, and knows nothing of HTTP. A post is taken from our own pages alone
(`Sec-Fetch-Site`, else `Origin`); no token stands in a URL or in anything that scripts can read; a page runs our own
scripts and nothing else.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web

from linkrouter.web.files import page_policy
from linkrouter.web.headers import SAFE_HEADERS
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.serving import OPERATION, TOKENS
from linkrouter.web.sessions import Sessions
from linkrouter.web.tokens import ANYONE, Caller, Scope

__all__ = [
    "SESSIONS",
    "Download",
    "Html",
    "Page",
    "Redirect",
    "Visitor",
    "is_same_origin",
    "serve_page",
    "signed_in",
    "signed_in_to_call",
]

MAX_FORM_BYTES = 64 * 1024
SIGN_IN = "/sign-in"
SESSIONS = web.AppKey("sessions", Sessions)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page, and how: `zone` is the time zone the browser told, `languages` what it prefers."""

    caller: Caller
    path: str
    zone: str = ""
    languages: str = ""
    cookie: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Html:
    """A page; `frame_policy` replaces the policy of our pages where what is shown is not ours."""

    text: str = field(repr=False)
    status: int = 200
    frame_policy: str | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """A file in JSON, to be saved under *name*."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another page is shown instead; `cookie` begins a session, and an empty one ends it."""

    to: str
    cookie: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One method of one path; `scope` is what the visitor's token must hold, None shows it to anyone."""

    operation: str
    path: str
    answer: Callable[[Mapping[str, str], Visitor], Awaitable[Html | Download | Redirect | Refusal]]
    refused: Callable[[Refusal, Visitor], str]  # the page that says what is wrong
    method: str = "GET"
    scope: Scope | None = None


def is_same_origin(request: web.Request) -> bool:
    """Whether *request* comes from our own pages, or from no page at all (WHATWG Fetch, Fetch Metadata)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def signed_in(request: web.Request) -> Caller | None:
    """Give who is signed in; None when nobody is, or the token was revoked."""
    sessions = request.app.get(SESSIONS)
    token = sessions.find(_cookie(request)) if sessions is not None else None
    return None if token is None else request.app[TOKENS].tokens.find_by_digest(token)


def signed_in_to_call(request: web.Request) -> Caller | None:
    """Give who is signed in to the pages that ask an API path: another site's page cannot ask in their name."""
    return signed_in(request) if is_same_origin(request) else None


def serve_page(page: Page) -> web.RouteDef:
    """Make *page* something aiohttp can register."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request[OPERATION] = page.operation
        caller = signed_in(request)
        visitor = Visitor(
            caller or ANYONE,
            request.path_qs,
            request.cookies.get("timezone", ""),
            request.headers.get("Accept-Language", ""),
            _cookie(request),
        )
        if page.scope is not None and caller is None:
            back = f"?next={quote(request.path_qs, safe='')}" if page.method == "GET" else ""
            return _respond(request, Redirect(SIGN_IN + back))
        answer = await _answer(request, page, visitor)
        if isinstance(answer, Refusal):
            answer = Html(page.refused(answer, visitor), answer.status)
        return _respond(request, answer)

    return web.route(page.method, page.path, handle)


async def _answer(request: web.Request, page: Page, visitor: Visitor) -> Html | Download | Redirect | Refusal:
    if page.scope is not None and not visitor.caller.may(page.scope):
        return Refusal(403)
    given: Mapping[str, Any] = request.query
    if page.method == "POST":
        if not is_same_origin(request):
            return Refusal(403)
        if (request.content_length or 0) > MAX_FORM_BYTES:
            return Refusal(413)
        try:
            given = await request.clone(client_max_size=MAX_FORM_BYTES).post()
        except web.HTTPRequestEntityTooLarge:
            return Refusal(413)
    fields = {name: text for name, text in given.items() if isinstance(text, str)}
    if any("\x00" in text or len(text) > 8192 for text in fields.values()):
        return Refusal(422, Fault("a field is too long"))
    return await page.answer(fields, visitor)


def _respond(request: web.Request, answer: Html | Download | Redirect) -> web.StreamResponse:
    if isinstance(answer, Download):
        headers = SAFE_HEADERS | {"Content-Disposition": f'attachment; filename="{answer.name}"'}
        return web.Response(body=answer.content, content_type="application/json", headers=headers)
    if isinstance(answer, Html):
        headers = SAFE_HEADERS | {
            "Content-Security-Policy": answer.frame_policy or page_policy(forms=True, frames=True),
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        return web.Response(status=answer.status, text=answer.text, content_type="text/html", headers=headers)
    response = web.Response(status=303, headers=SAFE_HEADERS | {"Location": answer.to})
    if answer.cookie is not None:
        name, secure = _cookie_name(request)
        limits: dict[str, Any] = {"path": "/", "httponly": True, "samesite": "Strict", "secure": secure}
        if answer.cookie:
            response.set_cookie(name, answer.cookie, **limits)
        else:
            response.del_cookie(name, **limits)
    return response


def _cookie(request: web.Request) -> str:
    return request.cookies.get(_cookie_name(request)[0], "")


def _cookie_name(request: web.Request) -> tuple[str, bool]:
    """Give the name of the cookie, and whether it is for TLS alone: behind TLS nobody else's page can set it."""
    secure = request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    return ("__Host-linkrouter" if secure else "linkrouter"), secure

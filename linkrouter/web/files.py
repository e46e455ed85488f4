"""The files of pages: HTML, styles, scripts.

Promise: they come from the package and never from a path in a request; a browser runs nothing but the scripts among
them, fetches from nowhere else, and asks for a file again only when it has changed.
"""

import hashlib
from dataclasses import dataclass

from aiohttp import ETag, web

from linkrouter.web.headers import SAFE_HEADERS

__all__ = ["StaticFile", "page_policy", "serve_file"]


def page_policy(*, forms: bool = False, frames: bool = False) -> str:
    """Give the policy of our own pages (CSP 3); they may post *forms* to us and have *frames* of ours where told."""
    own = {True: "'self'", False: "'none'"}
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            f"frame-src {own[frames]}",
            "base-uri 'none'",
            f"form-action {own[forms]}",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


@dataclass(frozen=True, slots=True)
class StaticFile:
    """What stands at one path."""

    path: str
    content_type: str
    content: bytes
    policy: str = page_policy()


def serve_file(file: StaticFile) -> web.RouteDef:
    """Make *file* something aiohttp can register."""
    etag = ETag(hashlib.sha256(file.content).hexdigest()[:32])
    headers = SAFE_HEADERS | {
        "Cache-Control": "no-cache",  # which means: ask whether it has changed
        "Content-Security-Policy": file.policy,
        "Cross-Origin-Opener-Policy": "same-origin",
    }

    async def handle(request: web.Request) -> web.Response:
        known = any(one.value in (etag.value, "*") for one in request.if_none_match or ())
        response = web.Response(status=304 if known else 200, body=None if known else file.content, headers=headers)
        response.etag = etag
        if not known:
            response.content_type, response.charset = file.content_type, "utf-8"
        return response

    return web.get(file.path, handle)

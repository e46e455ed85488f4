"""The files of the page on which an author watches a check.

Promise: everything the page needs is here, in `static/`; it loads nothing from anywhere else. The page itself holds
nothing: it asks the API, with the token that the author pastes into it. The mail is drawn in a frame of its own policy.
"""

import json
from importlib.resources import files

from linkrouter.web.files import StaticFile, page_policy

__all__ = ["FRAME_PATH", "FRAME_POLICY", "PAGE_PATHS", "RULES_PATH", "page_files"]

_HTML, _CSS, _SCRIPT = "text/html", "text/css", "text/javascript"

PAGE_PATHS = {
    "/check": ("page.html", _HTML),
    "/check/page.css": ("page.css", _CSS),
    "/check/icon.svg": ("icon.svg", "image/svg+xml"),
    **{
        f"/check/{name}": (name, _SCRIPT)
        for name in (
            "api.js",
            "banner.js",
            "changes.js",
            "lists.js",
            "mail.js",
            "malformed.js",
            "memory.js",
            "page.js",
            "picture.js",
            "result.js",
            "rows.js",
            "utm.js",
            "words.js",
        )
    },
}
RULES_PATH, FRAME_PATH = "/check/rules.json", "/check/frame.html"

# In this frame the page shows the mail itself. No script runs there and nothing is fetched, whatever the mail says; its
# own styles count. The page may look into it, to draw its marks where the links are.
FRAME_POLICY = "; ".join(
    (
        "sandbox allow-same-origin",
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
_PAGE_POLICY = page_policy(frames=True)


def page_files(*, local: bool = False) -> tuple[StaticFile, ...]:
    """Give every file of the page; *local* is for where hosts that only a local network knows are not malformed."""
    static = files(__package__).joinpath("static")
    found = [
        StaticFile(path, kind, static.joinpath(name).read_bytes(), _PAGE_POLICY)
        for path, (name, kind) in PAGE_PATHS.items()
    ]
    found.append(StaticFile(FRAME_PATH, _HTML, static.joinpath("frame.html").read_bytes(), FRAME_POLICY))
    table = json.loads(files("linkrouter.checker.mail").joinpath("rules.json").read_text("utf-8"))
    table["rules"] = [rule for rule in table["rules"] if not (local and rule.get("local"))]
    return (*found, StaticFile(RULES_PATH, "application/json", json.dumps(table).encode()))

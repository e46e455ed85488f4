"""The files of the page on which an author watches a check.

Promise: everything the page needs is here, in `static/`; it loads nothing from anywhere else. The page itself holds
nothing: it asks the API, with the token that the author pastes into it.
"""

import json
from importlib.resources import files

from linkrouter.web.files import StaticFile

__all__ = ["PAGE_PATHS", "RULES_PATH", "page_files"]

_HTML, _CSS, _SCRIPT = "text/html", "text/css", "text/javascript"

PAGE_PATHS = {
    "/check": ("page.html", _HTML),
    "/check/page.css": ("page.css", _CSS),
    "/check/icon.svg": ("icon.svg", "image/svg+xml"),
    **{
        f"/check/{name}": (name, _SCRIPT)
        for name in ("page.js", "api.js", "banner.js", "mail.js", "malformed.js", "memory.js", "rows.js", "words.js")
    },
}
RULES_PATH = "/check/rules.json"


def page_files(*, local: bool = False) -> tuple[StaticFile, ...]:
    """Give every file of the page; *local* is for where hosts that only a local network knows are not malformed."""
    static = files(__package__).joinpath("static")
    found = [StaticFile(path, kind, static.joinpath(name).read_bytes()) for path, (name, kind) in PAGE_PATHS.items()]
    table = json.loads(files("linkrouter.checker.mail").joinpath("rules.json").read_text("utf-8"))
    table["rules"] = [rule for rule in table["rules"] if not (local and rule.get("local"))]
    return (*found, StaticFile(RULES_PATH, "application/json", json.dumps(table).encode()))

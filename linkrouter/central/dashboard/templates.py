"""Templates and texts: how a page is written in the visitor's language.

Promise: whatever stands in a link, an agent, a tag or an address is text on a page, never markup: templates escape by
themselves, and no page has a script or a style of its own. A number that is not known is a dash, never 0.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from linkrouter.web.pages import Html, Visitor
from linkrouter.web.problems import DETAILS, Refusal

__all__ = ["LANGUAGES", "TEXTS", "language_of", "link_to", "render", "render_refusal", "show"]

LANGUAGES = ("en", "de")
NAVIGATION = (
    ("overview", "/dashboard", "stats:read"),
    ("messages", "/dashboard/messages", "clicks:read"),
    ("live", "/dashboard/live", "clicks:read"),
    ("routers", "/dashboard/routers", "admin"),
    ("losses", "/dashboard/losses", "stats:read"),
    ("take_backs", "/dashboard/take-backs", "takebacks"),
    ("watched", "/dashboard/watched", "stats:read"),
    ("webhooks", "/dashboard/webhooks", "webhooks"),
    ("people", "/dashboard/people", "privacy"),
    ("check", "/check", "checks"),
)


def _read_texts(language: str) -> Mapping[str, str]:
    text = files(__package__).joinpath(f"texts/{language}.toml").read_text("utf-8")
    return {f"{group}.{name}": words for group, names in tomllib.loads(text).items() for name, words in names.items()}


TEXTS = {language: _read_texts(language) for language in LANGUAGES}


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # the extra "dashboard"; half of the start-up time

    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["link_to"] = link_to
    return made


def language_of(languages: str) -> str:
    """Give the first language of an `Accept-Language` that there are texts in, else English."""
    wanted = [piece.partition(";")[0].strip().lower()[:2] for piece in languages.split(",")]
    return next((language for language in wanted if language in LANGUAGES), "en")


def link_to(path: str, fields: Mapping[str, str | None] | None = None, **changes: str | None) -> str:
    """Give *path* with *fields* as its query, some changed; what is None or empty is left out."""
    left = {name: text for name, text in {**(fields or {}), **changes}.items() if text}
    return f"{path}?{urlencode(left)}" if left else path


def render(name: str, visitor: Visitor, page: str, **values: Any) -> str:
    """Write the template *name* for *visitor*; *page* is its place in the navigation."""
    language = language_of(visitor.languages)
    texts = TEXTS[language]

    def t(key: str, **fields: object) -> str:
        return texts[key].format(**fields) if fields else texts[key]

    places = [(word, path) for word, path, scope in NAVIGATION if visitor.caller.may(scope)]  # type: ignore[arg-type]
    text: str = (
        _environment()
        .get_template(name)
        .render(t=t, language=language, navigation=places, page=page, caller=visitor.caller, **values)
    )
    return text


def render_refusal(refusal: Refusal, visitor: Visitor) -> str:
    """Write the page that says what is wrong with a request."""
    fault = refusal.fault.reason if refusal.fault else ""
    return render("refusal.html", visitor, "", detail=DETAILS.get(refusal.status, ""), fault=fault)


def show(name: str, visitor: Visitor, page: str, **values: Any) -> Html:
    """Give the page that the template *name* makes."""
    return Html(render(name, visitor, page, **values))

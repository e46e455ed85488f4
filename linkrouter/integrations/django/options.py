"""The setting `LINKROUTER` of a Django project.

Promise: what is missing, unknown or wrong is said as `ImproperlyConfigured` with the name of the setting, before any
mail is sent; what is said holds no secret.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from linkrouter.encoder import Mode, VisibleUrls
from linkrouter.encoder.arguments import checked_domains, checked_origin, checked_word
from linkrouter.link.codec import MAX_TENANT

__all__ = ["GateSetting", "SenderOptions", "is_option", "read_options"]

GateSetting = Literal["refuse", "warn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderOptions:
    """What one mailer is told; each field is a key of `LINKROUTER` in capitals."""

    base_url: str
    keys: Path
    backend: str | None = None
    central_url: str | None = None
    central_token_file: Path | None = None
    spool: Path | None = None
    tenant: int = 0
    mode: Mode = "html-and-text"
    count_only: bool = False
    visible_urls: VisibleUrls = "track"
    excluded_domains: frozenset[str] = frozenset()
    track_unsubscribe: bool = False
    trap_link: bool = False
    gate: GateSetting | None = None
    check: tuple[tuple[str, str], ...] = ()
    mounted_secrets: bool = False


_REQUIRED = ("BASE_URL", "KEYS")


def is_option(name: str) -> bool:
    """Say whether *name*, in small letters, is a field of `SenderOptions`."""
    return name.upper() in _PARSERS


def read_options(overrides: Mapping[str, Any] | None = None) -> SenderOptions:
    """Read `LINKROUTER`, and what one mailer says otherwise: *overrides*, by names in small letters.

    Raises:
        ImproperlyConfigured: a setting is missing, unknown or wrong.
    """
    given = getattr(settings, "LINKROUTER", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured("LINKROUTER must be a dict")
    _refuse_unknown(given)
    values = {**given, **{name.upper(): value for name, value in (overrides or {}).items()}}
    for name in _REQUIRED:
        if not values.get(name):
            raise ImproperlyConfigured(f"LINKROUTER[{name!r}] is missing")
    parsed = {name.lower(): _parse(name, value) for name, value in values.items() if value is not None}
    return _with_spool(SenderOptions(**parsed))


def _refuse_unknown(names: Collection[object]) -> None:
    for name in names:
        if name not in _PARSERS:
            nearest = difflib.get_close_matches(str(name).upper()[:80], _PARSERS, n=1)
            cure = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ImproperlyConfigured(f"LINKROUTER has an unknown key {str(name)[:80]!r}{cure}")


def _parse(name: str, value: Any) -> Any:
    try:
        return _PARSERS[name](value)
    except ValueError as exc:
        raise ImproperlyConfigured(f"LINKROUTER[{name!r}]: {exc}") from None


def _with_spool(options: SenderOptions) -> SenderOptions:
    if (options.central_url is None) != (options.central_token_file is None):
        missing = "CENTRAL_URL" if options.central_url is None else "CENTRAL_TOKEN_FILE"
        raise ImproperlyConfigured(f"LINKROUTER[{missing!r}] is missing: central's address and a token go together")
    if options.central_url is None or options.spool is not None:
        return options
    if not getattr(settings, "BASE_DIR", None):
        raise ImproperlyConfigured("LINKROUTER['SPOOL'] is missing: a folder for what central has not heard of yet")
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return SenderOptions(**values | {"spool": Path(settings.BASE_DIR) / "linkrouter-spool"})


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("must be the path of a file or folder")
    return Path(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be True or False")
    return value


def _tenant(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_TENANT:
        raise ValueError(f"must be a whole number from 0 to {MAX_TENANT}")
    return value


def _central_url(value: Any) -> str:
    parts = urlsplit(_text(value))  # raises ValueError, too
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http(s) URL, such as https://central.example.com")
    if parts.username is not None:
        raise ValueError("must not hold a name or password; the token stands in CENTRAL_TOKEN_FILE")
    return str(value)


def _word_of(name: str, words: object) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        checked_word(name, words, value)
        return value

    return parse


def _domains(value: Any) -> frozenset[str]:
    if not isinstance(value, Collection) or not all(isinstance(domain, str) for domain in value):
        raise ValueError("must be a list of domains")
    return checked_domains(value)


def _check(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a dict with the options of 'linkrouter check', such as {'cache': 'checks.db'}")
    return tuple(sorted((str(name), _option_text(option)) for name, option in value.items()))


def _option_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return ("off", "on")[value] if isinstance(value, bool) else str(value)


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "BASE_URL": lambda value: checked_origin(_text(value)),
    "KEYS": _path,
    "BACKEND": _text,
    "CENTRAL_URL": _central_url,
    "CENTRAL_TOKEN_FILE": _path,
    "SPOOL": _path,
    "TENANT": _tenant,
    "MODE": _word_of("it", Mode),
    "COUNT_ONLY": _switch,
    "VISIBLE_URLS": _word_of("it", VisibleUrls),
    "EXCLUDED_DOMAINS": _domains,
    "TRACK_UNSUBSCRIBE": _switch,
    "TRAP_LINK": _switch,
    "GATE": _word_of("it", GateSetting),
    "CHECK": _check,
    "MOUNTED_SECRETS": _switch,
}
assert set(_PARSERS) == {field.name.upper() for field in fields(SenderOptions)}

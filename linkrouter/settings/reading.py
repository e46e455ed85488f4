"""How settings are read: an option wins over the environment, that over the file, that over the default.

Promise: an unknown or malformed setting is one line that names it and says the cure.
"""

import os
import re
import socket
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from linkrouter.errors import SettingsError
from linkrouter.settings.central import CentralSettings, DatabaseSettings, InsightSettings
from linkrouter.settings.check import CheckCommandSettings, CheckSettings
from linkrouter.settings.router import RouterSettings
from linkrouter.settings.sending import EncoderSettings, RelaySettings

__all__ = ["PREFIX", "Settings", "default_router_id", "find_upwards", "read_settings"]

PREFIX = "LINKROUTER_"

PROCESSES = (
    RouterSettings,
    CentralSettings,
    CheckCommandSettings,
    RelaySettings,
    EncoderSettings,
)  # one environment may hold the settings of all of them
# What Kubernetes and Docker put into the environment for a service whose name begins with "linkrouter".
_SERVICE = re.compile(r"LINKROUTER_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_[A-Z]+(?:_\w+)?)?|NAME)")

Settings = TypeVar(
    "Settings",
    DatabaseSettings,
    InsightSettings,
    RouterSettings,
    CentralSettings,
    CheckSettings,
    CheckCommandSettings,
    RelaySettings,
    EncoderSettings,
)


def read_settings(
    cls: type[Settings],
    options: Mapping[str, str | None],
    environ: Mapping[str, str] = os.environ,
    config_file: Path | None = None,
) -> Settings:
    """Give the settings of a process from *options*, then the environment, then *config_file* (TOML), then defaults.

    Variables of the environment that begin with `PREFIX` must be settings, of this process or of another.

    Raises:
        SettingsError: a setting is missing, malformed or unknown.
    """
    _refuse_unknown(environ)
    from_file = _read_config(cls, config_file) if config_file else {}
    values: dict[str, Any] = {}
    for setting in fields(cls):
        text = options.get(setting.name)
        if text is None:
            text = environ.get(PREFIX + setting.name.upper())
        if text is None:
            text = from_file.get(setting.name)
        if text is not None:
            values[setting.name] = _parse(setting, text)
        elif setting.default is MISSING:
            option = setting.name.replace("_", "-")
            raise SettingsError(f"{setting.name.upper()} is not set; give --{option} or {PREFIX}{setting.name.upper()}")
    return cls(**values)


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {setting.name.upper() for process in PROCESSES for setting in fields(process)}
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if name != variable and name not in known and not _SERVICE.fullmatch(variable):
            nearest = _find_nearest(name.upper(), known)
            cure = f"did you mean {PREFIX}{nearest}?" if nearest else "remove it from the environment"
            raise SettingsError(f"{variable[:80]!r} is not a setting of any linkrouter process; {cure}")


def _find_nearest(name: str, known: Collection[str]) -> str | None:
    nearest = get_close_matches(name[:80], sorted(known), n=1)
    return nearest[0] if nearest else None


def _parse(setting: "Field[Any]", text: str) -> Any:
    if text == "" and setting.default in ("", None):
        return setting.default
    try:
        return setting.metadata["parse"](text)
    except ValueError as exc:
        raise SettingsError(f"{setting.name.upper()} {exc}") from None


def _read_config(cls: type[Any], path: Path) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as exc:
        raise SettingsError(f"config file {str(path)!r} cannot be read ({exc.strerror})") from exc
    except (ValueError, RecursionError) as exc:
        # Besides TOMLDecodeError: bytes that are not UTF-8, a number of thousands of digits, lists in lists in lists.
        raise SettingsError(f"config file {str(path)!r} is not TOML, or has a value that no setting has") from exc
    known = {setting.name: setting for setting in fields(cls)}
    if issubclass(cls, CheckCommandSettings):  # one linkrouter.toml may be meant for more than the check
        document |= document.pop("check", {})
        document = {name.replace("-", "_"): value for name, value in document.items()}
    found: dict[str, str] = {}
    for name, value in document.items():
        if name not in known:
            nearest = _find_nearest(name.lower(), known)
            cure = f"; did you mean {nearest}?" if nearest else ""
            raise SettingsError(f"config file {str(path)!r} has an unknown setting {name[:80]!r}{cure}")
        separator = known[name].metadata["separator"]
        items = value if isinstance(value, list) and separator else [value]
        if not all(isinstance(item, str | int | float) and not _is_huge(item) for item in items):
            raise SettingsError(f"config file {str(path)!r}: {name} must be text, a number or true or false")
        found[name] = separator.join(map(str, items))
    return found


def _is_huge(value: str | float) -> bool:
    return isinstance(value, int) and value.bit_length() > 64


def find_upwards(name: str, start: Path) -> Path | None:
    """Give the file *name* in the folder *start* or the nearest above it, or None."""
    return next((found for folder in (start, *start.parents) if (found := folder / name).is_file()), None)


def default_router_id() -> str:
    """Give this machine's name, cut to what a router id may hold."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "router"

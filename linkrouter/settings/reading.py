"""How settings are read: an option wins over the environment, that over the file, that over the default.

Promise: an unknown or malformed setting is one line that names it and says the cure.
"""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar

from linkrouter.errors import SettingsError
from linkrouter.settings.central import CentralSettings
from linkrouter.settings.check import CheckSettings
from linkrouter.settings.router import RouterSettings

__all__ = ["PREFIX", "default_router_id", "read_settings"]

PREFIX = "LINKROUTER_"

Settings = TypeVar("Settings", RouterSettings, CentralSettings, CheckSettings)


def read_settings(
    cls: type[Settings],
    options: Mapping[str, str | None],
    environ: Mapping[str, str] = os.environ,
    config_file: Path | None = None,
) -> Settings:
    """Give the settings of a process from *options*, then the environment, then *config_file* (TOML), then defaults.

    Raises:
        SettingsError: a setting is missing, malformed or unknown.
    """
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
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(f"config file {str(path)!r} is not TOML") from exc
    known = {setting.name for setting in fields(cls)}
    for name, value in document.items():
        if name not in known:
            raise SettingsError(f"config file {str(path)!r} has an unknown setting {name!r}")
        if not isinstance(value, str | int | bool):
            raise SettingsError(f"config file {str(path)!r}: {name} must be text, a number or true or false")
    return {name: str(value) for name, value in document.items()}


def default_router_id() -> str:
    """Give this machine's name, cut to what a router id may hold."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "router"

"""Command-line options made from settings, so that an option, a variable and a line of a file are one thing."""

from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from linkrouter.settings import PREFIX, Settings, read_settings

__all__ = ["settings_from", "with_settings"]

Command = TypeVar("Command", bound=Callable[..., Any])


def with_settings(cls: type[Any]) -> Callable[[Command], Command]:
    """Give a command one option for each setting of *cls*, and `--config`."""

    def decorate(command: Command) -> Command:
        own_first = sorted(fields(cls), key=lambda setting: setting.name not in cls.__annotations__)
        for setting in reversed(own_first):
            option = "--" + setting.name.replace("_", "-")
            help_text = f"{setting.metadata['help']} [{PREFIX}{setting.name.upper()}; {_default(setting.default)}]"
            command = click.option(option, setting.name, metavar="TEXT", help=help_text)(command)
        help_text = "Read settings from this TOML file."
        return click.option("--config", "config_file", type=click.Path(path_type=Path), help=help_text)(command)

    return decorate


def settings_from(cls: type[Settings], options: dict[str, Any]) -> Settings:
    """Read the settings of a process: options, environment, file, defaults, in that order.

    Raises:
        SettingsError: see `read_settings`.
    """
    return read_settings(cls, options, config_file=options.pop("config_file", None))


def _default(value: Any) -> str:
    if value is MISSING:
        return "required"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value) or "none"
    return str(value) if value not in ("", None) else "none"

"""Command-line options made from settings, so that an option, a variable and a line of a file are one thing."""

from collections.abc import Callable, Coroutine
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from linkrouter.settings import PREFIX, Settings, is_journal, read_settings

__all__ = ["metavar_of", "run_service", "settings_from", "with_settings"]

_METAVARS = {
    "parse_address": "HOST:PORT",
    "parse_choice": "WORD",
    "parse_choices": "LIST",
    "parse_delay": "SECONDS",
    "parse_format": "FORMAT",
    "parse_http_url": "URL",
    "parse_networks": "NETWORK",
    "parse_number": "NUMBER",
    "parse_paths": "FILES",
    "parse_patterns": "REGEX",
    "parse_reputations": "LIST",
    "parse_ring_size": "BYTES",
    "parse_seconds": "SECONDS",
    "parse_size": "BYTES",
    "parse_statuses": "STATUSES",
    "parse_switch": "on|off",
    "parse_webrisk_api": "update|lookup",
    "parse_word": "WORD",
    "parse_zone": "ZONE",
}

Command = TypeVar("Command", bound=Callable[..., Any])
_Result = TypeVar("_Result")


def with_settings(cls: type[Any]) -> Callable[[Command], Command]:
    """Give a command one option for each setting of *cls*, and `--config`."""

    def decorate(command: Command) -> Command:
        own_first = sorted(fields(cls), key=lambda setting: setting.name not in cls.__annotations__)
        for setting in reversed(own_first):
            option = "--" + setting.name.replace("_", "-")
            help_text = f"{setting.metadata['help']} [{PREFIX}{setting.name.upper()}; {_default(setting.default)}]"
            command = click.option(option, setting.name, metavar=metavar_of(setting), help=help_text)(command)
        help_text = "Read settings from this TOML file."
        return click.option("--config", "config_file", type=click.Path(path_type=Path), help=help_text)(command)

    return decorate


def settings_from(cls: type[Settings], options: dict[str, Any]) -> Settings:
    """Read the settings of a process: options, environment, file, defaults, in that order.

    Raises:
        SettingsError: see `read_settings`.
    """
    return read_settings(cls, options, config_file=options.pop("config_file", None))


def run_service(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a service to its end, with its log on standard error."""
    import faulthandler

    import uvloop

    from linkrouter.log import start_logging

    start_logging(journal=is_journal())
    faulthandler.enable()  # a watchdog's SIGABRT leaves in the log where the process stood: places in files, no values
    return uvloop.run(main)


def metavar_of(setting: "Field[Any]") -> str:
    """Give what stands for the value of *setting* in the help."""
    parse = setting.metadata["parse"]
    if parse is Path:
        return "FILE"
    return _METAVARS.get(getattr(parse, "__qualname__", "").partition(".")[0], "TEXT")


def _default(value: Any) -> str:
    if value is MISSING:
        return "required"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value) or "none"
    return str(value) if value not in ("", None) else "none"

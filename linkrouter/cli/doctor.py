"""`linkrouter doctor`: what is wrong here, each finding with its cure."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from linkrouter.cli.options import settings_from, with_settings
from linkrouter.doctor.finding import Finding, finding_of
from linkrouter.doctor.machine import InstalledPlaces, examine_machine
from linkrouter.doctor.services import examine_central, examine_router
from linkrouter.errors import SettingsError
from linkrouter.settings import CentralSettings, RouterSettings

__all__ = ["doctor"]

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


def _place(name: str) -> Callable[[Any], Any]:
    path = getattr(InstalledPlaces(), name)
    return click.option(f"--{name}", type=click.Path(path_type=Path), default=path, show_default=True)


@click.group()
def doctor() -> None:
    """Look for what is wrong, and say the cure of each finding; changes nothing. Exit 0 well, 1 findings, 2 usage.

    Run it as root, or as the service's user, who can read the files.
    """


@doctor.command("router")
@with_settings(RouterSettings)
@_JSON
def examine_one_router(as_json: bool, **options: Any) -> int:
    """Look at a router by the settings that it has: files, modes, disk, ports, limits, clock, and central."""
    return _tell("router", _examined(RouterSettings, options, examine_router), as_json)


@doctor.command("central")
@with_settings(CentralSettings)
@_JSON
def examine_one_central(as_json: bool, **options: Any) -> int:
    """Look at central by the settings that it has: files, modes, disk, database, ports and limits."""
    return _tell("central", _examined(CentralSettings, options, examine_central), as_json)


@doctor.command("machine")
@_place("settings")
@_place("haproxy")
@_place("spool")
@_place("backups")
@_JSON
def examine_this_machine(as_json: bool, **places: Path) -> int:
    """Look at a machine that deploy/install.sh set up: all its routers, central, HAProxy's names and certificates."""
    return _tell("machine", examine_machine(InstalledPlaces(**places)), as_json)


def _examined(cls: type[Any], options: dict[str, Any], examine: Callable[[Any], list[Finding]]) -> list[Finding]:
    try:
        return examine(settings_from(cls, options))
    except SettingsError as exc:
        return [finding_of("settings", exc)]


def _tell(what: str, findings: list[Finding], as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"examined": what, "findings": [found._asdict() for found in findings]}))
    elif findings:
        click.echo("\n".join(map(str, findings)))
    else:
        click.echo(f"{what}: nothing is wrong", err=True)
    return 1 if findings else 0

"""`linkrouter keys`: make, rotate and list keyring files."""

import json
from pathlib import Path

import click

from linkrouter.link.keyring import Keyring

__all__ = ["keys"]

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def keys() -> None:
    """Make, rotate and list keyrings."""


@keys.command()
@_FILE
def create(file: Path) -> None:
    """Make a keyring with one fresh key, mode 0600; an existing FILE is left alone."""
    Keyring.create().save(file, replace_existing=False)
    click.echo(f"{file}: key 1 signs", err=True)


@keys.command()
@_FILE
def rotate(file: Path) -> None:
    """Sign with a fresh key and go on verifying the old ones; then send routers a SIGHUP.

    Routers must know a key before links are signed with it: give the file to the routers first, then to the senders.
    """
    ring = Keyring.load(file).rotate()
    ring.save(file)
    signing = next(key.id for key in ring.keys if key.state == "sign")
    click.echo(f"{file}: key {signing} signs", err=True)


@keys.command("list")
@_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(file: Path, as_json: bool) -> None:
    """Show the keys' ids and states, never their secrets."""
    rows = [{"id": key.id, "state": key.state} for key in Keyring.load(file).keys]
    if as_json:
        click.echo(json.dumps({"keys": rows}))
        return
    for row in rows:
        click.echo(f"{row['id']:>2}  {row['state']}")

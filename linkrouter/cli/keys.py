"""`linkrouter keys`: make, rotate, revoke and list keyring files."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from linkrouter.errors import KeyringError
from linkrouter.link.codec import MAX_TENANT
from linkrouter.link.keyfile import Key, change_keyring_file, parse_keyring, read_keyring_file
from linkrouter.link.keyring import Keyring
from linkrouter.link.rotation import add_key, fingerprint_of, remove_key, revoke_key, sign_with

__all__ = ["keys"]

_FILE = click.argument("file", type=click.Path(path_type=Path))
_ID = click.argument("key_id", metavar="ID", type=int)
RELOAD = "then have every router read it: 'linkrouter-deploy reload', or SIGHUP"


@click.group()
def keys() -> None:
    """Make, rotate, revoke and list keyrings."""


@keys.command()
@_FILE
def create(file: Path) -> None:
    """Make a keyring with one fresh key, mode 0600; an existing FILE is left alone."""
    Keyring.create().save(file, replace_existing=False)
    click.echo(f"{file}: key 1 signs", err=True)


@keys.command()
@_FILE
def rotate(file: Path) -> None:
    """Sign with a fresh key and go on verifying the old ones: `add` and `sign` at once, for a single machine.

    Routers must know a key before links are signed with it: give the file to the routers first, then to the senders.
    With several machines, 'linkrouter-deploy rotate' does that.
    """

    def change(ring: list[Key]) -> list[Key]:
        grown, new_id = add_key(ring)
        return sign_with(grown, new_id)

    ring = _change(file, change)
    signing = next(key.id for key in ring if key.state == "sign")
    click.echo(f"{file}: key {signing} signs; {RELOAD}", err=True)


@keys.command()
@_FILE
def add(file: Path) -> None:
    """Add a fresh key that verifies and does not sign yet; its id goes to standard output."""
    added: list[int] = []

    def change(ring: list[Key]) -> list[Key]:
        grown, new_id = add_key(ring)
        added.append(new_id)
        return grown

    _change(file, change)
    click.echo(added[0])
    click.echo(f"{file}: key {added[0]} verifies; {RELOAD}; only then 'linkrouter keys sign'", err=True)


@keys.command()
@_FILE
@_ID
def sign(file: Path, key_id: int) -> None:
    """Sign with key ID, which all routers must know by now, and go on verifying the one that signed."""
    _change(file, lambda ring: sign_with(ring, key_id))
    click.echo(f"{file}: key {key_id} signs; {RELOAD}", err=True)


@keys.command()
@_FILE
@_ID
def revoke(file: Path, key_id: int) -> None:
    """Make every link of key ID a 404. For a key that leaked; the signing key is replaced first (see rotate)."""
    _change(file, lambda ring: revoke_key(ring, key_id))
    click.echo(f"{file}: key {key_id} is revoked; {RELOAD}", err=True)


@keys.command()
@_FILE
@_ID
def remove(file: Path, key_id: int) -> None:
    """Remove the revoked key ID, to have room for another: a keyring holds fifteen."""
    _change(file, lambda ring: remove_key(ring, key_id))
    click.echo(f"{file}: key {key_id} is removed; {RELOAD}", err=True)


@keys.command()
@_FILE
def receive(file: Path) -> None:
    """Replace FILE by the keyring at standard input, all of it or nothing; what is no keyring changes nothing."""
    ring = Keyring(parse_keyring(sys.stdin.buffer.read(), "at standard input"))
    if file.exists():
        _change(file, lambda _: list(ring.keys))
    else:
        ring.save(file, replace_existing=False)
    click.echo(f"{file}: {ring.summary}", err=True)


@keys.command()
@_FILE
@click.argument("host")
@click.option("--key", "key_id", type=int, help="Sign with this key instead of the one that signs.")
@click.option("--tenant", type=click.IntRange(0, MAX_TENANT), default=0, help="Whose link it is.")
def canary(file: Path, host: str, key_id: int | None, tenant: int) -> None:
    """Make a link by which HOST's routers are tested: the link, a space, and where it leads."""
    destination = "https://example.com/canary"
    path = Keyring(_read(file)).sign(destination, key_id=key_id, tenant=tenant)
    click.echo(f"https://{host}{path} {destination}")


@keys.command("list")
@_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(file: Path, as_json: bool) -> None:
    """Show the keys' ids, states and fingerprints, never their secrets."""
    rows = [{"id": key.id, "state": key.state, "fingerprint": fingerprint_of(key)} for key in _read(file)]
    if as_json:
        click.echo(json.dumps({"keys": rows}))
        return
    for row in rows:
        click.echo(f"{row['id']:>2}  {row['state']:7}  {row['fingerprint']}")


def _read(file: Path) -> list[Key]:
    return sorted(read_keyring_file(os.fspath(file)), key=lambda key: key.id)


def _change(file: Path, change: Callable[[list[Key]], list[Key]]) -> list[Key]:
    try:
        return change_keyring_file(os.fspath(file), change)
    except KeyringError as exc:
        # What a change says of the keys does not name the file.
        raise exc if str(file) in str(exc) else KeyringError(f"keyring {str(file)!r}: {exc}") from exc

"""`linkrouter tokens`: add, list and revoke API tokens."""

import hashlib
import json
import secrets
from pathlib import Path

import click

from linkrouter.errors import SettingsError
from linkrouter.settings import TokenLine, add_token_line, read_tokens, remove_token_lines
from linkrouter.web.tokens import SCOPES

__all__ = ["tokens"]

_FILE = click.argument("file", type=click.Path(path_type=Path))
AFTERWARDS = "send central a SIGHUP, and it counts"


@click.group()
def tokens() -> None:
    """Add, list and revoke tokens of the ingest and API token files."""


@tokens.command("add")
@_FILE
@click.option("--scopes", metavar="WORD,WORD", required=True, help=f"What it may do: {', '.join(SCOPES)}.")
@click.option("--tenant", type=click.IntRange(0, 2**53), help="The one tenant whose data it sees; all without it.")
@click.option("--name", metavar="WORD", default="", help="Whose it is: letters, digits, dots, hyphens, underscores.")
def add_token(file: Path, scopes: str, tenant: int | None, name: str) -> None:
    """Add a fresh token to FILE, mode 0600, and print it: it cannot be shown again."""
    wanted = tuple(dict.fromkeys(word for word in scopes.split(",") if word))
    unknown = sorted(set(wanted).difference(SCOPES))
    if unknown or not wanted:
        raise click.UsageError(f"--scopes must be some of {', '.join(SCOPES)}, with commas between")
    line = TokenLine(secrets.token_urlsafe(32), wanted, tenant, name)
    add_token_line(file, line)
    click.echo(line.token)
    click.echo(f"{file}: token {_id(line)} added; {AFTERWARDS}", err=True)


@tokens.command("list")
@_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_tokens(file: Path, as_json: bool) -> None:
    """Show id, name, tenant and scopes of each token, never the token itself."""
    found = [
        {"id": _id(line), "name": line.name or None, "tenant": line.tenant, "scopes": list(line.scopes) or None}
        for line in read_tokens(file, "FILE")
    ]
    if as_json:
        click.echo(json.dumps({"tokens": found}))
        return
    for one in found:
        tenant = "every tenant" if one["tenant"] is None else f"tenant {one['tenant']}"
        scopes = ",".join(one["scopes"]) if isinstance(one["scopes"], list) else "what its file is for"
        click.echo(f"{one['id']}  {one['name'] or '-'}  {tenant}  {scopes}")


@tokens.command("revoke")
@_FILE
@click.argument("token")
def revoke_token(file: Path, token: str) -> None:
    """Take the token of this id or name out of FILE; see 'linkrouter tokens list FILE'."""
    gone = [line for line in read_tokens(file, "FILE") if token in (_id(line), line.name)]
    if not gone:
        raise SettingsError(f"TOKEN: {str(file)!r} has no token of this id or name; see 'linkrouter tokens list'")
    remove_token_lines(file, gone)
    click.echo(f"{file}: {len(gone)} revoked; {AFTERWARDS}", err=True)


def _id(line: TokenLine) -> str:
    """Give what a token is called by where it must not be shown."""
    return hashlib.sha256(line.token.encode()).hexdigest()[:8]

"""`linkrouter decode`: what a tracked link says, and whether it is genuine."""

import json
import re
import sys
from pathlib import Path

import click

from linkrouter.errors import BadLink
from linkrouter.link.codec import encode_base64url
from linkrouter.link.keyring import Keyring

__all__ = ["decode"]


@click.command()
@click.argument("url")
@click.option("--keys", required=True, type=click.Path(path_type=Path), help="Keyring file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def decode(url: str, keys: Path, as_json: bool) -> None:
    """Say what the tracked link URL holds. Exit 1 when it is not genuine."""
    ring = Keyring.load(keys)
    path = re.sub(r"\Ahttps?://[^/?#]*", "", url).partition("?")[0].partition("#")[0]
    try:
        link = ring.verify(path)
    except BadLink as exc:
        if as_json:
            click.echo(json.dumps({"genuine": False, "reason": str(exc)}))
        else:
            click.echo(f"not a genuine link: {exc}", err=True)
        sys.exit(1)
    fields = {
        "genuine": True,
        "destination": link.destination,
        "link_id": encode_base64url(link.link_id),
        "part": link.part,
        "count_only": link.count_only,
        "tenant": link.tenant,
        "key_id": link.key_id,
    }
    if as_json:
        click.echo(json.dumps(fields))
        return
    for name, value in fields.items():
        click.echo(f"{name:<12} {value}")

"""`linkrouter spool`: look into a click store."""

import asyncio
import json
import time

import click

__all__ = ["spool"]


@click.group()
def spool() -> None:
    """Look into a click store."""


@spool.command("status")
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def _status(url: str, as_json: bool) -> None:
    """Show what waits in the store at URL, how old it is, and how many clicks central refused. Changes nothing."""
    from linkrouter.clicks import open_click_store

    seen = asyncio.run(open_click_store(url).status())
    age_s = None if seen.oldest_at is None else round(time.time() - seen.oldest_at / 1e6, 3)
    fields = {
        "pending": seen.pending,
        "oldest_seconds": age_s,
        "bytes": seen.bytes,
        "dead_letters": seen.dead_letters,
        "quarantined_segments": seen.quarantined,
        "lost": sum(seen.lost.values()),
    }
    if as_json:
        click.echo(json.dumps(fields))
        return
    for name, value in fields.items():
        click.echo(f"{name.replace('_', ' '):<22} {'-' if value is None else value}")

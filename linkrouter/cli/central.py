"""`linkrouter central`: the ingest API, the statistics, the checks and the pages, and what is done with its store."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import click

from linkrouter.cli.options import run_service, settings_from, with_settings
from linkrouter.settings import CentralSettings, InsightSettings

__all__ = ["central"]


@click.group(invoke_without_command=True, subcommand_metavar="[COMMAND]")
@with_settings(CentralSettings)
@click.pass_context
def central(context: click.Context, /, **options: Any) -> None:
    """Take clicks from routers and messages from senders, answer questions about them, and check mails.

    SIGTERM stops gracefully; SIGHUP reads the token files again.
    """
    if context.invoked_subcommand is not None:
        return
    from linkrouter.processes.central import run_central

    run_service(run_central(settings_from(CentralSettings, options)))


@central.command("relabel")
@with_settings(InsightSettings)
@click.option("--since", metavar="TIME", help="Only clicks from this time on, such as 2026-11-21 or 2026-11-21T17:33Z.")
def relabel_clicks(since: str | None, **options: Any) -> None:
    """Label stored clicks again, by the rules and the tables of today, while central serves.

    Figures follow at once. Clicks whose address and agent were taken away keep the label they have.
    """
    from linkrouter.processes.relabelling import relabel_store

    settings = settings_from(InsightSettings, options)
    since_us = 0 if since is None else _time_us(since)
    labelled = asyncio.run(relabel_store(settings, since_us, _tell))
    click.echo(f"labelled again up to click {labelled}", err=True)


def _time_us(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError("--since must be a date or a time, such as 2026-11-21T17:33Z") from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _tell(seq: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\rclick {seq}", nl=False, err=True)

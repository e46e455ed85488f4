"""`linkrouter central`: the ingest API, the statistics, the checks and the pages, and what is done with its store."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from linkrouter.cli.options import run_service, settings_from, with_settings
from linkrouter.settings import CentralSettings, DatabaseSettings, InsightSettings

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


@central.command("migrate-store")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def migrate_store(source: str, target: str) -> None:
    """Copy all that is in the store FROM to the store TO, which is new: two URLs as DATABASE has them.

    Stop central first. A copy that was stopped goes on where it was when the same command is given again. At the end
    the rows of both are counted: exit 1 where they differ, as when something was written meanwhile.
    """
    from linkrouter.processes.moving import move_store

    counts = asyncio.run(move_store(source, target, _tell_rows))
    for table, there, here in counts:
        click.echo(f"{table} {there} {here}")
    if any(there != here for _, there, here in counts):
        click.echo("the stores differ: give the command again, with central stopped", err=True)
        sys.exit(1)


@central.command("backup")
@with_settings(DatabaseSettings)
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace FILE if it is there.")
@click.option("--keep-days", type=click.IntRange(1, 36_500), help="FILE is a directory: remove older backups from it.")
def back_up_database(target: Path, replace: bool, keep_days: int | None, **options: Any) -> None:
    """Copy the database to FILE while central serves.

    FILE may be a directory, such as one of daily backups: the file in it is named by the time.
    """
    from linkrouter.central.store.sqlite.backup import back_up, database_file, drop_old_backups, name_of_backup

    database = database_file(settings_from(DatabaseSettings, options).database)
    if keep_days is not None and not target.is_dir():
        raise click.UsageError("--keep-days needs a directory that is there")
    now = datetime.now(UTC)
    file = target / name_of_backup(now) if target.is_dir() else target
    back_up(database, file, replace_existing=replace)
    click.echo(f"{file}: {file.stat().st_size:,} bytes", err=True)
    if keep_days is not None:
        for old in drop_old_backups(target, keep_days, now):
            click.echo(f"{old}: removed, older than {keep_days} days", err=True)


@central.command("restore")
@with_settings(DatabaseSettings)
@click.argument("backup", metavar="FILE", type=click.Path(path_type=Path))
def restore_database(backup: Path, **options: Any) -> None:
    """Make the backup FILE the database, while no central runs; the one that was there is kept beside it."""
    from linkrouter.central.store.sqlite.backup import database_file, restore

    database = database_file(settings_from(DatabaseSettings, options).database)
    before = restore(database, backup)
    kept = f"; what was there is {before} now" if before else ""
    click.echo(f"{database}: restored from {backup}{kept}", err=True)


def _time_us(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError("--since must be a date or a time, such as 2026-11-21T17:33Z") from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _tell_rows(table: str, rows: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{table} {rows}", nl=False, err=True)


def _tell(seq: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\rclick {seq}", nl=False, err=True)

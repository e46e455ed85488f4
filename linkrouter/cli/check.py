"""`linkrouter check`: look at every link of a mail before it is sent."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from linkrouter.settings import PREFIX, CheckSettings, read_settings

if TYPE_CHECKING:
    from linkrouter.checker.gate import Decision
    from linkrouter.checker.mail.extract import LinkToCheck
    from linkrouter.checker.verdict import LinkReport
    from linkrouter.encoder import ContentKind

__all__ = ["FILE_TYPES", "LINES_OF_PROGRESS", "REPEATABLE", "check"]

REPEATABLE = ("allow_network", "reputation")
FILE_TYPES: dict[str, "ContentKind"] = {
    "eml": "message",
    "html": "html",
    "text": "text",
}
LINES_OF_PROGRESS = 10


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for setting in reversed(fields(CheckSettings)):
        option = "--" + setting.name.replace("_", "-")
        help_text = f"{setting.metadata['help']} [{PREFIX}{setting.name.upper()}]"
        many = setting.name in REPEATABLE
        command = click.option(option, setting.name, metavar="TEXT", multiple=many, help=help_text)(command)
    return command


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--type", "content_type", type=click.Choice(list(FILE_TYPES)), help="Guessed when not given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--junit", "as_junit", is_flag=True, help="JUnit XML.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Read settings from this TOML file.")
@_with_options
def check(
    file: BinaryIO,
    content_type: str | None,
    as_json: bool,
    as_junit: bool,
    config_file: Path | None,
    **options: Any,
) -> None:
    """Check every link of the mail in FILE, or on standard input, before it is sent.

    Exit 0 when all are fine, 1 when one is broken, flagged or malformed, 3 when something could not be told.
    """
    from linkrouter.checker.formats import exit_code, result_json, result_junit, result_lines
    from linkrouter.checker.mail.extract import extract
    from linkrouter.cli.encode import guess_type

    if as_json and as_junit:
        raise click.UsageError("choose one of --json and --junit")
    texts = {name: (",".join(value) or None) if name in REPEATABLE else value for name, value in options.items()}
    settings = read_settings(CheckSettings, texts, config_file=config_file)
    raw = file.read()
    links = extract(raw, FILE_TYPES[content_type or guess_type(raw)], local=bool(settings.allow_network))
    reports, decision = _run(settings, links)
    if as_json:
        click.echo(json.dumps(result_json(reports, decision)))
    elif as_junit:
        click.echo(result_junit(reports), nl=False)
    else:
        click.echo("\n".join(result_lines(reports, decision)))
    sys.exit(exit_code(reports, decision))


def _run(settings: CheckSettings, links: "Sequence[LinkToCheck]") -> "tuple[list[LinkReport], Decision]":
    """Check *links*; the reports come back in the order of the mail."""
    import asyncio

    import uvloop

    from linkrouter.checker.compose import open_checker
    from linkrouter.log import quiet_exception_handler, start_logging

    start_logging()  # libraries quote links in what they log
    within_s = max(settings.total_timeout, settings.timeout)

    async def run() -> "tuple[list[LinkReport], Decision]":
        asyncio.get_running_loop().set_exception_handler(quiet_exception_handler)
        found = {}
        async with open_checker(settings) as checker:
            with _Progress(len(links)) as progress:
                async for report in checker.check(links, within_s=within_s):
                    found[report.url, report.places] = report
                    progress.step(report.complete)
            return [found[link.url, link.places] for link in links], await checker.gate(links)

    return uvloop.run(run())


class _Progress:
    """A bar on a terminal, a few lines otherwise; both on standard error."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._bar: Any = None

    def __enter__(self) -> "_Progress":
        if sys.stderr.isatty() and self._total:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("checking links", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, done: int) -> None:
        if not done:
            return
        self._done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        elif self._done * LINES_OF_PROGRESS // self._total > (self._done - 1) * LINES_OF_PROGRESS // self._total:
            click.echo(f"checked {self._done} of {self._total} links", err=True)

"""`linkrouter check`: look at every link of a mail before it is sent."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linkrouter.cli.check_inputs import FILE_TYPES, RawInput, expand_paths, read_inputs
from linkrouter.cli.options import metavar_of
from linkrouter.errors import KeyringError, SettingsError
from linkrouter.settings import PREFIX, CheckCommandSettings, find_upwards, read_settings, wants_colour

if TYPE_CHECKING:
    from linkrouter.checker.formats import CheckOutcome
    from linkrouter.checker.layouts import Mood
    from linkrouter.checker.mail.extract import LinkToCheck

__all__ = ["CONFIG_NAME", "IGNORE_NAME", "REPEATABLE", "SWITCHES", "check"]

CONFIG_NAME, IGNORE_NAME = "linkrouter.toml", ".linkrouterignore"
REPEATABLE = {"allow_network": ",", "reputation": ",", "exclude": "\n", "include": "\n"}  # what joins several
SWITCHES = ("images", "fragments", "require_links", "offline")
_COLOURS: "dict[Mood, dict[str, Any]]" = {
    "bad": {"fg": "red", "bold": True},
    "doubt": {"fg": "yellow"},
    "good": {"fg": "green"},
    "calm": {},
}


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for setting in reversed(fields(CheckCommandSettings)):
        option = "--" + setting.name.replace("_", "-")
        help_text = f"{setting.metadata['help']} [{PREFIX}{setting.name.upper()}]"
        if setting.name in SWITCHES:
            command = click.option(option, setting.name, flag_value="on", help=help_text)(command)
        else:
            many, metavar = setting.name in REPEATABLE, metavar_of(setting)
            command = click.option(option, setting.name, metavar=metavar, multiple=many, help=help_text)(command)
    return command


@click.command()
@click.argument("inputs", nargs=-1, metavar="[FILE|GLOB|URL|-]...")
@click.option("--type", "content_type", type=click.Choice(list(FILE_TYPES)), help="Guessed when not given.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one JSON object.")
@click.option("--junit", "as_junit", is_flag=True, help="The same as --format junit: JUnit XML.")
@click.option("--dump", is_flag=True, help="Print the links that would be checked, and check none.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help=f"Read settings from this TOML file, instead of a {CONFIG_NAME} in this folder or above.",
)
@_with_options
def check(
    inputs: tuple[str, ...],
    content_type: str | None,
    as_json: bool,
    as_junit: bool,
    dump: bool,
    config_file: Path | None,
    **options: Any,
) -> None:
    """Check every link of the given mails, or of standard input, before they are sent.

    An input is a message, HTML, text, Markdown, MJML, an RSS or Atom feed, or a list of URLs. A .linkrouterignore in
    this folder or above has a regular expression a line, for links to be left alone.

    Exit 0 when nothing that --fail-on names was found, 1 when it was, 2 for wrong usage or settings, 3 when something
    could not be told.
    """
    if as_json and as_junit:
        raise click.UsageError("choose one of --json and --junit")
    if as_json or as_junit:
        options["format"] = "json" if as_json else "junit"
    try:
        settings = _settings(options, config_file)
        raw = read_inputs(expand_paths(inputs), FILE_TYPES[content_type] if content_type else None, settings)
        links, counts = _links_of(raw, settings)
        if dump:
            _dump(links, settings)
            return
        outcome = _check(raw, counts, links, settings)
    except (SettingsError, KeyringError) as exc:
        click.echo(f"linkrouter: {exc}", err=True)
        sys.exit(2)
    _print(outcome, settings)
    sys.exit(_exit_code(outcome, settings))


def _settings(options: dict[str, Any], config_file: Path | None) -> CheckCommandSettings:
    texts = {
        name: (REPEATABLE[name].join(value) or None) if name in REPEATABLE else value for name, value in options.items()
    }
    settings = read_settings(
        CheckCommandSettings, texts, config_file=config_file or find_upwards(CONFIG_NAME, Path.cwd())
    )
    ignore_file = find_upwards(IGNORE_NAME, Path.cwd())
    if ignore_file is None:
        return settings
    try:
        lines = ignore_file.read_text("utf-8").splitlines()
        ignored = tuple(re.compile(line.strip()) for line in lines if line.strip() and not line.startswith("#"))
    except (OSError, UnicodeError) as exc:
        raise SettingsError(f"{IGNORE_NAME} cannot be read ({type(exc).__name__})") from exc
    except re.error as exc:
        raise SettingsError(f"{IGNORE_NAME} must have a regular expression a line ({exc.msg})") from exc
    return replace(settings, exclude=settings.exclude + ignored)


def _links_of(
    raw: Sequence[RawInput], settings: CheckCommandSettings
) -> "tuple[tuple[LinkToCheck, ...], list[tuple[int, int]]]":
    """Give the links of all inputs, and how many links and images each has."""
    from linkrouter.checker.choosing import choose_links
    from linkrouter.checker.mail.extract import extract, merge_links

    found = [
        extract(
            each.content,
            each.kind,
            local=bool(settings.allow_network),
            images=settings.images,
            fragments=settings.fragments,
            base=each.base,
            file="" if each.name == "-" else each.name,
        )
        for each in raw
    ]
    counts = [(sum(not link.is_image for link in links), sum(link.is_image for link in links)) for links in found]
    return choose_links(merge_links(found), settings.exclude, settings.include), counts


def _dump(links: "Sequence[LinkToCheck]", settings: CheckCommandSettings) -> None:
    wanted = [link for link in links if link.settled is None]
    if settings.format == "json":
        from linkrouter.checker.formats import place_json

        click.echo(json.dumps([{"url": link.url, "places": [*map(place_json, link.places)]} for link in wanted]))
    else:
        for link in wanted:
            click.echo(link.url)


def _check(
    raw: Sequence[RawInput],
    counts: Sequence[tuple[int, int]],
    links: "Sequence[LinkToCheck]",
    settings: CheckCommandSettings,
) -> "CheckOutcome":
    from linkrouter.checker.choosing import accepting, offline_result
    from linkrouter.checker.formats import CheckOutcome, InputRecord
    from linkrouter.cli.check_run import run_check

    reports, decision = offline_result(links) if settings.offline else run_check(settings, links)
    reports = [accepting(report, settings.accept) for report in reports]
    number = sum(not link.is_image for link in links)
    inputs = tuple(InputRecord(each.name, each.kind, *found) for each, found in zip(raw, counts, strict=True))
    return CheckOutcome(inputs, reports[:number], reports[number:], decision)


def _print(outcome: "CheckOutcome", settings: CheckCommandSettings) -> None:
    from linkrouter.checker.formats import result_json
    from linkrouter.checker.layouts import lines_for_people, result_github, result_junit, result_markdown

    for record in outcome.inputs:
        if record.links == 0 and settings.format != "text":
            click.echo(f"no link was found in {record.name!r}, which was read as {record.kind}", err=True)
    if settings.format == "json":
        click.echo(json.dumps(result_json(outcome)))
    elif settings.format == "junit":
        click.echo(result_junit(outcome), nl=False)
    elif settings.format == "markdown":
        click.echo(result_markdown(outcome), nl=False)
    elif settings.format == "github":
        click.echo(result_github(outcome, settings.fail_on), nl=False)
    else:
        coloured = wants_colour()
        for mood, line in lines_for_people(outcome):
            click.echo(click.style(line, **_COLOURS[mood]) if coloured else line)


def _exit_code(outcome: "CheckOutcome", settings: CheckCommandSettings) -> int:
    from linkrouter.checker.formats import exit_code

    if settings.require_links and any(record.links == 0 for record in outcome.inputs):
        return 1
    code = exit_code(outcome, settings.fail_on)  # type: ignore[arg-type]
    return 0 if settings.offline and code == 3 else code

#!/usr/bin/env python3
"""Write manual pages and shell completions into a folder such as /usr/local/share: `manual.py FOLDER`.

Promise: they say what --help says, for they are made of the commands themselves. It runs with the Python of the
installed program, whose `click` it uses.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from linkrouter.cli import cli

DEPLOY = Path(__file__).resolve().parents[1]
NOTE = "Settings can come from options, from the environment, or from a TOML file; in this order."


def escape(text: str) -> str:
    """Give *text* as roff prints it: no character is a command."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", text)


class Page:
    """One manual page, as lines of roff."""

    def __init__(self, name: str, section: int, summary: str) -> None:
        """Begin the page of *name*, which does *summary*."""
        moment = time.gmtime(float(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
        self.file = f"man{section}/{name}.{section}"
        title, date = escape(name.upper()), time.strftime("%Y-%m-%d", moment)
        self.lines = [f'.TH {title} {section} {date} "linkrouter {version("linkrouter")}" "linkrouter"']
        self.add("NAME", f"{escape(name)} \\- {escape(summary.rstrip('.'))}")

    def add(self, heading: str, *lines: str) -> None:
        """Add a section."""
        self.lines += [f".SH {heading}", *lines]

    def write(self, folder: Path) -> None:
        """Write the page into its section's folder below *folder*."""
        path = folder / "man" / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.lines) + "\n")


def items(rows: list[tuple[str, str]]) -> list[str]:
    """Give *rows* of a term and its text as a list in roff."""
    return [line for term, text in rows for line in (".TP", f".B {escape(term)}", escape(text) or "\\&")]


def paragraphs(text: str) -> list[str]:
    """Give the paragraphs of a command's help in roff; those that click leaves as they are, too."""
    lines = []
    for number, paragraph in enumerate(filter(None, re.split(r"\n\s*\n", text.strip()))):
        is_verbatim = paragraph.startswith("\b")
        body = escape(paragraph.lstrip("\b\n") if is_verbatim else " ".join(paragraph.split()))
        lines += [".PP"] if number else []
        lines += [".nf", body, ".fi"] if is_verbatim else [body]
    return lines


def click_pages(command: click.Command, ctx: click.Context) -> Iterator[Page]:
    """Give the page of *command* and those of all commands below it."""
    name = ctx.command_path.replace(" ", "-")
    page = Page(name, 1, command.get_short_help_str(200) or name)
    page.add("SYNOPSIS", f".B {escape(ctx.command_path)}", escape(" ".join(command.collect_usage_pieces(ctx))))
    page.add("DESCRIPTION", *paragraphs(command.help or ""))
    below: list[tuple[str, click.Command, click.Context]] = []
    if isinstance(command, click.Group):
        for child_name in command.list_commands(ctx):
            child = command.get_command(ctx, child_name)
            if child is not None and not child.hidden:
                below.append((child_name, child, click.Context(child, ctx, child_name)))
        page.add("COMMANDS", *items([(word, child.get_short_help_str(200)) for word, child, _ in below]))
    records = [parameter.get_help_record(ctx) for parameter in command.get_params(ctx)]
    page.add("OPTIONS", *items([record for record in records if record]))
    if any(record and "[LINKROUTER_" in record[1] for record in records):
        page.add("ENVIRONMENT", escape(NOTE))
    others = [f"{name}-{word}" for word, _, _ in below] or [name.rpartition("-")[0] or "linkrouter-deploy"]
    page.add("SEE ALSO", *(f".BR {escape(other)} ({8 if other == 'linkrouter-deploy' else 1})" for other in others))
    yield page
    for _, child, inner in below:
        yield from click_pages(child, inner)


def deploy_page() -> Page:
    """Give the page of linkrouter-deploy."""
    sys.path.insert(0, str(DEPLOY))
    sys.dont_write_bytecode = True
    loader = SourceFileLoader("linkrouter_deploy", str(DEPLOY / "linkrouter-deploy"))
    module = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    parser: argparse.ArgumentParser = module.make_parser()
    page = Page("linkrouter-deploy", 8, "switch colours, change keys and serve own domains")
    page.add("SYNOPSIS", ".B linkrouter\\-deploy", escape("[OPTIONS] COMMAND ..."))
    page.add("DESCRIPTION", *paragraphs(parser.description or ""))
    commands, options = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands = list(_deploy_commands(action))
        else:
            options.append((", ".join([*action.option_strings]), action.help or ""))
    page.add("COMMANDS", *items(commands))
    page.add("OPTIONS", *items(options))
    page.add("EXIT STATUS", escape("0 done, 1 findings, 2 usage, 3 it could not be done."))
    page.add("SEE ALSO", ".BR linkrouter\\-install (8)")
    return page


def _deploy_commands(action: "argparse._SubParsersAction[argparse.ArgumentParser]") -> Iterator[tuple[str, str]]:
    summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
    for name, parser in action.choices.items():
        usage = parser.format_usage().partition(f" {name}")[2]
        yield f"{name} {' '.join(usage.split())}".strip(), summaries[name]


def install_page() -> Page:
    """Give the page of linkrouter-install, which is install.sh; its head says all."""
    head = re.findall(r"(?m)^# ?(.*)$", (DEPLOY / "install.sh").read_text().partition("set -eu")[0])[1:]
    page = Page("linkrouter-install", 8, "set up routers or central on this machine")
    synopsis = [line for line in head if "install.sh " in line]
    page.add(
        "SYNOPSIS", ".nf", *(escape(line.strip().replace("install.sh", "linkrouter-install")) for line in synopsis)
    )
    page.lines.append(".fi")
    rest = "\n".join(line for line in head if line not in synopsis).replace("install.sh", "linkrouter-install")
    page.add("DESCRIPTION", *paragraphs(rest))
    page.add("SEE ALSO", ".BR linkrouter\\-deploy (8)")
    return page


def write_completions(folder: Path) -> None:
    """Write click's completions to where each shell looks in *folder*; zsh of Debian looks elsewhere in /usr/share."""
    local = "local" in folder.parts
    for shell, file in (
        ("bash", "bash-completion/completions/linkrouter"),
        ("zsh", f"zsh/{'site-functions' if local else 'vendor-completions'}/_linkrouter"),
        ("fish", "fish/vendor_completions.d/linkrouter.fish"),
    ):
        completion = get_completion_class(shell)
        assert completion is not None
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completion(cli, {}, "linkrouter", "_LINKROUTER_COMPLETE").source())


def main() -> None:
    """Write them all."""
    if len(sys.argv) != 2:
        sys.exit("usage: manual.py FOLDER")
    folder = Path(sys.argv[1])
    context = click.Context(cli, info_name="linkrouter", **cli.context_settings)
    for page in [*click_pages(cli, context), deploy_page(), install_page()]:
        page.write(folder)
    write_completions(folder)


if __name__ == "__main__":
    main()

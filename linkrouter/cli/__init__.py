"""The command line: the only printer, and the only place where the rooms are joined.

Promise: data goes to standard output, progress and complaints to standard error; exit 0 done, 1 findings, 2 usage,
3 could not be done; an error that was foreseen is one line. Each command is a module of its own, imported when it is
called, so that `--help` answers at once.
"""

import sys
from importlib import import_module

import click

from linkrouter.errors import LinkrouterError
from linkrouter.processes.signals import remember_hangups

__all__ = ["cli", "main"]

_COMMANDS = {
    # name: what it does; the module linkrouter.cli.<name> holds a click command of that name
    "central": "The ingest API, the statistics and the pages.",
    "check": "Check every link of a mail before it is sent.",
    "decode": "What a tracked link says, and whether it is genuine.",
    "demo": "Everything on this machine: keys, a sample mail, router, sync, central.",
    "doctor": "What is wrong here, each finding with its cure.",
    "domains": "Look at the file of own domains.",
    "encode": "Rewrite the links of a mail.",
    "encoder": "Tracked links over HTTP, for senders in any language.",
    "exit": "Write what serves every link ever sent without linkrouter.",
    "keys": "Make, rotate and list keyrings.",
    "relay": "The SMTP relay: tracks the links of the mails that go through.",
    "router": "The redirect service.",
    "spool": "Look into a click store.",
    "takeback": "Stop, replace or restore links that were sent.",
    "tokens": "Add, list and revoke API tokens.",
}
_SERVICES = {"central", "encoder", "relay", "router"}  # they run until a signal, and reload at SIGHUP


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"linkrouter.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="linkrouter")
def cli() -> None:
    """Self-hosted link tracking for e-mail that is reliable, fast and private."""


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] and sys.argv[1] in _SERVICES:
        remember_hangups()
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except LinkrouterError as exc:
        click.echo(f"linkrouter: {exc}", err=True)
        sys.exit(3)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; there is nobody to tell
        sys.exit(3)
    sys.exit(code if isinstance(code, int) else 0)

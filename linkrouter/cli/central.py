"""`linkrouter central`: the ingest API, the statistics, the checks and the pages."""

from typing import Any

import click

from linkrouter.cli.options import settings_from, with_settings
from linkrouter.settings import CentralSettings, is_journal

__all__ = ["central"]


@click.command()
@with_settings(CentralSettings)
def central(**options: Any) -> None:
    """Take clicks from routers and messages from senders, answer questions about them, and check mails.

    SIGTERM stops gracefully; SIGHUP reads the token files again.
    """
    import uvloop

    from linkrouter.log import start_logging
    from linkrouter.processes.central import run_central

    settings = settings_from(CentralSettings, options)
    start_logging(journal=is_journal())
    uvloop.run(run_central(settings))

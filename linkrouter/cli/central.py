"""`linkrouter central`: the ingest API, the statistics and the pages."""

from typing import Any

import click

from linkrouter.cli.options import settings_from, with_settings
from linkrouter.settings import CentralSettings

__all__ = ["central"]


@click.command()
@with_settings(CentralSettings)
def central(**options: Any) -> None:
    """Take clicks from routers and messages from senders, and answer questions about them.

    SIGTERM stops gracefully; SIGHUP reads the token files again.
    """
    import uvloop

    from linkrouter.central.app import run_central
    from linkrouter.observe import start_logging

    settings = settings_from(CentralSettings, options)
    start_logging()
    uvloop.run(run_central(settings))

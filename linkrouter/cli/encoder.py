"""`linkrouter encoder`: tracked links over HTTP."""

from typing import Any

import click

from linkrouter.cli.options import settings_from, with_settings
from linkrouter.cli.relay import require_smtp
from linkrouter.settings import EncoderSettings, is_journal

__all__ = ["encoder"]


@click.command()
@with_settings(EncoderSettings)
def encoder(**options: Any) -> None:
    """Answer POST /v1/rewrite for senders in any language; with a next hop, Postmark's POST /email, too.

    SIGTERM stops gracefully; SIGHUP reads keyring and tokens again.
    """
    settings = settings_from(EncoderSettings, options)
    require_smtp()
    import uvloop

    from linkrouter.log import start_logging
    from linkrouter.processes.encoder import run_encoder

    start_logging(journal=is_journal())
    uvloop.run(run_encoder(settings))

"""`linkrouter encoder`: tracked links over HTTP."""

from typing import Any

import click

from linkrouter.cli.options import run_service, settings_from, with_settings
from linkrouter.cli.relay import require_smtp
from linkrouter.settings import EncoderSettings

__all__ = ["encoder"]


@click.command()
@with_settings(EncoderSettings)
def encoder(**options: Any) -> None:
    """Answer POST /v1/rewrite for senders in any language; with a next hop, Postmark's POST /email, too.

    SIGTERM stops gracefully; SIGHUP reads keyring and tokens again.
    """
    settings = settings_from(EncoderSettings, options)
    require_smtp()
    from linkrouter.processes.encoder import run_encoder

    run_service(run_encoder(settings))

"""`linkrouter relay`: the SMTP relay."""

from importlib.util import find_spec
from typing import Any

import click

from linkrouter.cli.options import run_service, settings_from, with_settings
from linkrouter.errors import SettingsError
from linkrouter.settings import RelaySettings

__all__ = ["relay", "require_smtp"]


@click.command()
@with_settings(RelaySettings)
def relay(**options: Any) -> None:
    """Take mails over SMTP, track their links, and hand them to the next hop before they are answered.

    SIGTERM stops gracefully; SIGHUP reads keyring and tokens again.
    """
    settings = settings_from(RelaySettings, options)
    require_smtp()
    from linkrouter.processes.relay import run_relay

    run_service(run_relay(settings))


def require_smtp() -> None:
    """Say what to do where the extra `smtp` is missing.

    Raises:
        SettingsError: it is.
    """
    if find_spec("aiosmtpd") is None or find_spec("aiosmtplib") is None:
        raise SettingsError("SMTP needs more packages; run \"pip install 'linkrouter[smtp]'\"")

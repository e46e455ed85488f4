"""What the relay and the encoder service have in common: keys, gate, next hop, reports to central, made from settings.

Promise: what is missing or wrong is said before anything listens, in one line with the setting and the cure.
"""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import cast

from linkrouter.checker import open_checker
from linkrouter.encoder import Mode
from linkrouter.errors import KeyringError, SettingsError
from linkrouter.integrations.acceptances import Acceptances
from linkrouter.integrations.delivery import Copies, Delivery
from linkrouter.integrations.gating import MailGate
from linkrouter.integrations.next_hop import NextHop, NextHopTls
from linkrouter.integrations.reporting import CentralClient, Reporter
from linkrouter.integrations.tracking import Tracker
from linkrouter.integrations.witness import Witness
from linkrouter.link import Keyring
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.settings import Address, SenderSettings, read_secret

__all__ = [
    "load_tracker",
    "machine_name",
    "open_next_hop",
    "opened_delivery",
    "opened_reporter",
    "reload_keys",
]


def load_tracker(settings: SenderSettings) -> Tracker:
    """Give what tracks the links of mails.

    Raises:
        SettingsError: BASE_URL is no origin.
        KeyringError: the keyring cannot be read, or holds no key that may sign.
    """
    keyring = Keyring.load(settings.keys, accept_mounted=settings.mounted_secrets)
    try:
        return Tracker(settings.base_url, keyring, mode=cast(Mode, settings.mode), count_only=settings.count_only)
    except ValueError as exc:
        raise SettingsError(f"BASE_URL: {exc}") from exc


def reload_keys(tracker: Tracker, settings: SenderSettings) -> None:
    """Read the keyring again; a bad file keeps the old one."""
    try:
        tracker.use(Keyring.load(settings.keys, accept_mounted=settings.mounted_secrets))
    except KeyringError:
        log("keyring.kept")
    else:
        log("keyring.loaded")


def open_next_hop(
    settings: SenderSettings, address: Address, hostname: str = "", witness: Witness | None = None
) -> NextHop:
    """Give the way to the next hop at *address*.

    Raises:
        SettingsError: a file cannot be read, or a name comes without a password.
    """
    login = None
    if settings.next_hop_user:
        if settings.next_hop_password_file is None:
            raise SettingsError("NEXT_HOP_PASSWORD_FILE is not set; NEXT_HOP_USER needs a password")
        password = read_secret(
            settings.next_hop_password_file, "NEXT_HOP_PASSWORD_FILE", accept_mounted=settings.mounted_secrets
        )
        login = (settings.next_hop_user, password)
    return NextHop(
        address,
        tls=cast(NextHopTls, settings.next_hop_tls),
        login=login,
        ca_file=str(settings.next_hop_ca) if settings.next_hop_ca else None,
        timeout_s=settings.next_hop_timeout_s,
        hostname=hostname or machine_name(),
        witness=witness,
    )


def machine_name() -> str:
    """Give the name for greetings."""
    return socket.gethostname() or "localhost"


@contextmanager
def opened_reporter(settings: SenderSettings) -> Iterator[Reporter | None]:
    """Give what tells central of mails; None where there is no central.

    Raises:
        SettingsError: CENTRAL_URL comes without a token.
    """
    if not settings.central_url:
        yield None
        return
    if settings.central_token_file is None:
        raise SettingsError("CENTRAL_TOKEN_FILE is not set; CENTRAL_URL needs a token that has messages:write")
    token = read_secret(settings.central_token_file, "CENTRAL_TOKEN_FILE", accept_mounted=settings.mounted_secrets)
    reporter = Reporter(CentralClient(settings.central_url, token), settings.spool / "reports")
    reporter.flush(0.0)  # what another process left is sent before there is something new
    try:
        yield reporter
    finally:
        reporter.close()


@asynccontextmanager
async def opened_delivery(
    settings: SenderSettings, tracker: Tracker, reporter: Reporter | None, metrics: Metrics
) -> AsyncIterator[Delivery]:
    """Give the way of a mail from a sender to the next hop.

    Raises:
        SettingsError: the folder of SPOOL or a setting of the gate cannot be used.
        StoreError: the cache of the check cannot be opened.
    """
    async with AsyncExitStack() as stack:
        gate = None
        if settings.gate != "off":
            checker = await stack.enter_async_context(open_checker(settings))
            gate = MailGate(checker, within_s=settings.total_timeout, local=bool(settings.allow_network))
        if reporter is not None:
            metrics.gauge("linkrouter_reports_waiting_bytes", reporter.waiting_bytes)
            metrics.gauge("linkrouter_reports_failing_seconds", reporter.failing_s)
        metrics.counter("linkrouter_mails_sent", ("tracked", "untracked"))
        metrics.counter("linkrouter_mails_held", ("flagged", "unknown"))
        metrics.counter("linkrouter_mails_not_sent", ("refused", "later", "malformed", "too_large"))
        acceptances = Acceptances(settings.spool / "acceptances")
        stack.callback(acceptances.close)
        yield Delivery(
            tracker,
            acceptances,
            metrics,
            reporter=reporter,
            gate=gate,
            gate_warns=settings.gate == "warn",
            copies=cast(Copies, settings.copies),
        )

"""The process of the SMTP relay.

Promise: SIGTERM ends it within ten seconds, and who has a mail on its way gets the next hop's answer before; SIGHUP
reads keyring and tokens again, and a bad file keeps the old ones.
"""

import asyncio
import ipaddress
import ssl
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from linkrouter.errors import SettingsError
from linkrouter.integrations.smtp import SmtpRelay
from linkrouter.integrations.smtp_rules import FindSender, RelayLimits
from linkrouter.integrations.smtp_session import RelayContext
from linkrouter.integrations.tracking import Tracker
from linkrouter.integrations.witness import Witness
from linkrouter.log import log, quiet_exception_handler
from linkrouter.metrics import Metrics
from linkrouter.processes.certificate import certificate_ends_at
from linkrouter.processes.sending import (
    load_tracker,
    machine_name,
    open_next_hop,
    opened_delivery,
    opened_reporter,
    reload_keys,
)
from linkrouter.processes.signals import reload_on_hangup, until_stopped
from linkrouter.settings import RelaySettings, listen_error
from linkrouter.web.admin import admin_port
from linkrouter.web.serving import TokenBox
from linkrouter.web.tokens import Tokens

__all__ = ["run_relay"]


async def run_relay(settings: RelaySettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting, a file or a port cannot be used.
        KeyringError: the keyring cannot be used.
        StoreError: the cache of the check cannot be opened.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(quiet_exception_handler)
    metrics = Metrics("relay")
    tracker, tokens = load_tracker(settings), _open_box(settings)
    hostname = settings.hostname or machine_name()
    limits = RelayLimits(
        message_bytes=settings.max_message_bytes,
        connections=settings.max_connections,
        recipients=settings.max_recipients,
    )
    async with AsyncExitStack() as stack:
        reporter = stack.enter_context(opened_reporter(settings))
        delivery = await stack.enter_async_context(opened_delivery(settings, tracker, reporter, metrics))
        await stack.enter_async_context(admin_port(metrics, settings.admin_listen))
        witness = Witness(delivery.acceptances.fileno(), settings.spool / "reports" if reporter is not None else None)
        stack.callback(witness.close)
        tls = _tls(settings)
        if tls is not None and settings.tls_cert is not None:
            ends_at = certificate_ends_at(tls, settings.tls_cert)
            metrics.gauge("linkrouter_certificate_end_timestamp_seconds", lambda: ends_at)
        context = RelayContext(
            delivery=delivery,
            next_hop=open_next_hop(settings, settings.next_hop, hostname, witness),
            limits=limits,
            tenant=settings.tenant,
            tls=tls,
            find_sender=_finder(tokens, settings.tenant) if tokens is not None else None,
            auth_needs_tls=settings.tls_cert is not None,
            hostname=hostname,
        )
        relay = SmtpRelay(context)
        wait = stack.enter_context(until_stopped(loop))
        reload_on_hangup(loop, partial(_reload, tracker, tokens, settings))
        try:
            server = await relay.listen(settings.listen.host, settings.listen.port)
        except OSError as exc:
            raise listen_error("LISTEN", settings.listen, exc) from exc
        log("relay.started", port=server.sockets[0].getsockname()[1])
        await wait()
        server.close()
        await relay.stop()
        log("relay.stopped")


def _open_box(settings: RelaySettings) -> TokenBox | None:
    if settings.token_file is None:
        return None
    if settings.tls_cert is None and not _is_loopback(settings.listen.host):
        raise SettingsError("TLS_CERT is not set; passwords may cross a network behind STARTTLS alone")
    return TokenBox(_load_tokens(settings.token_file, settings))


def _load_tokens(token_file: Path, settings: RelaySettings) -> Tokens:
    return Tokens.load_senders(token_file, accept_mounted=settings.mounted_secrets)


def _reload(tracker: Tracker, box: TokenBox | None, settings: RelaySettings) -> None:
    reload_keys(tracker, settings)
    if box is not None and settings.token_file is not None:
        box.reload(partial(_load_tokens, settings.token_file, settings))


def _finder(box: TokenBox, tenant: int) -> FindSender:
    def find(name: str, password: str) -> int | None:
        caller = box.tokens.find_caller(password)
        if caller is None or not caller.may("messages:write") or caller.name not in ("", name):
            return None
        return tenant if caller.tenant is None else caller.tenant

    return find


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(settings: RelaySettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as exc:
        raise SettingsError(
            f"TLS_CERT: {str(settings.tls_cert)!r} and TLS_KEY cannot be read as a pair in PEM"
        ) from exc
    return context

"""The process of the encoder service: `POST /v1/rewrite`, and Postmark's send API where there is a next hop.

Promise: SIGTERM ends it within ten seconds with every accepted request answered; SIGHUP reads keyring and tokens again,
and a bad file keeps the old ones.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from linkrouter import __version__
from linkrouter.integrations.delivery import Delivery
from linkrouter.integrations.rewrite_api import Rewriting, rewrite_routes
from linkrouter.integrations.tracking import Tracker
from linkrouter.log import log, quiet_exception_handler
from linkrouter.metrics import Metrics
from linkrouter.processes.observing import observing
from linkrouter.processes.sending import (
    load_tracker,
    open_next_hop,
    opened_delivery,
    opened_reporter,
    reload_keys,
)
from linkrouter.processes.signals import reload_on_hangup, until_stopped
from linkrouter.settings import EncoderSettings
from linkrouter.web.admin import admin_port
from linkrouter.web.openapi import with_document
from linkrouter.web.routes import Route
from linkrouter.web.server import create_app, serving
from linkrouter.web.serving import TOKENS, TokenBox
from linkrouter.web.tokens import Tokens

__all__ = ["run_encoder"]


async def run_encoder(settings: EncoderSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting, a file or a port cannot be used.
        KeyringError: the keyring cannot be used.
        StoreError: the cache of the check cannot be opened.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(quiet_exception_handler)
    metrics = Metrics("encoder")
    tracker = load_tracker(settings)
    tokens = _load_tokens(settings)
    async with AsyncExitStack() as stack:
        reporter = stack.enter_context(opened_reporter(settings))
        delivery = await stack.enter_async_context(opened_delivery(settings, tracker, reporter, metrics))
        await stack.enter_async_context(admin_port(metrics, settings.admin_listen))
        metrics.counter("linkrouter_mails_rewritten", ("tracked", "untracked", "held"))
        rewriting = Rewriting(tracker, metrics, settings.tenant, reporter, delivery.gate, delivery.gate_warns)
        routes = rewrite_routes(rewriting, settings.max_message_bytes)
        if settings.next_hop is not None:
            routes += _sending_routes(settings, delivery, stack)
        observe = observing(metrics, "linkrouter_encoder_request_seconds", "linkrouter_encoder_errors")
        app = create_app(tokens, with_document(routes, "linkrouter encoder", __version__), observe=observe)
        wait = stack.enter_context(until_stopped(loop))
        reload_on_hangup(loop, partial(_reload, tracker, app[TOKENS], settings))
        async with serving(app, settings.listen) as port:
            log("encoder.started", port=port)
            await wait()
        log("encoder.stopped")


def _sending_routes(settings: EncoderSettings, delivery: Delivery, stack: AsyncExitStack) -> tuple[Route, ...]:
    from linkrouter.integrations.postmark import PostmarkSending, send_routes

    assert settings.next_hop is not None
    next_hop = open_next_hop(settings, settings.next_hop)
    stack.push_async_callback(next_hop.close)
    return send_routes(PostmarkSending(delivery, next_hop, settings.tenant), settings.max_message_bytes)


def _load_tokens(settings: EncoderSettings) -> Tokens:
    return Tokens.load_senders(settings.token_file, accept_mounted=settings.mounted_secrets)


def _reload(tracker: Tracker, box: TokenBox, settings: EncoderSettings) -> None:
    reload_keys(tracker, settings)
    box.reload(partial(_load_tokens, settings))

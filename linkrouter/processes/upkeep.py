"""What central does beside answering: labels, forgetting, and `/metrics`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from linkrouter.central.labelling import label_forever
from linkrouter.central.labels import Insight
from linkrouter.central.retention import forget_forever
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.webhooks import STATES_OF_DELIVERY
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.central.webhooks.dispatch import Pace, deliver_forever
from linkrouter.errors import SettingsError
from linkrouter.insight import Networks, Places, has_fast_agent_parser
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.processes.holdings import watch_holdings
from linkrouter.settings import DEFAULT_ADMIN, CentralSettings, InsightSettings
from linkrouter.web.admin import admin_port

__all__ = ["central_admin_port", "open_insight", "upkeep"]


@asynccontextmanager
async def open_insight(settings: CentralSettings | InsightSettings) -> AsyncIterator[Insight]:
    """Give the tables that labels are made with.

    Raises:
        SettingsError: GEOIP, CLOUD_RANGES or RELAY_RANGES cannot be used.
    """
    if not has_fast_agent_parser():
        log("central.slow_agents")
    networks = Networks.load(settings.cloud_ranges, settings.relay_ranges)
    insight = Insight(Places(settings.geoip), networks)
    try:
        yield insight
    finally:
        insight.places.close()


@asynccontextmanager
async def upkeep(
    store: CentralStore, insight: Insight, settings: CentralSettings, metrics: Metrics, delivery: WebhookDelivery
) -> AsyncIterator[None]:
    """Label clicks, forget old ones and send events to webhook endpoints while the block runs."""
    waiting, behind = [0], [0]

    def tell(looked_at: int, unlabelled: int) -> None:
        metrics.count("linkrouter_central_labels", "done", looked_at)
        waiting[0] = unlabelled

    clicks = metrics.counter("linkrouter_central_clicks", ("stored", "duplicate"))
    metrics.counter("linkrouter_webhook_attempts", STATES_OF_DELIVERY)
    metrics.gauge("linkrouter_webhook_behind_events", lambda: behind[0])
    metrics.gauge("linkrouter_central_unlabelled_clicks", lambda: waiting[0])
    tasks = [
        asyncio.create_task(label_forever(store, insight, settings.settle_s, tell=tell)),
        asyncio.create_task(watch_holdings(store, metrics)),
        asyncio.create_task(forget_forever(store, settings.retention_days, settings.address_days)),
        asyncio.create_task(
            deliver_forever(delivery, Pace(lambda: clicks["stored"]), tell=lambda count: behind.__setitem__(0, count))
        ),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def central_admin_port(settings: CentralSettings, metrics: Metrics) -> AsyncIterator[None]:
    """Serve `/metrics` while the block runs.

    Raises:
        SettingsError: ADMIN_LISTEN was given and cannot be listened on. Without it central goes on where the usual port
            is taken, which Prometheus itself often does.
    """
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(admin_port(metrics, settings.admin_listen))
        except SettingsError:
            if settings.admin_listen != DEFAULT_ADMIN:
                raise
            log("central.no_metrics", port=settings.admin_listen.port)
        yield

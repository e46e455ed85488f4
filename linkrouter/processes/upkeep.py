"""What central does beside answering: labels, forgetting, and `/metrics`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from linkrouter.central.labelling import label_forever
from linkrouter.central.labels import Insight
from linkrouter.central.retention import forget_forever
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.webhooks import STATES_OF_DELIVERY
from linkrouter.central.watch.watcher import Watcher
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
    store: CentralStore,
    insight: Insight,
    settings: CentralSettings,
    metrics: Metrics,
    delivery: WebhookDelivery,
    watcher: Watcher | None = None,
) -> AsyncIterator[None]:
    """While the block runs, and this process leads: label clicks, forget old ones, send events, watch destinations."""
    waiting, behind = [0], [0]

    def tell(looked_at: int, unlabelled: int) -> None:
        metrics.count("linkrouter_central_labels", "done", looked_at)
        waiting[0] = unlabelled

    clicks = metrics.counter("linkrouter_central_clicks", ("stored", "duplicate"))
    metrics.counter("linkrouter_webhook_attempts", STATES_OF_DELIVERY)
    metrics.gauge("linkrouter_webhook_behind_events", lambda: behind[0])
    metrics.gauge("linkrouter_central_unlabelled_clicks", lambda: waiting[0])
    tasks: list[Callable[[], Coroutine[Any, Any, None]]] = [
        partial(label_forever, store, insight, settings.settle_s, tell=tell),
        partial(forget_forever, store, settings.retention_days, settings.address_days),
        partial(
            deliver_forever, delivery, Pace(lambda: clicks["stored"]), tell=lambda count: behind.__setitem__(0, count)
        ),
        *((watcher.run,) if watcher is not None else ()),
    ]
    leading = [0]
    metrics.gauge("linkrouter_central_leads", lambda: leading[0])
    lead = partial(_lead_forever, store, tasks, lambda leads: leading.__setitem__(0, leads))
    async with running(lead, partial(watch_holdings, store, metrics)):
        yield


async def _lead_forever(
    store: CentralStore, tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]], tell: Callable[[int], object]
) -> None:
    """Run *tasks* whenever this process leads, until cancelled."""
    while True:
        async with store.lead() as until_lost, running(*tasks):
            tell(1)
            try:
                await until_lost()
            finally:
                tell(0)


@asynccontextmanager
async def running(*tasks: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run *tasks* while the block runs."""
    started = [asyncio.create_task(task()) for task in tasks]
    try:
        yield
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


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

"""What central's store holds, as metrics.

Promise: a scrape never waits for the store; what it shows is a few seconds old, and is left out when
the store did not answer.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.records import Holdings
from linkrouter.errors import StoreError
from linkrouter.metrics import Metrics
from linkrouter.units import SECOND_US

__all__ = ["watch_holdings"]

LOOK_INTERVAL_S = 5.0
NOT_KNOWN = Holdings(None, None, None, None, {})


async def watch_holdings(store: CentralStore, metrics: Metrics) -> None:
    """Keep the metrics of *store* fresh until cancelled."""
    found = NOT_KNOWN

    def gauge(name: str, read: Callable[[Holdings], Any]) -> None:
        metrics.gauge(name, lambda: read(found))

    metrics.gauge("linkrouter_central_database_bytes", store.size)
    gauge("linkrouter_central_journal_bytes", lambda seen: seen.journal_bytes)
    gauge("linkrouter_central_disk_free_bytes", lambda seen: seen.free_bytes)
    gauge("linkrouter_central_oldest_click_timestamp_seconds", lambda seen: _seconds(seen.oldest_at))
    gauge("linkrouter_central_newest_click_timestamp_seconds", lambda seen: _seconds(seen.newest_at))
    metrics.gauge_table("linkrouter_central_lost_clicks", lambda: found.lost)
    while True:
        try:
            found = await store.holdings()
        except StoreError:
            found = NOT_KNOWN
        await asyncio.sleep(LOOK_INTERVAL_S)


def _seconds(at_us: int | None) -> float | None:
    return None if at_us is None else at_us / SECOND_US

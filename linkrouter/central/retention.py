"""The background task that forgets: clicks that are old, and all of an address but its network.

Promise: nothing that points to a person is kept longer than the operator said, whenever it came; figures stay.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from linkrouter.central.store.interface import CentralStore
from linkrouter.errors import StoreError
from linkrouter.log import log
from linkrouter.units import DAY_S, SECOND_US

__all__ = ["forget_forever", "forget_old"]

FORGET_EVERY_S = 600.0
BREATH_S = 0.05  # between two steps, so that ingest goes first


async def forget_forever(
    store: CentralStore,
    retention_days: int | None,
    address_days: int | None,
    *,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Forget what is older than the two settings allow, until cancelled; None keeps for ever."""
    while True:
        try:
            await forget_old(store, retention_days, address_days, now(), sleep)
        except StoreError as exc:
            log("central.forgetting_failed", reason=type(exc.__cause__ or exc).__name__)
        await sleep(FORGET_EVERY_S)


async def forget_old(
    store: CentralStore,
    retention_days: int | None,
    address_days: int | None,
    now_s: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Forget once what is too old at *now_s*, seconds since the epoch.

    Raises:
        StoreError: the store cannot be written; what was done stays.
    """
    for days, forget in ((retention_days, store.drop_before), (address_days, store.cut_addresses)):
        if days is not None:
            before = int((now_s - days * DAY_S) * SECOND_US)
            while await forget(before):
                await sleep(BREATH_S)

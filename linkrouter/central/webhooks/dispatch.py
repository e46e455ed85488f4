"""The background task that looks which endpoints have something to get, and serves each by itself.

Promise: it ends when cancelled with nothing half noted; a store that does not answer delays events and loses none.
While routers hand in clicks by the thousand, deliveries take a small share of the processor and catch up later.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from linkrouter.central.store.webhooks import Endpoint
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.errors import StoreError
from linkrouter.log import log, quiet_exception_handler
from linkrouter.units import DAY_S, SECOND_US

__all__ = ["DELIVERY_DAYS", "Pace", "deliver_forever"]

DISPATCH_LOOK_S = 0.5  # between two looks for what waits
DELIVERY_DAYS = 30  # that deliveries can be listed and replayed
FORGET_LOOKS = 1200  # between two looks for older ones
STORE_PAUSE_S = 5.0  # after a store that did not answer
FORGET_BREATH_S = 0.05  # between two steps of that, so that ingest goes first
BUSY_CLICKS_PER_S = 3000
BUSY_EVENTS_PER_S = 50.0  # then, of all endpoints together: a few hundredths of a core


@dataclass(slots=True)
class Pace:
    """How fast all endpoints together may go; *clicks* gives how many were stored since the start."""

    clicks: Callable[[], int] = lambda: 0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    is_busy: bool = False
    _seen: tuple[float, int] = (0.0, 0)
    _next: float = 0.0

    def look(self) -> None:
        """See how much comes in."""
        now, clicks = self.clock(), self.clicks()
        before, known = self._seen
        self.is_busy = clicks - known > BUSY_CLICKS_PER_S * max(now - before, DISPATCH_LOOK_S / 2)
        self._seen = now, clicks

    async def wait(self, events: int) -> None:
        """Wait for the turn of *events*, or until less comes in."""
        await self.sleep(0)
        if not self.is_busy:
            return
        turn = self._next = max(self._next, self.clock()) + events / BUSY_EVENTS_PER_S
        while (left := turn - self.clock()) > 0:
            await self.sleep(min(left, DISPATCH_LOOK_S))
            if not self.is_busy:
                self._next = 0.0
                return


@dataclass(slots=True)
class Dispatch:
    """Which endpoints are being served."""

    delivery: WebhookDelivery
    served: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def look(self) -> None:
        """Begin to serve each endpoint for which something waits."""
        delivery, moves = self.delivery, self.delivery.moves
        idle = {seq: after for seq, after in moves.items() if seq not in self.served}
        if idle:
            await delivery.store.move_on(idle)
            for seq in idle:
                del moves[seq]
        found = await delivery.store.busy_endpoints(time.time_ns() // 1000)
        for endpoint in found:
            if endpoint.seq not in self.served:
                self.served[endpoint.seq] = asyncio.create_task(self._serve(endpoint))

    async def _serve(self, endpoint: Endpoint) -> None:
        try:
            await self.delivery.serve(endpoint)
        except StoreError as exc:
            log("webhooks.delivery_failed", reason=type(exc.__cause__ or exc).__name__)
            await asyncio.sleep(STORE_PAUSE_S)
        except Exception as exc:  # the border of a task: the other endpoints go on
            quiet_exception_handler(asyncio.get_running_loop(), {"exception": exc})
            await asyncio.sleep(STORE_PAUSE_S)
        finally:
            del self.served[endpoint.seq]

    async def stop(self) -> None:
        """Stop serving."""
        tasks = list(self.served.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def deliver_forever(
    delivery: WebhookDelivery, pace: Pace, *, tell: Callable[[int], object] = lambda behind: None
) -> None:
    """Deliver until cancelled; *tell* gets how many events the endpoint furthest behind has not seen."""
    delivery.pace, dispatch, looks = pace.wait, Dispatch(delivery), 0
    try:
        while True:
            pace.look()
            try:
                await dispatch.look()
                tell(await delivery.store.events_behind())
                if looks % FORGET_LOOKS == 0:
                    await _forget(delivery)
                looks += 1
            except StoreError as exc:
                log("webhooks.delivery_failed", reason=type(exc.__cause__ or exc).__name__)
                await asyncio.sleep(STORE_PAUSE_S)
            await asyncio.sleep(DISPATCH_LOOK_S)
    finally:
        await dispatch.stop()
        delivery.poster.close()


async def _forget(delivery: WebhookDelivery) -> None:
    before = (int(time.time()) - DELIVERY_DAYS * DAY_S) * SECOND_US
    forgotten = True
    while forgotten:
        forgotten = bool(await delivery.store.forget_deliveries(before))
        await asyncio.sleep(FORGET_BREATH_S)

"""The background task that labels what was stored.

Promise: a click is labelled once it is older than the settling time, so that its siblings are there to be judged with
it; a store that cannot be written delays labels and loses none.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from linkrouter.central.labels import Insight
from linkrouter.central.store.interface import ClickLog
from linkrouter.errors import StoreError
from linkrouter.log import log

__all__ = ["label_forever", "relabel"]

LABELLING_LOOK_S = 1.0  # between two looks for new clicks
AGAIN_S = 5.0  # after a store that did not answer
REFRESH_S = 60.0  # between two looks at the files of places


async def label_forever(
    store: ClickLog,
    insight: Insight,
    settle_s: float,
    *,
    tell: Callable[[int, int], object] = lambda looked_at, unlabelled: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Label what was stored *settle_s* ago, until cancelled; *tell* gets how many were looked at, and still wait."""
    seen: deque[tuple[float, int]] = deque()
    has_begun = False
    refreshed_at = clock()
    while True:
        try:
            if clock() >= refreshed_at + REFRESH_S:
                await asyncio.to_thread(insight.places.refresh)
                refreshed_at = clock()
            latest = await store.latest_seq()
            if not has_begun:  # what was there before has settled
                has_begun = True
                seen.append((clock() - settle_s, latest))
            seen.append((clock(), latest))
            settled = _settled(seen, clock() - settle_s)
            looked_at = 1 if settled is not None else 0
            while settled is not None and looked_at:
                looked_at = await store.label_next(insight, settled)
                tell(looked_at, max(seen[-1][1] - settled, 0) if seen else 0)
                await sleep(0)  # a batch that waits for the store goes first
        except StoreError as exc:
            log("central.labelling_failed", reason=type(exc.__cause__ or exc).__name__)
            await sleep(AGAIN_S)
        await sleep(min(LABELLING_LOOK_S, settle_s / 2 + 0.05))


async def relabel(
    store: ClickLog, insight: Insight, since: int, tell: Callable[[int], object] = lambda _: None
) -> None:
    """Label every click from *since* on (microseconds since the epoch) anew; *tell* gets how far it is, by `seq`.

    Raises:
        StoreError: the store cannot be written; what was done stays.
    """
    after: int | None = 0
    while after is not None:
        after = await store.relabel_next(insight, after, since)
        if after is not None:
            tell(after)
        await asyncio.sleep(0)


def _settled(seen: deque[tuple[float, int]], before: float) -> int | None:
    """Give the last click that was there at *before*, and forget older looks; None when there was no look."""
    settled = None
    while seen and seen[0][0] <= before:
        _, settled = seen.popleft()
    return settled

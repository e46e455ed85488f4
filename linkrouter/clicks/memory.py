"""The store `memory:`: nothing touches the disk, and everything is gone with the process.

For trying things out, and for operators who would rather lose clicks than write addresses to a disk.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from linkrouter.clicks.click import OVERHEAD_BYTES, clicked_at
from linkrouter.clicks.store import Batch, OwnShare, StoreLimits, StoreStatus
from linkrouter.errors import SettingsError, StoreFull

__all__ = ["MemoryStore", "open_memory"]

MAX_BYTES = 1024**3  # whatever the limits say: they are meant for a disk


def open_memory(url: str, limits: StoreLimits) -> "MemoryStore":
    """Give a store that lives and dies with this process; *url* is `memory:` and nothing more."""
    if url != "memory:":
        raise SettingsError("CLICK_STORE takes memory: and nothing behind the colon")
    return MemoryStore(min(limits.max_bytes, MAX_BYTES))


class MemoryStore:
    """A `ClickStore` in memory."""

    is_durable = False

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pending: deque[bytes] = deque()
        self._bytes = 0  # of all that is pending
        self._acked = 0  # how many were acknowledged, so that a batch acknowledged twice is harmless
        self._dead_letters = 0

    async def open(self) -> None:
        """There is nothing to make ready."""

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep *records*, all or none.

        Raises:
            StoreFull: they would take more than the store may.
        """
        size = sum(map(len, records)) + OVERHEAD_BYTES * len(records)
        if self._bytes + size > self._max_bytes:
            raise StoreFull("click store memory: is at its limit")
        self._pending.extend(records)
        self._bytes += size

    async def next_batch(self, max_clicks: int) -> Batch | None:
        """Hand out the oldest clicks: what waits in memory is all fresh."""
        records = tuple(islice(self._pending, max_clicks))
        return Batch(records, self._acked + len(records)) if records else None

    async def ack(self, batch: Batch) -> None:
        """Forget the clicks of *batch*."""
        assert isinstance(batch.token, int)
        while self._acked < batch.token:
            self._bytes -= OVERHEAD_BYTES + len(self._pending.popleft())
            self._acked += 1

    async def add_dead_letters(self, records: Sequence[bytes], reason: str) -> None:
        """Count *records*: there is no place where a person could find them."""
        self._dead_letters += len(records)

    async def status(self) -> StoreStatus:
        """Tell what waits."""
        own = self.own_share()
        return StoreStatus(
            own.pending,
            own.oldest_at,
            own.bytes,
            self._dead_letters,
            quarantined=0,
            own_pending=own.pending,
            own_oldest_at=own.oldest_at,
            own_bytes=own.bytes,
        )

    def own_share(self) -> OwnShare:
        """Tell what waits: all there is, since no other process shares it."""
        oldest_at = clicked_at(self._pending[0]) if self._pending else None
        return OwnShare(len(self._pending), oldest_at, self._bytes)

    async def close(self) -> None:
        """Let go; what waits is gone with the process."""

"""The carrier: moves clicks from rings into a click store.

Promise: a click leaves its ring when the store has it, so the carrier may end at any point and begin again; what the
store then has twice has one id. While the store does not take clicks they wait in the rings, and the writers are told.
It carries the rings of its own supervisor's workers, and those that dead processes left in the same directory.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from linkrouter.clicks.click import KINDS
from linkrouter.clicks.ring.file import RingFile, ring_files
from linkrouter.clicks.ring.mending import mend
from linkrouter.clicks.ring.page import RING_VERSION
from linkrouter.clicks.ring.reader import RingReader
from linkrouter.clicks.store import APPEND_RETRY_S, ClickStore, Loss, try_append
from linkrouter.log import log
from linkrouter.metrics import Metrics

__all__ = ["Carrier"]

RING_LOOK_S = 0.25  # between two looks for rings
MOST_CARRIED = 10_000  # of one ring in one commit
FEWER_CARRIED = 1000  # after a failure: what is smaller may still fit
PLAIN_END = b'"kind":"click"}'


class Carrier:
    """Carries the rings in *directory* to *store*. *owner* is this process's supervisor.

    *tells_losses* says that somebody asks for `take_losses`: then a ring stays until what it dropped was told.
    """

    def __init__(
        self,
        directory: Path,
        owner: int,
        store: ClickStore,
        metrics: Metrics,
        *,
        interval_s: float,
        tells_losses: bool,
    ) -> None:
        self._directory = directory
        self._owner = owner
        self._store = store
        self._metrics = metrics
        self._interval_s = interval_s
        self._tells_losses = tells_losses
        self._readers: dict[Path, RingReader] = {}
        self._left_alone: set[Path] = set()
        self._look_at = 0.0
        self._trouble: str | None = None
        self._handed: list[RingReader] = []  # whose losses were handed out last
        self._damaged: list[Loss] = []
        self._stopping = asyncio.Event()
        self._recorded = metrics.counter("linkrouter_clicks_recorded", KINDS)
        metrics.gauge(
            "linkrouter_queue_clicks", lambda: sum(one.page.waiting for one in self._readers.values() if one.is_left)
        )

    @property
    def readers(self) -> list[RingReader]:
        """The rings that are carried and still written."""
        return [reader for reader in self._readers.values() if not reader.is_left]

    def stop(self) -> None:
        """Let `run` return once this supervisor's workers are gone and everything they wrote is kept."""
        self._stopping.set()

    async def run(self) -> None:
        """Carry until `stop`, and then what is left."""
        failures = 0
        while True:
            began_at = time.monotonic()
            self._look()
            clicks = await self._carry(FEWER_CARRIED if failures else MOST_CARRIED)
            failures = failures + 1 if self._trouble else 0
            self._beat()
            if self._stopping.is_set() and self._is_done():
                self._release()
                return
            if failures:
                await asyncio.sleep(min(APPEND_RETRY_S[0] * 2 ** min(failures, 10), APPEND_RETRY_S[1]))
            elif clicks < MOST_CARRIED:
                # A click that comes during a commit waits for that one, for this pause and for its own commit.
                await asyncio.sleep(max(0.005, self._interval_s - 2 * (time.monotonic() - began_at)))

    def take_losses(self) -> list[Loss]:
        """Hand over what is not told yet. Who asks again has told central what was handed over before."""
        for reader in self._handed:
            reader.page.confirm_told()
        self._handed = list(self._readers.values())
        damaged, self._damaged = self._damaged, []
        return [*damaged, *(loss for reader in self._handed for loss in reader.page.untold_losses(reader.ring.name))]

    def close(self) -> None:
        """Let go of all rings; what is in them waits for the next carrier."""
        for reader in self._readers.values():
            reader.ring.close()
        self._readers.clear()
        with contextlib.suppress(OSError):
            self._directory.rmdir()  # if it is empty

    async def _carry(self, most: int) -> int:
        """Move clicks, up to *most* of each ring, in one commit; give how many."""
        records = [record for reader in self._readers.values() for record in reader.read(most)]
        reason = await try_append(self._store, records) if records else None
        if reason is not None:
            self._fail(reason)
            for reader in self._readers.values():
                reader.rewind()
            return 0
        self._trouble = None
        self._count(records)
        self._release()
        return len(records)

    def _count(self, records: list[bytes]) -> None:
        others = [record for record in records if not record.endswith(PLAIN_END)]
        self._recorded["click"] += len(records) - len(others)
        for kind, number in Counter(_kind_of(record) for record in others).items():
            self._recorded[kind] += number

    def _release(self) -> None:
        """Make room for what the store has now, and remove rings that are done with."""
        for path, reader in list(self._readers.items()):
            lost = reader.release()
            if lost:
                self._note_damage(reader.ring.name, lost)
            if reader.is_drained and not (self._tells_losses and reader.page.has_untold):
                self._handed = [one for one in self._handed if one is not reader]
                del self._readers[path]
                reader.ring.remove()

    def _note_damage(self, name: str, lost: int) -> None:
        now_us = time.time_ns() // 1000
        self._metrics.count("linkrouter_clicks_dropped", "damaged", lost)
        self._damaged.append(Loss(f"{name}-damaged-{now_us}", "damaged", lost, now_us, now_us))

    def _fail(self, reason: str) -> None:
        if self._trouble != reason:
            self._trouble = reason
            log("recorder.retry", reason=reason, waiting=sum(one.page.waiting for one in self._readers.values()))

    def _beat(self) -> None:
        now_ms = time.monotonic_ns() // 1_000_000
        for reader in self._readers.values():
            reader.page.beat(now_ms, self._trouble)

    def _is_done(self) -> bool:
        self._look_at = 0.0
        self._look()
        own = [reader for path, reader in self._readers.items() if path.name.startswith(f"{self._owner}-")]
        return all(reader.is_drained for reader in own)

    def _look(self) -> None:
        """Take up rings that are new or whose process is gone."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + RING_LOOK_S
        for reader in self._readers.values():
            reader.look()
        for ring in self._new_rings():
            if not ring.page.is_ours(len(ring.data)):
                if ring.page.version not in (None, RING_VERSION):
                    self._left_alone.add(ring.path)
                    log("ring.left_alone", version=ring.page.version)
                    ring.close()
                    continue
                log("ring.damaged", found=mend(ring))
            self._readers[ring.path] = reader = RingReader(ring)
            reader.look()
            if reader.is_left and reader.page.waiting:
                log("ring.adopted", clicks=reader.page.waiting)

    def _new_rings(self) -> Iterator[RingFile]:
        for path in ring_files(self._directory):
            if path in self._readers or path in self._left_alone:
                continue
            try:
                ring = RingFile.find(path, self._owner)
            except (OSError, ValueError):
                self._left_alone.add(path)
                log("ring.left_alone")
                continue
            if ring is not None:
                yield ring


def _kind_of(record: bytes) -> str:
    """Give the kind in a record; inside a string of JSON its quotes would be escaped."""
    return next((kind for kind in KINDS if f',"kind":"{kind}"'.encode("ascii") in record), KINDS[0])

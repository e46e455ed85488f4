"""The store `sqlite:///DIRECTORY`: a directory of segments, shared by every process that opens it.

Promise: a click that `append` returned from is handed out until it is acknowledged, whatever happens to the process,
and a full disk can always be drained, because space comes back by unlinking whole segments. A process appends to one
segment of its own; when that is large or old, or its process is dead, it is anybody's backlog.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from linkrouter.clicks.spool.dead_letters import adopt_old_dead_letters, write_dead_letters
from linkrouter.clicks.spool.directory import directory_status
from linkrouter.clicks.spool.disk import find_room, reason_of
from linkrouter.clicks.spool.reader import SpoolReader
from linkrouter.clicks.spool.timings import SpoolTimings
from linkrouter.clicks.spool.writer import SpoolWriter
from linkrouter.clicks.store import Batch, OwnShare, StoreLimits, StoreStatus
from linkrouter.errors import SettingsError, StoreError

__all__ = ["Spool", "open_spool"]

SCHEME = "sqlite:///"


def open_spool(url: str, limits: StoreLimits) -> "Spool":
    """Give the store that *url* names: `sqlite:///relative/directory` or `sqlite:////absolute/directory`.

    Raises:
        SettingsError: *url* names no directory.
    """
    if not url.startswith(SCHEME) or not url.removeprefix(SCHEME):
        raise SettingsError(
            "CLICK_STORE must be sqlite:///DIRECTORY, or sqlite:////DIRECTORY when it starts at the root"
        )
    return Spool(Path(url.removeprefix(SCHEME)), limits)


class Spool:
    """A `ClickStore` on a directory of segments."""

    is_durable = True

    def __init__(self, directory: Path, limits: StoreLimits, timings: SpoolTimings | None = None) -> None:
        self._directory = directory
        self._limits = limits
        self._writer = SpoolWriter(directory, limits, timings or SpoolTimings())
        self._reader = SpoolReader(directory, timings or SpoolTimings(), self._writer)

    async def open(self) -> None:
        """Make ready to append. What lies in the directory is looked at later, so that a start never waits for it.

        A full disk is no reason not to start.

        Raises:
            StoreError: the directory cannot be made or written to.
        """
        await self._writer.open()
        await asyncio.to_thread(adopt_old_dead_letters, self._directory)

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep *records*, all or none.

        Raises:
            StoreFull: the directory is at its limit or the disk is full.
            StoreError: they could not be written, not even to a fresh segment.
        """
        if records:
            await self._writer.append(records)

    async def next_batch(self, max_clicks: int) -> Batch | None:
        """Hand out live clicks before the backlog, but let a backlog drain between trickles of live ones."""
        return await self._reader.next_batch(max_clicks)

    async def ack(self, batch: Batch) -> None:
        """Forget the clicks of *batch*. A backlog segment that is wholly acknowledged is unlinked."""
        await self._reader.ack(batch)

    async def add_dead_letters(self, records: Sequence[bytes], reason: str) -> None:
        """Write *records* with *reason* to `dead-letters.jsonl` in the directory.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            await asyncio.to_thread(write_dead_letters, self._directory, records, reason)
        except OSError as exc:
            raise StoreError(f"click store {str(self._directory)!r} cannot be written ({reason_of(exc)})") from exc

    async def status(self) -> StoreStatus:
        """Tell what waits in the whole directory, other processes' clicks too; one that does not exist is empty."""
        await self._reader.look_after_left()
        status = await asyncio.to_thread(directory_status, self._directory)
        room = await asyncio.to_thread(find_room, self._directory, self._limits)
        own = self.own_share()
        return replace(status, room=room, own_pending=own.pending, own_oldest_at=own.oldest_at, own_bytes=own.bytes)

    def own_share(self) -> OwnShare:
        """Tell what waits in this process's segment, in the backlog that it sends, and in what it left to anybody."""
        active = self._writer.active
        return self._reader.share() + (active.share if active is not None else OwnShare())

    async def close(self) -> None:
        """Let go of every segment, and remove the active one when nothing in it is pending."""
        async with self._writer.lock:
            await self._reader.close()
            await self._writer.close()

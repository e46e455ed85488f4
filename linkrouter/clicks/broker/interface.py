"""What a click store needs of a broker.

A *stream* is what one process appends to, as a segment of the spool is; an *entry* of it is one commit, or a thousand
clicks of a larger one. A stream belongs to whoever has its lease. A process that is dead, or cut off, does not renew
it, and then another process takes the stream over. Should the first come back, both hand out the same clicks, and
central stores each once.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from linkrouter.clicks.click import clicked_at
from linkrouter.clicks.store import Loss

__all__ = [
    "CALL_S",
    "READ_ENTRIES",
    "SEPARATOR",
    "Broker",
    "BrokerTotals",
    "Entry",
    "StreamState",
    "oldest_of",
    "split_entry",
]

CALL_S = 5.0  # for one call, to a broker that hangs as well
READ_ENTRIES = 50  # asked for at a time; most hold the clicks of 50 ms
SEPARATOR = b"\n"  # between the records of an entry: none has one within, being JSON without spaces


class Entry(NamedTuple):
    """One entry of a stream, oldest click first."""

    id: str
    records: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Its bytes, when packed."""
        return sum(map(len, self.records)) + len(self.records) - 1


class StreamState(NamedTuple):
    """What is in a stream: clicks not acknowledged, the time of the oldest, and the bytes of its entries.

    Of the entry `part_id`, the first, `part` clicks are acknowledged, and not counted.
    """

    pending: int = 0
    oldest_at: int | None = None  # microseconds since the epoch
    bytes: int = 0
    part_id: str = ""
    part: int = 0


Appended = tuple[list[str], StreamState]  # the ids of entries, and how their stream is then


class BrokerTotals(NamedTuple):
    """What is in all streams together, and beside them."""

    pending: int
    oldest_at: int | None
    bytes: int
    dead_letters: int
    losses: tuple[Loss, ...]


class Broker(Protocol):
    """One connection to a broker. Every call ends within a deadline, and changes all that it says or nothing.

    `lease_s` is how long a stream is left to a process that says nothing. Each call raises `StoreError` when the broker
    cannot be reached or does not do it; whether it was done is then unknown.
    """

    lease_s: float

    def connect(self) -> None:
        """Make ready to call; nothing is sent yet."""

    async def check(self) -> None:
        """Look whether clicks are safe there. One that cannot be reached now is looked at by the first call that can.

        Raises:
            StoreError: they are not, or this process may not use it; names the setting and the cure.
        """

    async def append(
        self, name: str, entries: Sequence[Sequence[bytes]], max_bytes: int
    ) -> tuple[list[str], StreamState]:
        """Add *entries* to the stream *name*, which may be new, and renew its lease; give their ids.

        Raises:
            StoreFull: all streams would hold more than *max_bytes*, or the broker has no room.
        """

    async def read(self, name: str, after: str) -> list[Entry]:
        """Give the first `READ_ENTRIES` entries of *name* behind the id *after*, or from the start where it is ""."""

    async def acknowledge(self, name: str, done: Sequence[Entry], part: tuple[str, int], oldest_at: int) -> StreamState:
        """Remove the entries *done* from *name*, and of the entry part[0] note that part[1] clicks are acknowledged.

        What is left is no older than *oldest_at*. What is removed already changes nothing.
        """

    async def take_over(self) -> tuple[str, StreamState] | None:
        """Take the lease of one stream that nobody has, the newest first."""

    async def renew(self, names: Sequence[str]) -> None:
        """Renew the leases of *names*."""

    async def let_go(self, name: str) -> None:
        """Remove the stream *name* when it is empty, else leave it to anybody."""

    async def add_dead_letters(self, records: Sequence[bytes], reason: str) -> None:
        """Keep *records* where a person finds them."""

    async def add_loss(self, loss: Loss) -> None:
        """Keep what went missing."""

    async def totals(self) -> BrokerTotals:
        """Tell what is there."""

    async def close(self) -> None:
        """Undo `connect`."""


def oldest_of(entries: Sequence[Sequence[bytes]]) -> int:
    """Give the time of the first click of *entries*, in microseconds since the epoch."""
    return clicked_at(entries[0][0])


def split_entry(entry_id: str, packed: bytes) -> Entry:
    """Give the entry that was packed with `SEPARATOR`."""
    return Entry(entry_id, tuple(packed.split(SEPARATOR)))

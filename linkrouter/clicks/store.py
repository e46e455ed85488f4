"""The click store: where a router keeps clicks until central has them.

Promise: what `append` returned from is kept across a kill and a power cut when the store says that it is durable; what
was not acknowledged is handed out again; nothing is ever deleted but by `ack`.

Third parties add stores through the entry-point group `linkrouter.click_stores`: a name (the URL's scheme) and a
callable that takes the URL and a `StoreLimits` and gives a `ClickStore`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Protocol

from linkrouter.clicks.click import iso_utc
from linkrouter.errors import SettingsError, StoreError, StoreFull
from linkrouter.log import log

__all__ = [
    "APPEND_RETRY_S",
    "Batch",
    "ClickStore",
    "Loss",
    "OwnShare",
    "StoreLimits",
    "StoreRoom",
    "StoreStatus",
    "open_click_store",
    "try_append",
]

ENTRY_POINT_GROUP = "linkrouter.click_stores"
APPEND_RETRY_S = (0.05, 1.0)  # first and longest wait after `append` failed


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How large a store may grow; sizes in bytes."""

    max_bytes: int = 4 * 1024**3
    reserve_bytes: int | None = None  # of the disk, left free for everybody else; None: 256 MB, or 5 % if that is less


@dataclass(frozen=True, slots=True)
class Batch:
    """Clicks handed out together: each as the JSON object that the ingest API takes, oldest first.

    `token` is the store's own; only it knows what to acknowledge by it.
    """

    records: tuple[bytes, ...] = field(repr=False)
    token: object = field(repr=False)


@dataclass(slots=True)
class Loss:
    """Clicks that went missing for one reason between two times (microseconds since the epoch).

    Central counts each *id* once, however often and by whomever it is told.
    """

    id: str
    reason: str
    count: int
    since: int
    until: int

    def to_wire(self) -> dict[str, str | int]:
        """Give the loss as the ingest API takes it."""
        return {
            "id": self.id,
            "reason": self.reason,
            "count": self.count,
            "since": iso_utc(self.since),
            "until": iso_utc(self.until),
        }


@dataclass(frozen=True, slots=True)
class OwnShare:
    """What waits in a store on behalf of one process, so that the shares of all processes add up to the whole."""

    pending: int = 0  # clicks not yet acknowledged
    oldest_at: int | None = None  # microseconds since the epoch, of the oldest pending click
    bytes: int = 0

    def __add__(self, other: "OwnShare") -> "OwnShare":
        times = [time for time in (self.oldest_at, other.oldest_at) if time is not None]
        return OwnShare(self.pending + other.pending, min(times, default=None), self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class StoreRoom:
    """What may still be written, in bytes: under the limit of the store, and above what is left free for others."""

    left_bytes: int
    free_bytes: int  # of the disk
    reserve_bytes: int  # of the disk, for others


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What waits in a store: all of it, also when several processes share it, so do not add up what they say.

    The figures that begin with `own_` are this process's share, as `ClickStore.own_share` gives it at any time.
    `lost` counts records by the reason they were lost for, such as those a damaged segment could not give back; what
    the recorder dropped before it reached the store is not among them. `losses` are the same, one by one, for
    central.
    """

    pending: int  # clicks not yet acknowledged
    oldest_at: int | None  # microseconds since the epoch, of the oldest pending click
    bytes: int
    dead_letters: int  # clicks central refused for good
    quarantined: int  # damaged files kept for a person to look at
    lost: Mapping[str, int] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    own_pending: int = 0
    own_oldest_at: int | None = None
    own_bytes: int = 0
    room: StoreRoom | None = None  # None where nobody knows


class ClickStore(Protocol):
    """What a router and sync need of a store. One process opens a store; its methods are called from one loop."""

    @property
    def is_durable(self) -> bool:
        """Whether what `append` returned from outlives the process, however that ends."""

    async def open(self) -> None:
        """Make ready to append.

        Raises:
            StoreError: the store cannot be opened; the message names the setting and the cure.
        """

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep *records*, each a click as `write_click` gives it; they are durable once this returns.

        Raises:
            StoreFull: the store is at its limit or the disk is full; none of *records* is kept.
            StoreError: the store cannot write now; none of *records* is known to be kept.
        """

    async def next_batch(self, max_clicks: int) -> Batch | None:
        """Hand out up to *max_clicks* that are not acknowledged, the freshest before the backlog, or None.

        Without an acknowledgement the next call may hand out the same clicks again.
        """

    async def ack(self, batch: Batch) -> None:
        """Forget the clicks of *batch*, all or none: central has them, or they are dead letters."""

    async def add_dead_letters(self, records: Sequence[bytes], reason: str) -> None:
        """Keep *records*, some of a batch, where a person finds them; the batch is then acknowledged as a whole.

        *reason* is one word, such as "refused".

        Raises:
            StoreError: they cannot be kept; the batch must not be acknowledged.
        """

    async def status(self) -> StoreStatus:
        """Tell what waits.

        It needs no `open` and changes nothing: a person asks this way while routers use the store, or when none runs.
        """

    def own_share(self) -> OwnShare:
        """Tell what waits on behalf of this process: cheap, from memory, true as soon as `append` or `ack` returns."""

    async def close(self) -> None:
        """Make all durable and let go."""


def open_click_store(url: str, limits: StoreLimits | None = None) -> ClickStore:
    """Give the store that *url* names, such as `sqlite:///spool` or `memory:`; it is not opened yet.

    Raises:
        SettingsError: no installed store goes by the URL's scheme, or the URL is not one that store takes.
    """
    scheme, colon, _ = url.partition(":")
    found = [entry for entry in entry_points(group=ENTRY_POINT_GROUP) if entry.name == scheme]
    if not colon or not found:
        names = ", ".join(sorted({entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)}))
        raise SettingsError(f"CLICK_STORE: no store goes by {scheme!r}; installed are {names}")
    make = found[0].load()
    store: ClickStore = make(url, limits or StoreLimits())
    return store


async def try_append(store: ClickStore, records: Sequence[bytes]) -> str | None:
    """Append *records*; give the reason when *store* did not take them: "store_full" or "store_failed"."""
    try:
        await store.append(records)
    except StoreFull:
        return "store_full"
    except StoreError:
        return "store_failed"
    except Exception as exc:
        # A store of a third party may raise anything; no clicks are lost over it.
        log("task.failed", task="append", exception=type(exc).__name__)
        return "store_failed"
    return None

"""Watched destinations as a store keeps them: one protocol, and its values.

Promise: what a look found and the event that it makes are kept in one transaction, once. Whoever has read the events
up to a number misses none by asking for what is behind it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

__all__ = ["WatchCounts", "WatchEvent", "WatchStore", "WatchedLink"]


@dataclass(frozen=True, slots=True)
class WatchedLink:
    """A destination of one tenant that was sent of late. Times are microseconds since the epoch, UTC."""

    tenant: int
    url: str = field(repr=False)
    anchored_at: int  # from when its looks are counted: the first sending of a day
    sent_at: int  # the last sending
    messages: int
    clicks: int
    standing: str = "new"  # or fine, broken, flagged: what two looks agree on
    doubted: bool = False  # the last look that could tell was bad, and is to be confirmed
    verdict: str = ""  # of the last look, with its reason
    reason: str = ""
    looks: int = 0
    looked_at: int | None = None
    changed_at: int | None = None  # when an event was made of it
    due_at: int | None = None  # of the next look; None is never
    stopped_by: str | None = None  # the id of the rule by which central stopped it by itself


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A destination that broke, was flagged, or recovered. `stop` says what becomes of it by itself.

    `seq` is 0 until it is stored.
    """

    id: str  # 16 bytes in base64url; a rule that answers it by itself bears the same
    type: str
    at: int  # microseconds since the epoch, UTC
    tenant: int
    url: str = field(repr=False)
    reason: str
    messages: int
    clicks: int
    stop: str = ""  # or wanted, made
    seq: int = 0


class WatchCounts(NamedTuple):
    """How many destinations are watched, and how many of those wait for a look that is due."""

    watched: int
    due: int


class WatchStore(Protocol):
    """The part of a registry that keeps watched destinations."""

    async def fold_sent(self, since: int, now: int, hour: int) -> int:
        """Take up destinations of messages, sent from *since* on, and clicks on them that came since the last time.

        The first look is due *hour* microseconds after a sending; a destination that is sent again a day of such hours
        later begins anew. One that was last sent before *since* is given up. Gives how many messages and clicks were
        looked at; 0 when there are no more.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def due_links(self, now: int, limit: int) -> list[WatchedLink]:
        """Give up to *limit* destinations whose look is due, those with the most clicks first.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def keep_look(self, before: WatchedLink, after: WatchedLink, event: WatchEvent | None) -> bool:
        """Keep what a look made of *before*, and its *event*; False, and nothing is kept, if another look came first.

        What was sent and clicked meanwhile stays.

        Raises:
            StoreError: the store cannot write now; nothing is kept.
        """

    async def count_watched(self, now: int, tenant: int | None) -> WatchCounts:
        """Count what is watched.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def changed_links(self, limit: int, tenant: int | None) -> list[WatchedLink]:
        """Give up to *limit* watched destinations that an event was made of: the bad ones first, then by clicks.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def link_events(self, after: int, limit: int, tenant: int | None) -> list[WatchEvent]:
        """Give up to *limit* events behind number *after*, in their order.

        Raises:
            StoreError: the store cannot answer.
        """

    async def wanted_stops(self, limit: int) -> list[WatchEvent]:
        """Give up to *limit* events that are to be answered with a stop and are not yet.

        Raises:
            StoreError: the store cannot answer.
        """

    async def note_stop(self, event: WatchEvent) -> None:
        """Keep that *event* was answered with a stop.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

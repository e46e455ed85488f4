"""Webhook endpoints and their outbox as a store keeps them: one protocol, and its values.

Promise: what is stored or labelled is in the outbox from that same transaction on. An endpoint is a reader of it: it
has a position in each log of events, and a row for each event that was sent to it or tried. Positions move only
together with those rows, so that a kill loses no event, and an event is sent again only under its own id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from linkrouter.central.store.records import FoundClick
from linkrouter.central.store.watch import WatchEvent

__all__ = [
    "HEALTHY",
    "LOGS",
    "STATES_OF_DELIVERY",
    "Attempted",
    "ClickEvent",
    "DeliveryFilter",
    "DeliveryPosition",
    "DeliveryState",
    "DueEvent",
    "Endpoint",
    "EventKey",
    "EventPage",
    "Health",
    "LogName",
    "OutboxEvent",
    "StoredDelivery",
    "WatchedEvent",
    "WebhookStore",
]

LogName = Literal["click", "relabelled", "watched"]
LOGS: tuple[LogName, ...] = ("click", "relabelled", "watched")  # the number of each stands in the database
DeliveryState = Literal["pending", "delivered", "failed"]
STATES_OF_DELIVERY: tuple[DeliveryState, ...] = ("pending", "delivered", "failed")


class EventKey(NamedTuple):
    """Where an event stands: the log, and its number there."""

    log: LogName
    number: int


class Health(NamedTuple):
    """How an endpoint does; times in microseconds since the epoch, None where nothing is wrong."""

    state: Literal["active", "disabled"] = "active"
    reason: str = ""  # of a disabled one
    failures: int = 0  # rounds in a row in which nothing was taken
    failing_since: int | None = None
    paused_until: int = 0


HEALTHY = Health()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where events go, and which. `after` is the number, in each log, of the last event that was looked at."""

    id: str
    tenant: int | None  # whose events; None is every tenant
    url: str = field(repr=False)
    types: tuple[str, ...]
    dialect: str = "standard"
    tag: str | None = None
    robots: str = "exclude"
    settled: bool = True  # clicks wait for their label
    secret: str = field(repr=False)
    old_secret: str | None = field(default=None, repr=False)
    old_until: int = 0  # until when events are signed with the old secret, too
    created_at: int
    health: Health = HEALTHY
    after: Mapping[LogName, int] = field(default_factory=dict)
    seq: int = 0  # the number that the store gave it


@dataclass(frozen=True, slots=True)
class ClickEvent:
    """A click, or a click whose label is another one than `was`."""

    key: EventKey
    found: FoundClick = field(repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    was: str | None = None
    at: int = 0  # of the change; microseconds since the epoch


@dataclass(frozen=True, slots=True)
class WatchedEvent:
    """A destination that broke, was flagged, or recovered."""

    key: EventKey
    found: WatchEvent = field(repr=False)


OutboxEvent = ClickEvent | WatchedEvent


class EventPage(NamedTuple):
    """Events for one endpoint, in the order of their log, and the number up to which that is all."""

    events: list[OutboxEvent]
    after: int


class DueEvent(NamedTuple):
    """An event that is to be tried again after *attempts*; None when it is not kept any more."""

    key: EventKey
    attempts: int
    event: OutboxEvent | None


class Attempted(NamedTuple):
    """What an attempt came to, as it is kept."""

    key: EventKey
    event_id: str
    type: str
    state: DeliveryState
    attempts: int
    status: int | None  # of the answer
    error: str | None  # in words of ours, where there was none
    at: int
    next_at: int | None  # when it is tried again


class DeliveryPosition(NamedTuple):
    """Where a page of deliveries ended: they are ordered by the first attempt, log and number, the newest first."""

    at: int
    log: int
    number: int


class StoredDelivery(NamedTuple):
    """One event and how it was sent to one endpoint."""

    position: DeliveryPosition
    event_id: str
    type: str
    state: str
    attempts: int
    status: int | None
    error: str | None
    last_at: int
    next_at: int | None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are meant: by event, by state, by the time of the first attempt (`until` is not included)."""

    ids: tuple[str, ...] | None = field(default=None, repr=False)
    state: DeliveryState | None = None
    since: int | None = None
    until: int | None = None


class WebhookStore(Protocol):
    """The part of a registry that keeps webhook endpoints and their outbox."""

    async def add_endpoint(self, endpoint: Endpoint, most: int) -> bool:
        """Keep *endpoint*, which gets what is stored from now on; False when its tenant has *most* already.

        Raises:
            StoreError: the store cannot write now; nothing is kept.
        """

    async def list_endpoints(self, tenant: int | None) -> list[Endpoint]:
        """Give the endpoints of *tenant*, or all, in the order they were made.

        Raises:
            StoreError: the store cannot answer.
        """

    async def find_endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Give the endpoint of this id.

        Raises:
            StoreError: the store cannot answer.
        """

    async def change_endpoint(self, endpoint_id: str, changes: Mapping[str, Any]) -> None:
        """Set fields of an endpoint by their names: what it gets, its secrets, its `health`.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def drop_endpoint(self, endpoint_id: str) -> bool:
        """Forget an endpoint; False when there was none of this id.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def busy_endpoints(self, now_us: int) -> list[Endpoint]:
        """Give the endpoints for which something waits, and that are neither disabled nor paused.

        Raises:
            StoreError: the store cannot answer.
        """

    async def events_behind(self) -> int:
        """Give how many events the endpoint that is furthest behind has not looked at.

        Raises:
            StoreError: the store cannot answer.
        """

    async def next_events(self, endpoint: Endpoint, log: LogName, limit: int) -> EventPage:
        """Give up to *limit* events of *log* that *endpoint* is to get, behind those it has looked at.

        Raises:
            StoreError: the store cannot answer.
        """

    async def due_events(self, endpoint: Endpoint, now_us: int, limit: int) -> list[DueEvent]:
        """Give up to *limit* events that are to be tried again by now, those that waited longest first.

        Raises:
            StoreError: the store cannot answer.
        """

    async def note_attempts(
        self, endpoint: Endpoint, attempted: Sequence[Attempted], after: Mapping[LogName, int], health: Health
    ) -> Endpoint | None:
        """Keep what was tried, how far was looked and how the endpoint does, all in one transaction.

        Gives the endpoint as it is now; None when it was dropped meanwhile.

        Raises:
            StoreError: the store cannot write now; nothing is kept, and the same events come again.
        """

    async def move_on(self, moves: Mapping[int, Mapping[LogName, int]]) -> None:
        """Keep how far endpoints (by `seq`) have looked, where nothing was for them.

        Raises:
            StoreError: the store cannot write now.
        """

    async def find_deliveries(
        self, endpoint: Endpoint, asked: DeliveryFilter, behind: DeliveryPosition | None, limit: int
    ) -> list[StoredDelivery]:
        """Give up to *limit* deliveries to *endpoint*, the newest first, that come behind *behind*.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def replay(self, endpoint: Endpoint, asked: DeliveryFilter, now_us: int) -> int:
        """Let what was tried be tried again from the start, now; gives how many that are.

        Raises:
            StoreError: the store cannot write now; what was done stays.
        """

    async def forget_deliveries(self, before: int) -> int:
        """Forget some of what was first tried before then and is settled, or was for an endpoint that is gone.

        Gives how many were forgotten; 0 when there are none.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

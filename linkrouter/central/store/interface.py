"""The central store: where clicks, messages and losses are kept for good.

Promise: a click, a message and a loss have ids, and the first to come with an id is the one that stays; every batch is
kept whole or not at all, and is durable once the call returns. Readers see whole batches and never hold up a writer.

Two protocols, because not every engine can keep both: a `ClickLog` takes what comes in bulk, a `Registry` what needs
transactions. A store is named by one URL (`sqlite:///central.db`), whose scheme is an entry point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Literal, NamedTuple, Protocol

from linkrouter.central.labels import Insight
from linkrouter.central.store.questions import (
    Cell,
    ClickFilter,
    Extent,
    MissingCell,
    RollUpQuestion,
    UnsettledClick,
)
from linkrouter.clicks.click import Click
from linkrouter.errors import SettingsError

__all__ = [
    "CentralStore",
    "ClickLog",
    "FoundClick",
    "FoundLabel",
    "Kept",
    "Message",
    "MessageLink",
    "Position",
    "Registry",
    "RouterLoss",
    "open_central_store",
]

CENTRAL_STORES = "linkrouter.central_stores"  # the entry-point group: a URL's scheme and what opens it

Kept = Literal["stored", "known", "conflict"]


class RouterLoss(NamedTuple):
    """Clicks that a router had to drop, between two times (microseconds since the epoch, UTC)."""

    id: str
    router: str
    reason: str
    clicks: int
    since: int
    until: int


class MessageLink(NamedTuple):
    """One link of a message. An id may stand in both parts of its message, and in no other message."""

    link_id: str
    url: str
    part: str
    position: int
    trap: bool = False

    def __repr__(self) -> str:
        return f"<MessageLink {self.part} {self.position}>"


@dataclass(frozen=True, slots=True)
class Message:
    """What a sender tells of one mail. Two messages are the same when id and `digest` are."""

    message_id: str = field(repr=False)
    digest: bytes = field(repr=False)  # of everything the sender said
    tenant: int
    sent_at: int  # microseconds since the epoch, UTC
    recipient: str | None = field(repr=False)
    tag: str | None
    metadata: Mapping[str, str] = field(repr=False)
    links: tuple[MessageLink, ...] = field(repr=False)
    message_key: str | None = field(default=None, repr=False)  # with which the ids of its links begin, in base64url


class Position(NamedTuple):
    """Where a page of clicks ended: clicks are ordered by time and id, the newest first."""

    clicked_at: int
    id: str


class FoundLabel(NamedTuple):
    """What a click was labelled with."""

    browser: str
    os: str
    platform: str
    country: str
    region: str
    city: str
    robot: str
    reasons: tuple[str, ...]
    version: int


@dataclass(frozen=True, slots=True)
class FoundClick:
    """A click with what is known of its link; None where no message with that link has come yet."""

    click: Click
    message_id: str | None = field(repr=False)
    recipient: str | None = field(repr=False)
    tag: str | None
    url: str | None = field(repr=False)
    label: FoundLabel | None = None  # none while the click has not settled


class Store(Protocol):
    """What a click log and a registry have in common; methods are called from one loop."""

    async def open(self) -> None:
        """Make ready.

        Raises:
            SettingsError: the store cannot be used; the message names the setting and the cure.
        """

    async def check(self) -> None:
        """Return if the store can write now.

        Raises:
            StoreError: it cannot.
        """

    async def close(self) -> None:
        """Let go; may be called twice."""


class ClickLog(Store, Protocol):
    """Clicks and losses: appended by routers, found and counted by senders."""

    async def add_clicks(self, clicks: Sequence[Click], losses: Sequence[RouterLoss] = ()) -> int:
        """Keep the clicks and losses whose ids are new, all in one transaction; give the number of new clicks.

        Raises:
            StoreError: the store cannot write now; nothing of the batch is kept.
        """

    async def find_clicks(self, asked: ClickFilter, after: Position | None, limit: int) -> list[FoundClick]:
        """Give up to *limit* clicks, the newest first, that come behind *after*.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def roll_up_cells(self, asked: RollUpQuestion) -> list[Cell]:
        """Sum roll-ups, by value.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def label_cells(self, asked: ClickFilter, dimension: str, step: int) -> list[Cell]:
        """Count the labels of single clicks by the values of *dimension*, and by points *step* seconds apart.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def extent(self, tenant: int | None) -> Extent | None:
        """Give the time that the labelled clicks of *tenant* span, None when there are none.

        Raises:
            StoreError: the store cannot answer.
        """

    async def first_and_last(self, asked: ClickFilter) -> tuple[int | None, int | None]:
        """Give the times of the first and the last of the labelled clicks of kind "click" that *asked* holds for.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def unsettled_clicks(self, limit: int) -> list[UnsettledClick]:
        """Give up to *limit* clicks that have no label yet.

        Raises:
            StoreError: the store cannot answer.
        """

    async def missing(self, since: int | None, until: int | None) -> list[MissingCell]:
        """Give the losses that touch the time between *since* and *until*.

        Raises:
            StoreError: the store cannot answer.
        """

    async def latest_seq(self) -> int:
        """Give the number of the click that was stored last, 0 when there is none.

        Raises:
            StoreError: the store cannot answer.
        """

    async def label_next(self, insight: Insight, until_seq: int) -> int:
        """Label some of the clicks up to the one numbered *until_seq*, with what hangs together with them.

        Gives how many were looked at; 0 when all are labelled.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def relabel_next(self, insight: Insight, after_seq: int, since: int) -> int | None:
        """Label some of the clicks behind the one numbered *after_seq* again, if they were made from *since* on.

        Gives the number to go on behind, or None at the end.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """


class Registry(Store, Protocol):
    """What needs transactions: messages and their links."""

    async def add_message(self, message: Message) -> Kept:
        """Keep *message*: "stored", or "known" when it was there already.

        It is a "conflict", and nothing is kept, when another message has its id or one of its links.

        Raises:
            StoreError: the store cannot write now; nothing is kept.
        """


class CentralStore(ClickLog, Registry, Protocol):
    """Both in one engine."""


def open_central_store(url: str) -> CentralStore:
    """Give the store that *url* names; it is not opened yet.

    Raises:
        SettingsError: no store goes by the URL's scheme, or the URL is not one that store takes.
    """
    scheme, colon, _ = url.partition(":")
    known = {entry.name: entry for entry in entry_points(group=CENTRAL_STORES)}
    if not colon or scheme not in known:
        # The URL is not quoted: those of other stores hold passwords.
        raise SettingsError(f"DATABASE: the URL must start with {' or '.join(f'{name}:' for name in sorted(known))}")
    store: CentralStore = known[scheme].load()(url)
    return store

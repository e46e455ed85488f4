"""The central store: where clicks, messages and losses are kept for good.

Promise: a click, a message and a loss have ids, and the first to come with an id is the one that stays; every batch is
kept whole or not at all, and is durable once the call returns. Readers see whole batches and never hold up a writer.

Two protocols, because not every engine can keep both: a `ClickLog` takes what comes in bulk, a `Registry` what needs
transactions.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from linkrouter.central.labels import Insight
from linkrouter.central.store.questions import (
    Cell,
    ClickFilter,
    Erasure,
    Extent,
    MessageCounts,
    MessageFilter,
    MissingCell,
    RollUpQuestion,
    UnsettledClick,
)
from linkrouter.central.store.records import (
    Erased,
    FoundClick,
    FoundMessage,
    Holdings,
    Kept,
    LinkCell,
    Message,
    MessageCell,
    MessageLink,
    MessagePosition,
    Position,
    RouterLoss,
    RouterState,
)
from linkrouter.central.store.take_backs import TakeBackStore
from linkrouter.central.store.watch import WatchStore
from linkrouter.central.store.webhooks import WebhookStore
from linkrouter.clicks.click import Click

__all__ = ["CentralStore", "ClickLog", "Registry"]


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

    async def add_clicks(
        self, clicks: Sequence[Click], losses: Sequence[RouterLoss] = (), state: RouterState | None = None
    ) -> int:
        """Keep the clicks and losses whose ids are new, all in one transaction; give the number of new clicks.

        *state* is what the router says of itself, in place of what it said before.

        Raises:
            StoreError: the store cannot write now; nothing of the batch is kept.
        """

    async def list_routers(self) -> list[RouterState]:
        """Give what each router said last, by name and worker.

        Raises:
            StoreError: the store cannot answer.
        """

    async def find_clicks(
        self, asked: ClickFilter, after: Position | None, limit: int, skip: int = 0
    ) -> list[FoundClick]:
        """Give up to *limit* clicks, the newest first, that come behind *after*, without the first *skip* of them.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def count_clicks(self, asked: ClickFilter, most: int) -> int:
        """Count the clicks that `find_clicks` finds, up to *most*.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def latest_labelled(self) -> int:
        """Give the number of the newest click that has a label, 0 when there is none.

        Raises:
            StoreError: the store cannot answer.
        """

    async def labelled_after(self, seq: int, tenant: int | None, limit: int) -> list[tuple[int, FoundClick]]:
        """Give up to *limit* labelled clicks behind the one numbered *seq*, with their numbers, as they were stored.

        Raises:
            StoreError: the store cannot answer.
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

    async def message_cells(self, messages: Sequence[int], asked: ClickFilter) -> list[MessageCell]:
        """Count the labels of clicks on *messages* (their numbers) that *asked* holds for.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def link_cells(self, message: int, asked: ClickFilter) -> list[LinkCell]:
        """Count the labels of clicks on each link of *message* (its number) that *asked* holds for.

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


class Registry(Store, TakeBackStore, WatchStore, WebhookStore, Protocol):
    """What needs transactions: messages and their links, take-backs, watched destinations, and webhooks."""

    async def add_message(self, message: Message) -> Kept:
        """Keep *message*: "stored", or "known" when it was there already.

        It is a "conflict", and nothing is kept, when another message has its id or one of its links.

        Raises:
            StoreError: the store cannot write now; nothing is kept.
        """

    async def find_messages(
        self, asked: MessageFilter, after: MessagePosition | None, limit: int
    ) -> list[FoundMessage]:
        """Give up to *limit* messages, those sent last first, that come behind *after*.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def count_messages(self, asked: MessageFilter) -> MessageCounts:
        """Count the messages that `find_messages` finds, and their links.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

    async def message_links(self, message: int) -> list[MessageLink]:
        """Give the links of *message* (its number) by part and position.

        Raises:
            StoreError: the store cannot answer.
        """

    async def message_html(self, message: int) -> str | None:
        """Give the HTML part of *message* (its number), None where none was sent.

        Raises:
            StoreError: the store cannot answer.
        """


class CentralStore(ClickLog, Registry, Protocol):
    """Both in one engine, and what goes through both at once."""

    async def erase(self, asked: Erasure) -> Erased:
        """Take away what points to a person, in one transaction: figures stay, clicks to come are only counted.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def release(self, recipient: str, tenant: int | None) -> bool:
        """Let messages to come to *recipient* be kept again, as before it was withheld; False when it was not.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def is_withheld(self, recipient: str, tenant: int | None) -> bool:
        """Whether messages to *recipient* are kept without it.

        Raises:
            StoreError: the store cannot answer.
        """

    async def drop_before(self, clicked_at: int) -> int:
        """Forget some of the single clicks made before *clicked_at*, and who got the mails sent before; figures stay.

        Gives how many were forgotten; 0 when there are none.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def cut_addresses(self, before: int) -> int:
        """Cut some of the addresses of clicks made *before* to their network; gives how many were looked at.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def holdings(self) -> Holdings:
        """Tell what the store holds, for those who watch over it.

        Raises:
            StoreError: the store cannot answer.
        """

    def lead(self) -> AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        """Wait until this process is the one of all centres that does what is done once, and be it within the block.

        Gives what waits until it is so no more. A leader that dies, or is cut off, is followed within 30 seconds.
        """

    def size(self) -> int:
        """Give the size of the store on the disk, in bytes; 0 where that is not known."""

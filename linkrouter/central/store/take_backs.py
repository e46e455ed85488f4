"""The list of take-backs as a store keeps it: one protocol, and its values.

Promise: a rule that was taken gets the next number and stays for good; whoever has read up to a number misses none by
asking for what is behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from linkrouter.link.takeback import TakeBack

__all__ = ["AddedRules", "ListReader", "RulesPage", "SentCounts", "SentLinkFilter", "StoredRule", "TakeBackStore"]


class AddedRules(NamedTuple):
    """How many rules were new, and the number of the last rule there is."""

    stored: int
    seq: int


class RulesPage(NamedTuple):
    """Rules in the order they came, and the number up to which that is all."""

    rules: list[TakeBack]
    seq: int


class StoredRule(NamedTuple):
    """A rule with its number, when it came and by whose token, and how many clicks it turned."""

    seq: int
    rule: TakeBack
    added_at: int  # microseconds since the epoch, UTC
    added_by: str
    clicks: int


class ListReader(NamedTuple):
    """Up to which number a router has the rules in force, and when it said so (microseconds since the epoch)."""

    router: str
    seq: int
    seen_at: int


@dataclass(frozen=True, slots=True)
class SentLinkFilter:
    """Which sent links are asked for: those of one tenant that one of the other fields holds for."""

    tenant: int
    url: str | None = field(default=None, repr=False)
    origin: str | None = field(default=None, repr=False)
    link_id: str | None = field(default=None, repr=False)
    message_key: str | None = field(default=None, repr=False)


class SentCounts(NamedTuple):
    """How many link ids that is, in how many messages."""

    links: int
    messages: int


class TakeBackStore(Protocol):
    """The part of a registry that keeps take-backs."""

    async def add_take_backs(self, rules: Sequence[TakeBack], added_at: int, added_by: str) -> AddedRules | None:
        """Keep the rules whose ids are new, all in one transaction.

        None, and nothing is kept, when an id is known with other content.

        Raises:
            StoreError: the store cannot write now; nothing is kept.
        """

    async def list_take_backs(self, after: int, limit: int, tenant: int | None) -> RulesPage:
        """Give up to *limit* rules, of *tenant* or of all, that come behind number *after*.

        The page's number is that of the last rule there is when the page ends the list, also where *after* is greater.

        Raises:
            StoreError: the store cannot answer.
        """

    async def find_take_backs(self, before: int | None, limit: int, tenant: int | None) -> list[StoredRule]:
        """Give up to *limit* rules, the newest first, whose number is less than *before*.

        Raises:
            StoreError: the store cannot answer.
        """

    async def newest_take_back(self, matches: Sequence[str], tenant: int) -> TakeBack | None:
        """Give the rule of *tenant* for one of *matches* that was made last.

        Raises:
            StoreError: the store cannot answer.
        """

    async def note_reader(self, reader: ListReader) -> None:
        """Keep what a router says, in place of what it said before.

        Raises:
            StoreError: the store cannot write now; nothing changed.
        """

    async def list_readers(self) -> list[ListReader]:
        """Give what each router said last, by name.

        Raises:
            StoreError: the store cannot answer.
        """

    async def count_sent_links(self, asked: SentLinkFilter) -> SentCounts:
        """Count the links of stored messages.

        Raises:
            StoreError: the store cannot answer, or not within its deadline.
        """

"""Messages: a page or a table of them, and one with its links."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from linkrouter.central.answers import (
    ClickFigures,
    FoundMessageRecord,
    MessageDetails,
    MessageLinkFigures,
    MessagesPage,
)
from linkrouter.central.fields import write_cursor, write_time
from linkrouter.central.labels import Insight
from linkrouter.central.models import ClickFilterQuery, MessageQuery, MessageTableQuery, OneMessageQuery
from linkrouter.central.queries import DEFAULT_PAGE, TABLE_PAGE, read_filter
from linkrouter.central.statistics.cells import count_unsettled, unsettled_matching
from linkrouter.central.statistics.figures import Figures, is_wanted
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.questions import ClickFilter, MessageFilter, UnsettledClick
from linkrouter.central.store.records import FoundMessage, LinkCell, MessageCell, MessageLink, MessagePosition, Position
from linkrouter.clicks.click import iso_utc
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.tokens import Caller

__all__ = ["Messages"]

MESSAGE_COLUMNS = (
    "message_id",
    "sent_at",
    "tenant",
    "recipient",
    "tag",
    "links",
    "clicks",
    "unique",
    "robots",
    "first",
    "last",
)
AMBIGUOUS = Refusal(422, Fault("tenant must be given: several tenants have a message of this id"))
BAD_CURSOR = Refusal(422, Fault("cursor must be the next_cursor of an earlier page"))


@dataclass(slots=True)
class _Counted:
    """The figures of a message or a link, and when it was clicked first and last."""

    figures: Figures = field(default_factory=Figures)
    first: int | None = None
    last: int | None = None

    def add(self, found: MessageCell | LinkCell, robots: str) -> None:
        self.figures.add(found, robots)
        if is_wanted(found.robot, robots):
            self.first = min(found.first, found.first if self.first is None else self.first)
            self.last = max(found.last, found.last if self.last is None else self.last)


@dataclass(frozen=True, slots=True)
class Messages:
    """What the answers need: the store, and what tells of clicks that have no label yet."""

    store: CentralStore
    insight: Insight

    async def page(self, query: MessageQuery, caller: Caller) -> MessagesPage | Refusal:
        """Give messages, those sent last first, a page at a time, with what was clicked in each."""
        asked = read_filter(query, caller, "exclude")
        if isinstance(asked, Refusal):
            return asked
        after = _after(query.get("cursor"))
        if isinstance(after, Refusal):
            return after
        limit = query.get("limit", DEFAULT_PAGE)
        found = await self.store.find_messages(_message_filter(asked), after, limit + 1)
        page = found[:limit]
        more = len(found) > limit
        return {
            "messages": await self._list(page, asked),
            "next_cursor": write_cursor(Position(page[-1].sent_at, str(page[-1].seq))) if more else None,
        }

    async def tabulate(
        self, query: MessageTableQuery, caller: Caller
    ) -> AsyncIterator[tuple[str | int | None, ...]] | Refusal:
        """Give all messages as a table, those sent last first, with what was clicked in each."""
        asked = read_filter(query, caller, "exclude")
        if isinstance(asked, Refusal):
            return asked

        async def rows() -> AsyncIterator[tuple[str | int | None, ...]]:
            yield MESSAGE_COLUMNS
            after: MessagePosition | None = None
            while found := await self.store.find_messages(_message_filter(asked), after, TABLE_PAGE):
                for record in await self._list(found, asked):
                    yield tuple(record[name] for name in MESSAGE_COLUMNS)  # type: ignore[literal-required]
                after = MessagePosition(found[-1].sent_at, found[-1].seq)

        return rows()

    async def show(self, query: OneMessageQuery, caller: Caller) -> MessageDetails | Refusal:
        """Give one message with its links by position, and what was clicked of each."""
        asked = read_filter(cast(ClickFilterQuery, query), caller, "exclude")
        if isinstance(asked, Refusal):
            return asked
        found = await self.store.find_messages(MessageFilter(query["message_id"], tenant=asked.tenant), None, 2)
        if len(found) != 1:
            return AMBIGUOUS if found else Refusal(404)
        return await self.describe(found[0], asked)

    async def describe(self, message: FoundMessage, asked: ClickFilter) -> MessageDetails:
        """Give *message* with its links, and what was clicked of it of what *asked* holds for."""
        asked = replace(asked, message_id=message.message_id, tenant=message.tenant, recipient=None, tag=None)
        everything = replace(asked, robots="include")
        unsettled = await unsettled_matching(self.store, self.insight, everything)
        [record] = await self._records([message], asked, unsettled)
        counted: dict[tuple[str, str], _Counted] = {}
        for found in await self.store.link_cells(message.seq, everything):
            counted.setdefault((found.link_id, found.part), _Counted()).add(found, asked.robots)
        for one, robot, uniques in count_unsettled(unsettled):
            click = one.click
            cell = LinkCell(click.link_id, click.part, robot, 1, uniques, click.clicked_at, click.clicked_at)
            counted.setdefault((cell.link_id, cell.part), _Counted()).add(cell, asked.robots)
        links = await self.store.message_links(message.seq)
        return {
            "message": record,
            "links": [_link_record(link, counted.get((link.link_id, link.part), _Counted())) for link in links],
        }

    async def _list(self, messages: Sequence[FoundMessage], asked: ClickFilter) -> list[FoundMessageRecord]:
        """Give *messages* with all of their clicks that the filters by value hold for.

        What says which messages are asked for, times of sending among it, says nothing of clicks.
        """
        clicks = replace(asked, message_id=None, tag=None, recipient=None, since=None, until=None)
        everything = replace(clicks, robots="include")
        return await self._records(messages, clicks, await unsettled_matching(self.store, self.insight, everything))

    async def _records(
        self, messages: Sequence[FoundMessage], asked: ClickFilter, unsettled: Sequence[UnsettledClick]
    ) -> list[FoundMessageRecord]:
        """Give *messages* as the API gives them, with the clicks on them that *asked* holds for."""
        everything = replace(asked, robots="include")
        counted: dict[int, _Counted] = {message.seq: _Counted() for message in messages}
        for found in await self.store.message_cells(list(counted), everything):
            counted[found.message].add(found, asked.robots)
        seqs = {(message.message_id, message.tenant): message.seq for message in messages}
        for one, robot, uniques in count_unsettled(unsettled):
            click = one.click
            seq = seqs.get((one.message_id or "", click.tenant))
            if seq is not None:
                cell = MessageCell(seq, click.part, robot, 1, uniques, click.clicked_at, click.clicked_at)
                counted[seq].add(cell, asked.robots)
        return [_record(message, counted[message.seq]) for message in messages]


def _message_filter(asked: ClickFilter) -> MessageFilter:
    return MessageFilter(asked.message_id, asked.tag, asked.tenant, asked.recipient, asked.since, asked.until)


def _after(cursor: Position | None) -> MessagePosition | Refusal | None:
    if cursor is None:
        return None
    if not cursor.id.isascii() or not cursor.id.isdigit() or len(cursor.id) > 18:
        return BAD_CURSOR
    return MessagePosition(cursor.clicked_at, int(cursor.id))


def _record(message: FoundMessage, counted: _Counted) -> FoundMessageRecord:
    return {
        "message_id": message.message_id,
        "tenant": message.tenant,
        "sent_at": iso_utc(message.sent_at),
        "recipient": message.recipient,
        "tag": message.tag,
        "metadata": dict(message.metadata),
        "message_key": message.message_key,
        "links": message.links,
        "has_html": message.has_html,
        "withheld": message.withheld,
        **_figures(counted),
    }


def _link_record(link: MessageLink, counted: _Counted) -> MessageLinkFigures:
    return {
        "link_id": link.link_id,
        "url": link.url or None,
        "part": link.part,
        "position": link.position,
        "trap": link.trap,
        **_figures(counted),
    }


def _figures(counted: _Counted) -> ClickFigures:
    figures = counted.figures
    return {
        "clicks": figures.clicks,
        "unique": figures.unique,
        "robots": figures.robots,
        "first": write_time(counted.first),
        "last": write_time(counted.last),
    }

"""What a store keeps and gives back: values that every engine shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from linkrouter.clicks.click import Click

__all__ = [
    "Erased",
    "FoundClick",
    "FoundLabel",
    "FoundMessage",
    "Holdings",
    "Kept",
    "LinkCell",
    "Message",
    "MessageCell",
    "MessageLink",
    "MessagePosition",
    "Position",
    "RouterLoss",
    "RouterState",
]

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
    html: str | None = field(default=None, repr=False)  # the HTML part as it was sent, for the click map


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


class MessagePosition(NamedTuple):
    """Where a page of messages ended: messages are ordered by time of sending and number, the newest first."""

    sent_at: int
    seq: int


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message as it is kept; `seq` is its number in this store, `links` how many it has without the trap."""

    seq: int
    message_id: str = field(repr=False)
    tenant: int
    sent_at: int
    recipient: str | None = field(repr=False)
    tag: str | None
    metadata: Mapping[str, str] = field(repr=False)
    message_key: str | None = field(repr=False)
    links: int
    has_html: bool
    withheld: bool


class MessageCell(NamedTuple):
    """Clicks on one message that have part and robot label in common, and the times of the first and the last."""

    message: int
    part: str
    robot: str
    clicks: int
    uniques: int
    first: int
    last: int


class LinkCell(NamedTuple):
    """Clicks on one link of a message that have part and robot label in common."""

    link_id: str
    part: str
    robot: str
    clicks: int
    uniques: int
    first: int
    last: int


class Erased(NamedTuple):
    """What an erasure took away: rows that lost what points to a person."""

    messages: int
    links: int
    clicks: int


class Holdings(NamedTuple):
    """What a store holds beside its size: None where it does not know. Times are microseconds since the epoch.

    `lost` is how many clicks each router could not keep, as it told central.
    """

    journal_bytes: int | None
    free_bytes: int | None  # of the disk that it is on
    oldest_at: int | None
    newest_at: int | None
    lost: dict[str, int]


class RouterState(NamedTuple):
    """What a router process last said of itself; `state` is its report in JSON, the time is central's."""

    router: str
    worker: int
    seen_at: int
    state: str

"""What is asked of a click log, and what it answers with: values that every engine shares."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from linkrouter.central.labels import StoredClick

__all__ = [
    "Cell",
    "ClickFilter",
    "Erasure",
    "Extent",
    "LabelText",
    "MessageCounts",
    "MessageFilter",
    "MissingCell",
    "RollUpQuestion",
    "UnsettledClick",
]


LabelText = Literal["browser", "os", "platform", "country", "region", "city"]


@dataclass(frozen=True, slots=True)
class ClickFilter:
    """Which clicks are asked for; None asks for all. Times are microseconds since the epoch, *until* not included."""

    link_id: str | None = field(default=None, repr=False)
    message_id: str | None = field(default=None, repr=False)
    tag: str | None = None
    tenant: int | None = None
    since: int | None = None
    until: int | None = None
    recipient: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    part: str | None = None
    browser: str | None = None
    os: str | None = None
    platform: str | None = None
    country: str | None = None
    robots: str = "include"  # "exclude" or "only" machines
    # For lists of clicks alone:
    any_of: tuple[tuple[LabelText, tuple[str, ...]], ...] = ()  # texts of a label, one of which it must have
    with_person: bool = False  # leaves out clicks kept without address and agent


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages are asked for; None asks for all. Times are those of sending, as in `ClickFilter`."""

    message_id: str | None = field(default=None, repr=False)
    tag: str | None = None
    tenant: int | None = None
    recipient: str | None = field(default=None, repr=False)  # upper and lower case are one
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Erasure:
    """Whose data is taken away: a recipient's, or that of one message. With *withhold* also of messages to come."""

    recipient: str | None = field(default=None, repr=False)
    message_id: str | None = field(default=None, repr=False)
    tenant: int | None = None
    withhold: bool = False


@dataclass(frozen=True, slots=True)
class RollUpQuestion:
    """Which roll-ups are summed: whole buckets of one dimension. Times are seconds since the epoch."""

    dimension: str
    since: int
    until: int
    tenant: int | None = None
    tag: str | None = None
    value: str | None = field(default=None, repr=False)
    part: str | None = None
    step: int = 0  # seconds between the points that are told apart; 0 gives one


class Cell(NamedTuple):
    """Clicks that have one point of time (its first second, 0 for all), value, part and robot label in common."""

    at: int
    value: str
    part: str
    robot: str
    clicks: int
    uniques: int


class MessageCounts(NamedTuple):
    """How many messages there are, how many of them with links, and how many links these have without traps."""

    messages: int
    tracked: int
    links: int


class Extent(NamedTuple):
    """From the first to the last labelled click, in seconds since the epoch, rounded to buckets."""

    since: int
    until: int


class UnsettledClick(NamedTuple):
    """A stored click that has no label yet, with what is known of its message."""

    click: StoredClick
    message_id: str | None
    recipient: str | None
    tag: str | None
    url: str | None
    is_new_link: bool  # no person is known to have clicked its link


class MissingCell(NamedTuple):
    """Clicks that routers dropped for one reason. Times are microseconds since the epoch."""

    reason: str
    clicks: int
    since: int
    until: int

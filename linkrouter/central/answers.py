"""What central's API gives: the types that describe every answer in `/openapi.json`."""

from typing_extensions import TypedDict

__all__ = [
    "BreakdownFigures",
    "BreakdownRow",
    "ClickAgent",
    "ClickBreakdown",
    "ClickFigures",
    "ClickPlace",
    "ClickRobot",
    "ClickSeries",
    "ClickStats",
    "ClicksPage",
    "ErasedRows",
    "ExportedMessage",
    "FoundClickRecord",
    "FoundMessageRecord",
    "MessageDetails",
    "MessageLinkFigures",
    "MessagesPage",
    "MissingClicks",
    "PersonalData",
    "Readiness",
    "Receipt",
    "RobotCounts",
    "SeriesPoint",
    "WithheldState",
]


class Receipt(TypedDict):
    """How much was new and how much was here already; together they are all that was sent."""

    stored: int
    duplicates: int


class ClickAgent(TypedDict):
    """What the user agent tells."""

    browser: str
    os: str
    platform: str


class ClickPlace(TypedDict):
    """Where the address is; a text is empty where that is not known."""

    country: str
    region: str
    city: str


class ClickRobot(TypedDict):
    """Who clicked: the label with its reasons, the deciding one first. Version 0 has not been judged yet."""

    label: str
    reasons: list[str]
    version: int


class FoundClickRecord(TypedDict):
    """A click, with what senders have told of its link; null until they have."""

    id: str
    link_id: str
    tenant: int
    part: str
    clicked_at: str
    ip: str | None
    user_agent: str | None
    kind: str
    message_id: str | None
    recipient: str | None
    tag: str | None
    url: str | None
    agent: ClickAgent
    place: ClickPlace
    robot: ClickRobot
    takeback: str | None


class ClicksPage(TypedDict):
    """Clicks, the newest first. Later clicks never move those on the pages to come; null ends them."""

    clicks: list[FoundClickRecord]
    next_cursor: str | None


class MissingClicks(TypedDict):
    """Clicks that routers had to drop at some time in this span. Only the filter by time applies to them."""

    count: int
    by_reason: dict[str, int]
    since: str | None
    until: str | None


class RobotCounts(TypedDict):
    """Machines' clicks, and those that clicked nothing (HEAD, prefetch), by the deciding reason."""

    total: int
    by_reason: dict[str, int]


class ClickStats(TypedDict):
    """What was clicked, by people unless `robots` asked for more.

    `unique` counts first clicks by people on their links, so that it adds up over time. `unsure` and `without_consent`
    are among the people; `unsettled` have no label yet and are counted as people meanwhile. `by_kind` counts all.
    """

    total: int
    unique: int
    by_part: dict[str, int]
    by_kind: dict[str, int]
    robots: RobotCounts
    unsure: int
    without_consent: int
    unsettled: int
    first: str | None
    last: str | None
    missing: MissingClicks


class SeriesPoint(TypedDict):
    """The figures from `at` to the next point; `missing` are clicks that routers had to drop."""

    at: str
    clicks: int
    unique: int
    robots: int
    missing: int


class ClickSeries(TypedDict):
    """Clicks over time; no point is left out."""

    interval: str
    timezone: str
    points: list[SeriesPoint]


class BreakdownFigures(TypedDict):
    """The figures of several values together."""

    clicks: int
    unique: int
    robots: int


class BreakdownRow(BreakdownFigures):
    """The figures of one value; null where there is none, as of clicks without a tag."""

    value: str | None


class ClickBreakdown(TypedDict):
    """Clicks by the values of one dimension, most clicks first; `other` has all that is not in the rows."""

    dimension: str
    rows: list[BreakdownRow]
    other: BreakdownFigures


class Readiness(TypedDict):
    """That the store takes writes."""

    ready: bool


class ClickFigures(BreakdownFigures):
    """The figures of a message or a link, and when it was clicked first and last."""

    first: str | None
    last: str | None


class FoundMessageRecord(ClickFigures):
    """A message with what was clicked in it, by people unless `robots` asked for more.

    `links` leaves out the trap. A withheld message has no recipient, and its clicks are only counted.
    """

    message_id: str
    tenant: int
    sent_at: str
    recipient: str | None
    tag: str | None
    metadata: dict[str, str]
    message_key: str | None
    links: int
    has_html: bool
    withheld: bool


class MessagesPage(TypedDict):
    """Messages, those sent last first; null ends the pages."""

    messages: list[FoundMessageRecord]
    next_cursor: str | None


class MessageLinkFigures(ClickFigures):
    """One link of a message; `url` is null where it was taken away with what pointed to a person."""

    link_id: str
    url: str | None
    part: str
    position: int
    trap: bool


class MessageDetails(TypedDict):
    """One message and its links, by part and position."""

    message: FoundMessageRecord
    links: list[MessageLinkFigures]


class ErasedRows(TypedDict):
    """How many rows lost what points to a person; clicks to come on these links are only counted."""

    messages: int
    links: int
    clicks: int


class WithheldState(TypedDict):
    """Whether messages to this recipient are kept without it."""

    withheld: bool


class ExportedMessage(TypedDict):
    """A message to a person, with every click that is kept of it."""

    message: FoundMessageRecord
    links: list[MessageLinkFigures]
    clicks: list[FoundClickRecord]


class PersonalData(TypedDict):
    """All that is kept of a person."""

    recipient: str
    withheld: bool
    messages: list[ExportedMessage]

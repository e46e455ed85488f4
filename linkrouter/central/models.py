"""What crosses the border of central: the records that come in and go out.

Promise: the types here both check every request and describe it in `/openapi.json`. An unknown field is refused, and
what is wrong with a record is said in words that hold the field's name and its rule, never what was sent.

These are typed dicts and not models: a batch has a thousand clicks, and making an instance of each takes longer than
checking it.
"""

from typing import Annotated, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from linkrouter.central import fields
from linkrouter.central.fields import about

__all__ = [
    "ClickBatch",
    "ClickQuery",
    "ClickRecord",
    "ClickStats",
    "ClicksPage",
    "FoundClickRecord",
    "LossRecord",
    "MessageLinkRecord",
    "MessageRecord",
    "MissingClicks",
    "Readiness",
    "Receipt",
    "StatsQuery",
]

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class ClickRecord(TypedDict):
    """One request for a valid link, as a router saw it."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    id: Annotated[fields.Id, about("id")]
    link_id: Annotated[fields.LinkId, about("link_id")]
    tenant: Annotated[fields.Tenant, about("tenant")]
    part: Annotated[fields.Part, about("part")]
    clicked_at: Annotated[fields.Time, about("clicked_at")]
    ip: Annotated[fields.Ip | None, about("ip")]
    user_agent: Annotated[fields.UserAgent | None, about("user_agent")]
    kind: Annotated[fields.Kind, about("kind")]


class LossRecord(TypedDict):
    """Clicks that a router had to drop between two times; its id makes a resend harmless."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    id: Annotated[fields.Id, about("id")]
    reason: Annotated[fields.Word, about("reason")]
    count: Annotated[fields.Count, about("count")]
    since: Annotated[fields.Time, about("since")]
    until: Annotated[fields.Time, about("until")]


class ClickBatch(TypedDict):
    """What a router sends: all of it is kept, or nothing. An empty list of clicks asks whether batches are taken."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    router: Annotated[fields.Word, about("router")]
    clicks: Annotated[list[ClickRecord], Field(max_length=fields.MAX_CLICKS), about("clicks")]
    losses: NotRequired[Annotated[list[LossRecord], Field(max_length=fields.MAX_LOSSES), about("losses")]]


class MessageLinkRecord(TypedDict):
    """One tracked link of a message."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    link_id: Annotated[fields.LinkId, about("link_id")]
    url: Annotated[fields.Url, about("url")]
    part: Annotated[fields.Part, about("part")]
    position: Annotated[fields.PositionNumber, about("position")]
    trap: NotRequired[Annotated[bool, about("trap")]]


class MessageRecord(TypedDict):
    """What the encoder made of one mail. It may come before its clicks or after them."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    message_id: Annotated[fields.MessageId, about("message_id")]
    sent_at: Annotated[fields.Time, about("sent_at")]
    tenant: NotRequired[Annotated[fields.Tenant, about("tenant")]]
    recipient: NotRequired[Annotated[fields.Recipient | None, about("recipient")]]
    tag: NotRequired[Annotated[fields.Tag | None, about("tag")]]
    metadata: NotRequired[
        Annotated[
            dict[fields.MetadataName, fields.MetadataText], Field(max_length=fields.MAX_METADATA), about("metadata")
        ]
    ]
    message_key: NotRequired[Annotated[fields.MessageKey, about("message_key")]]
    links: Annotated[list[MessageLinkRecord], Field(max_length=fields.MAX_LINKS), about("links")]


class StatsQuery(TypedDict):
    """Which clicks are asked for; all conditions must hold, and `until` is not included."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    link_id: NotRequired[Annotated[fields.LinkId, about("link_id")]]
    message_id: NotRequired[Annotated[fields.MessageId, about("message_id")]]
    tag: NotRequired[Annotated[fields.Tag, about("tag")]]
    tenant: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_TENANT), about("tenant")]]
    since: NotRequired[Annotated[fields.Time, about("since")]]
    until: NotRequired[Annotated[fields.Time, about("until")]]


class ClickQuery(StatsQuery):
    """Which clicks are asked for, and which page of them."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    limit: NotRequired[Annotated[int, *fields.number_in_query(1, fields.MAX_PAGE), about("limit")]]
    cursor: NotRequired[Annotated[fields.Cursor, about("cursor")]]


class Receipt(TypedDict):
    """How much was new and how much was here already; together they are all that was sent."""

    stored: int
    duplicates: int


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


class ClickStats(TypedDict):
    """What was clicked. All but `by_kind` and `missing` is about kind `click` alone; `unique` counts distinct links."""

    total: int
    unique: int
    by_part: dict[str, int]
    by_kind: dict[str, int]
    first: str | None
    last: str | None
    missing: MissingClicks


class Readiness(TypedDict):
    """That the store takes writes."""

    ready: bool

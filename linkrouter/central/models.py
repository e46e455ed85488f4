"""What comes in over the border of central: records and queries.

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
from linkrouter.central.router_models import RouterReport

__all__ = [
    "BreakdownQuery",
    "ClickBatch",
    "ClickFilterQuery",
    "ClickQuery",
    "ClickRecord",
    "ClickTableQuery",
    "ErasureRecord",
    "ExportQuery",
    "LiveQuery",
    "LossRecord",
    "MessageLinkRecord",
    "MessageQuery",
    "MessageRecord",
    "MessageTableQuery",
    "OneMessageQuery",
    "SeriesQuery",
    "StatsQuery",
    "WithheldQuery",
    "WithheldRecord",
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
    takeback: NotRequired[Annotated[fields.RuleId | None, about("takeback")]]


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
    state: NotRequired[Annotated[RouterReport, about("state")]]
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
    html: NotRequired[Annotated[fields.MessageHtml, about("html")]]
    links: Annotated[list[MessageLinkRecord], Field(max_length=fields.MAX_LINKS), about("links")]


class CountedClicksQuery(TypedDict):
    """Which clicks count, whatever link or message they are on."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    tenant: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_TENANT), about("tenant")]]
    part: NotRequired[Annotated[fields.Part, about("part")]]
    browser: NotRequired[Annotated[fields.Value, about("browser")]]
    os: NotRequired[Annotated[fields.Value, about("os")]]
    platform: NotRequired[Annotated[fields.PlatformName, about("platform")]]
    country: NotRequired[Annotated[fields.Country, about("country")]]
    robots: NotRequired[Annotated[fields.RobotsMode, about("robots")]]
    since: NotRequired[Annotated[fields.Time, about("since")]]
    until: NotRequired[Annotated[fields.Time, about("until")]]


class ClickFilterQuery(CountedClicksQuery):
    """Which clicks are asked for; all conditions must hold, and `until` is not included."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    link_id: NotRequired[Annotated[fields.LinkId, about("link_id")]]
    message_id: NotRequired[Annotated[fields.MessageId, about("message_id")]]
    tag: NotRequired[Annotated[fields.Tag, about("tag")]]
    recipient: NotRequired[Annotated[fields.Recipient, about("recipient")]]
    url: NotRequired[Annotated[fields.Url, about("url")]]


class StatsQuery(ClickFilterQuery):
    """Which clicks are counted; machines are left out unless `robots` asks for them."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]


class SeriesQuery(ClickFilterQuery):
    """Which clicks are counted, and in which points of time."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    interval: NotRequired[Annotated[fields.IntervalName, about("interval")]]
    timezone: NotRequired[Annotated[fields.ZoneName, about("timezone")]]


class BreakdownQuery(ClickFilterQuery):
    """Which clicks are counted, by what, and how many values."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    dimension: Annotated[fields.DimensionName, about("dimension")]
    limit: NotRequired[Annotated[int, *fields.number_in_query(1, fields.MAX_PAGE), about("limit")]]


class PageQuery(ClickFilterQuery):
    """Which page is asked for, and how long it may be."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    limit: NotRequired[Annotated[int, *fields.number_in_query(1, fields.MAX_PAGE), about("limit")]]
    cursor: NotRequired[Annotated[fields.Cursor, about("cursor")]]


class ClickQuery(PageQuery):
    """Which clicks are asked for, and which page of them; machines are among them unless `robots` leaves them out."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]


class ClickTableQuery(ClickFilterQuery):
    """Which clicks are asked for, all of them in one table."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]


class LiveQuery(TypedDict):
    """Whose clicks are watched, and behind which event."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    tenant: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_TENANT), about("tenant")]]
    last_event_id: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_SEQ), about("last_event_id")]]


class MessageTableQuery(ClickFilterQuery):
    """Which messages are asked for: times are those of sending, and the rest says which of their clicks count."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]


class MessageQuery(PageQuery):
    """Which messages are asked for, and which page of them."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]


class OneMessageQuery(CountedClicksQuery):
    """Which message is asked for, and which of its clicks count."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    message_id: Annotated[fields.MessageId, about("message_id")]


class ErasureRecord(TypedDict):
    """Whose data is taken away: a recipient's, or that of one message. Without a tenant it is that of all tenants."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    recipient: NotRequired[Annotated[fields.Recipient, about("recipient")]]
    message_id: NotRequired[Annotated[fields.MessageId, about("message_id")]]
    tenant: NotRequired[Annotated[fields.Tenant, about("tenant")]]


class WithheldRecord(TypedDict):
    """Who withheld consent."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    recipient: Annotated[fields.Recipient, about("recipient")]
    tenant: NotRequired[Annotated[fields.Tenant, about("tenant")]]


class WithheldQuery(TypedDict):
    """Who gave consent again."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    recipient: Annotated[fields.Recipient, about("recipient")]
    tenant: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_TENANT), about("tenant")]]


class ExportQuery(WithheldQuery):
    """Whose data is asked for."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

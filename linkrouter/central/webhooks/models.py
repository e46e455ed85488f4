"""What comes in and goes out about webhooks."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from linkrouter.central import fields
from linkrouter.central.fields import RULES
from linkrouter.central.store.webhooks import DeliveryPosition, DeliveryState
from linkrouter.central.webhooks.bodies import DIALECTS, EVENT_TYPES
from linkrouter.errors import BadLink
from linkrouter.link.codec import decode_base64url, encode_base64url

__all__ = [
    "WEBHOOK_RULES",
    "AttemptResult",
    "DeliveriesPage",
    "DeliveriesQuery",
    "DeliveryRecord",
    "DroppedEndpoint",
    "EndpointChanges",
    "EndpointFilters",
    "EndpointOrder",
    "EndpointQuery",
    "EndpointRecord",
    "EndpointsList",
    "EndpointsQuery",
    "NewEndpoint",
    "NewSecret",
    "ReplayOrder",
    "Replayed",
    "parse_delivery_cursor",
    "write_delivery_cursor",
]

MAX_REPLAYED_IDS = 1000

WEBHOOK_RULES = {
    "cursor": RULES["cursor"],
    "dialect": f"one of {', '.join(DIALECTS)}; without it {next(iter(DIALECTS))}",
    "filters": "an object of tenant, tag and robots (exclude, include or only; without it exclude)",
    "id": "the id that an endpoint was given",
    "ids": f"a list of at most {MAX_REPLAYED_IDS} ids of events",
    "limit": RULES["limit"],
    "robots": RULES["robots"],
    "settle": "1 to send a click once it has its label, 0 to send it at once; without it 1",
    "since": RULES["since"],
    "state": "active or disabled for an endpoint; pending, delivered or failed for a delivery",
    "tag": RULES["tag"],
    "tenant": RULES["tenant"],
    "types": f"a list of some of {', '.join(EVENT_TYPES)}; without it link.clicked",
    "until": RULES["until"],
    "url": "an https URL of a public address, or one in a network that ALLOW_NETWORK opens",
}
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def _about(name: str) -> Any:
    return Field(description=WEBHOOK_RULES[name])


def write_delivery_cursor(position: DeliveryPosition) -> str:
    """Write where a page ended, for the caller to hand back."""
    return encode_base64url(":".join(map(str, position)).encode("ascii"))


def parse_delivery_cursor(text: str) -> DeliveryPosition:
    """Read where a page ended.

    Raises:
        ValueError: it is not what `write_delivery_cursor` gave.
    """
    try:
        at, log, number = map(int, decode_base64url(text).decode("ascii").split(":"))
    except (BadLink, ValueError):
        raise ValueError("not a cursor") from None
    position = DeliveryPosition(at, log, number)
    if write_delivery_cursor(position) != text or max(position) >= 2**63:
        raise ValueError("not a cursor")
    return position


_CURSOR_MARKS = fields.from_text(
    parse_delivery_cursor,
    {"type": "string", "maxLength": 128, "pattern": "^[A-Za-z0-9_-]+$"},
    max_length=128,
)
EndpointId = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
EventTypeName = Literal[
    "link.clicked", "link.relabelled", "takeback.applied", "link.broken", "link.flagged", "link.recovered"
]
EventTypes = Annotated[list[EventTypeName], Field(min_length=1, max_length=len(EVENT_TYPES))]
DialectName = Literal["standard", "postmark", "mailgun"]


class EndpointFilters(TypedDict):
    """Which events are wanted besides their type; a tenant's token always means its own tenant."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    tenant: NotRequired[Annotated[fields.Tenant | None, _about("tenant")]]
    tag: NotRequired[Annotated[fields.Tag | None, _about("tag")]]
    robots: NotRequired[Annotated[fields.RobotsMode, _about("robots")]]


class EndpointOrder(TypedDict):
    """Where events are to go, and which; what is stored from then on is sent."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    url: Annotated[fields.Url, _about("url")]
    types: NotRequired[Annotated[EventTypes, _about("types")]]
    dialect: NotRequired[Annotated[DialectName, _about("dialect")]]
    filters: NotRequired[Annotated[EndpointFilters, _about("filters")]]
    settle: NotRequired[Annotated[Literal[0, 1], _about("settle")]]


class EndpointChanges(TypedDict):
    """What is to be otherwise; the rest stays. An endpoint that is active again goes on where it stopped."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    url: NotRequired[Annotated[fields.Url, _about("url")]]
    types: NotRequired[Annotated[EventTypes, _about("types")]]
    dialect: NotRequired[Annotated[DialectName, _about("dialect")]]
    filters: NotRequired[Annotated[EndpointFilters, _about("filters")]]
    settle: NotRequired[Annotated[Literal[0, 1], _about("settle")]]
    state: NotRequired[Annotated[Literal["active", "disabled"], _about("state")]]


class EndpointsQuery(TypedDict):
    """Whose endpoints are asked for."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    tenant: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_TENANT), _about("tenant")]]


class EndpointQuery(TypedDict):
    """Which endpoint is meant."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    id: Annotated[EndpointId, _about("id")]


class DeliveriesQuery(EndpointQuery):
    """Which deliveries to an endpoint are asked for; times are those of the first attempt."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    state: NotRequired[Annotated[DeliveryState, _about("state")]]
    since: NotRequired[Annotated[fields.Time, _about("since")]]
    until: NotRequired[Annotated[fields.Time, _about("until")]]
    limit: NotRequired[Annotated[int, *fields.number_in_query(1, fields.MAX_PAGE), _about("limit")]]
    cursor: NotRequired[Annotated[DeliveryPosition, *_CURSOR_MARKS, _about("cursor")]]


class ReplayOrder(TypedDict):
    """Which deliveries are to be tried again from the start: all conditions must hold, and one must be there."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    ids: NotRequired[Annotated[list[fields.Id], Field(min_length=1, max_length=MAX_REPLAYED_IDS), _about("ids")]]
    state: NotRequired[Annotated[DeliveryState, _about("state")]]
    since: NotRequired[Annotated[fields.Time, _about("since")]]
    until: NotRequired[Annotated[fields.Time, _about("until")]]


class EndpointFiltersRecord(TypedDict):
    """Which events are wanted besides their type; null is every tenant, or every tag."""

    tenant: int | None
    tag: str | None
    robots: str


class EndpointRecord(TypedDict):
    """An endpoint and how it does: `failures` are rounds in a row in which nothing was taken.

    What stands before the host of `url` is not shown, and no secret is.
    """

    id: str
    url: str
    types: list[str]
    dialect: str
    filters: EndpointFiltersRecord
    settle: int
    state: str
    reason: str
    failures: int
    failing_since: str | None
    paused_until: str | None
    created_at: str


class NewEndpoint(EndpointRecord):
    """An endpoint that was just made, with its secret, which is not shown again."""

    secret: str


class EndpointsList(TypedDict):
    """Every endpoint, in the order they were made."""

    webhooks: list[EndpointRecord]


class DroppedEndpoint(TypedDict):
    """Which endpoint gets nothing any more."""

    id: str


class NewSecret(TypedDict):
    """The new secret, which is not shown again, and until when the old one signs, too."""

    secret: str
    old_until: str


class AttemptResult(TypedDict):
    """What came of an attempt: the status, or why there was no answer."""

    delivered: bool
    status: int | None
    error: str | None


class DeliveryRecord(TypedDict):
    """One event and how it was sent; `next_at` is when it is tried again."""

    event_id: str
    type: str
    state: str
    attempts: int
    status: int | None
    error: str | None
    first_at: str
    last_at: str
    next_at: str | None


class DeliveriesPage(TypedDict):
    """Deliveries, the newest first; null ends the pages."""

    deliveries: list[DeliveryRecord]
    next_cursor: str | None


class Replayed(TypedDict):
    """How many deliveries are tried again."""

    replayed: int

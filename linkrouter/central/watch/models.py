"""What is asked and answered about watched destinations."""

import shlex
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from linkrouter.central import fields
from linkrouter.central.fields import RULES

__all__ = [
    "WATCH_RULES",
    "ChangedLink",
    "ChangedLinks",
    "WatchEventRecord",
    "WatchEvents",
    "WatchEventsQuery",
    "WatchedQuery",
    "take_back_command",
]

WATCH_RULES = {
    "after": f"a whole number from 0 to {fields.MAX_SEQ}",
    "limit": RULES["limit"],
    "tenant": RULES["tenant"],
}
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def _about(name: str) -> Any:
    return Field(description=WATCH_RULES[name])


class WatchedQuery(TypedDict):
    """Whose destinations are asked for, and how many at most."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    limit: NotRequired[Annotated[int, *fields.number_in_query(1, fields.MAX_PAGE), _about("limit")]]
    tenant: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_TENANT), _about("tenant")]]


class WatchEventsQuery(WatchedQuery):
    """Behind which event the next ones are asked for."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    after: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_SEQ), _about("after")]]


class ChangedLink(TypedDict):
    """A destination that changed: how it is now, why, since when, whom it concerns, and the command that answers it.

    `state` is broken, flagged, or fine for one that recovered; `reason` and `checked_at` are those of the last look.
    `stopped_by` is the id of the rule by which central has stopped it by itself, where it may.
    """

    url: str
    tenant: int
    state: str
    reason: str
    changed_at: str | None
    checked_at: str | None
    sent_at: str
    messages: int
    clicks: int
    stopped_by: str | None
    command: str


class ChangedLinks(TypedDict):
    """Destinations that changed, the bad ones first, then those with the most clicks.

    `watched` destinations are looked at, of which the looks of `due` wait for their turn; 0 when watching is off.
    """

    days: int
    watched: int
    due: int
    links: list[ChangedLink]


class WatchEventRecord(TypedDict):
    """One event: link.broken, link.flagged or link.recovered, with what was known at its time.

    `stopped_by` is the id of the rule by which central has stopped the destination by itself, where it may.
    """

    seq: int
    id: str
    type: str
    at: str
    tenant: int
    url: str
    reason: str
    messages: int
    clicks: int
    stopped_by: str | None
    command: str


class WatchEvents(TypedDict):
    """Events in the order they came; `seq` goes into the next request as `after`."""

    events: list[WatchEventRecord]
    seq: int


def take_back_command(action: str, url: str, tenant: int, central_url: str) -> str:
    """Write the command that stops or lifts all links to *url*, quoted for a shell.

    It is run where the keyring and a token of scope takebacks are.
    """
    words = ["linkrouter", "takeback", action, "--keys", "keys.json", "--url", url]
    words += ["--tenant", str(tenant)] if tenant else []
    return shlex.join([*words, "--central", central_url, "--token-file", "api-token"])

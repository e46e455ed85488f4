"""What comes in and goes out about take-backs; `linkrouter.link.takeback` is what judges the shape of a rule."""

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from linkrouter.central import fields
from linkrouter.central.fields import RULES
from linkrouter.link.keyfile import MAX_KEYS

__all__ = [
    "MAX_RULES",
    "TAKE_BACK_RULES",
    "MatchCounts",
    "MatchQuestion",
    "ReaderRecord",
    "RuleReceipt",
    "RuleRecord",
    "RulesBatch",
    "RulesList",
    "RulesQuery",
    "RulesState",
    "StateQuery",
    "StoredRuleRecord",
]

MAX_RULES = 1000  # in one request or answer: parsing more at once would hold up a router's redirects

_SEQ_RULE = f"a whole number from 0 to {fields.MAX_SEQ}"
TAKE_BACK_RULES = {
    "after": _SEQ_RULE,
    "applied": _SEQ_RULE,
    "before": _SEQ_RULE,
    "limit": f"a whole number from 1 to {MAX_RULES}",
    "link_id": RULES["link_id"],
    "matches": "a list of at most 15 matches of a rule",
    "message_id": RULES["message_id"],
    "message_key": RULES["message_key"],
    "origin": RULES["url"],
    "router": RULES["router"],
    "rules": f"a list of at most {MAX_RULES} take-backs, as docs/take-backs.md describes them",
    "tenant": RULES["tenant"],
    "url": RULES["url"],
}
RuleMatch = Annotated[str, Field(max_length=64, pattern=r"^[a-z]+:[A-Za-z0-9_-]+$")]
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def _about(name: str) -> Any:
    return Field(description=TAKE_BACK_RULES[name])


class RulesBatch(TypedDict):
    """Rules that somebody signed: all of them are kept, or nothing."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    rules: Annotated[list[Any], Field(max_length=MAX_RULES), _about("rules")]


class RulesQuery(TypedDict):
    """Behind which rule the list is asked for, and up to which one the workers of *router* have it in force."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    after: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_SEQ), _about("after")]]
    limit: NotRequired[Annotated[int, *fields.number_in_query(1, MAX_RULES), _about("limit")]]
    router: NotRequired[Annotated[fields.Word, _about("router")]]
    applied: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_SEQ), _about("applied")]]


class StateQuery(TypedDict):
    """Which page of the rules is asked for: those before a number, the newest first."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    before: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_SEQ), _about("before")]]
    limit: NotRequired[Annotated[int, *fields.number_in_query(1, MAX_RULES), _about("limit")]]
    tenant: NotRequired[Annotated[int, *fields.number_in_query(0, fields.MAX_TENANT), _about("tenant")]]


class MatchQuestion(TypedDict):
    """Which sent links a rule would match: one field besides the tenant, and the rule's match under each key."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    tenant: NotRequired[Annotated[fields.Tenant, _about("tenant")]]
    matches: NotRequired[Annotated[list[RuleMatch], Field(max_length=MAX_KEYS), _about("matches")]]
    url: NotRequired[Annotated[fields.Url, _about("url")]]
    origin: NotRequired[Annotated[fields.Url, _about("origin")]]
    link_id: NotRequired[Annotated[fields.LinkId, _about("link_id")]]
    message_id: NotRequired[Annotated[fields.MessageId, _about("message_id")]]
    message_key: NotRequired[Annotated[fields.MessageKey, _about("message_key")]]


class RuleReceipt(TypedDict):
    """How many rules were new and how many were here already, and the number of the last rule there is."""

    stored: int
    duplicates: int
    seq: int


class RuleRecord(TypedDict):
    """A rule, as docs/take-backs.md describes it."""

    id: str
    tenant: int
    match: str
    action: str
    to: str
    at: int
    key: int
    tag: str


class RulesList(TypedDict):
    """Rules in the order they came, and the number up to which that is all."""

    rules: list[RuleRecord]
    seq: int


class StoredRuleRecord(TypedDict):
    """A rule with its number, when and by whose token it came, how many routers have it, how many clicks it turned."""

    seq: int
    rule: RuleRecord
    added_at: str
    added_by: str
    routers: int
    clicks: int


class ReaderRecord(TypedDict):
    """Up to which number a router has the rules in force, and for how long it has said nothing."""

    router: str
    seq: int
    seen_at: str
    silent_seconds: float


class RulesState(TypedDict):
    """The number of the last rule, rules with the newest first (null ends the pages), and how far each router is.

    A tenant's token does not see the routers by name.
    """

    seq: int
    rules: list[StoredRuleRecord]
    next_before: int | None
    routers: list[ReaderRecord]


class MatchCounts(TypedDict):
    """How many links were sent that match, in how many messages; the key of the message that was asked for.

    `newest` is the rule for one of `matches` that was made last.
    """

    links: int
    messages: int
    message_key: str | None
    newest: RuleRecord | None

"""From Postmark's query fields to what is asked of the store.

Promise: dates are days in New York, where Postmark's days begin, and both ends are included.
"""

from datetime import datetime, timedelta
from importlib.resources import files
from typing import Annotated, Literal, NamedTuple, NotRequired
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypedDict

from linkrouter.central import fields
from linkrouter.central.postmark.companies import BROWSERS_OF, SYSTEMS_OF
from linkrouter.central.store.questions import ClickFilter, LabelText
from linkrouter.units import SECOND_US
from linkrouter.web.tokens import Caller

__all__ = [
    "MOST_CLICKS",
    "POSTMARK_RULES",
    "POSTMARK_ZONE",
    "FamilyStatsQuery",
    "MessageClicksQuery",
    "PostmarkClicksQuery",
    "PostmarkStatsQuery",
    "country_names",
    "read_click_filter",
    "read_stats_filter",
]

MOST_CLICKS = 10_000  # that a list of clicks reaches
POSTMARK_ZONE = ZoneInfo("America/New_York")

_TEXT_RULE = "1 to 256 characters without control characters"
_DATE_RULE = "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS from 1970 on, as it is in New York"

POSTMARK_RULES = {
    "breakdown": "browserfamilies, platforms or location",
    "city": _TEXT_RULE,
    "clientcompany": _TEXT_RULE,
    "clientfamily": _TEXT_RULE,
    "clientname": _TEXT_RULE,
    "count": "a whole number from 1 to 500",
    "country": _TEXT_RULE,
    "fromdate": _DATE_RULE,
    "messageid": fields.RULES["message_id"],
    "messagestream": "outbound; there is no other stream",
    "offset": f"a whole number from 0 to {MOST_CLICKS}; with count at most {MOST_CLICKS}",
    "oscompany": _TEXT_RULE,
    "osfamily": _TEXT_RULE,
    "osname": _TEXT_RULE,
    "platform": "Desktop, Mobile, WebMail or Unknown",
    "recipient": fields.RULES["recipient"],
    "region": _TEXT_RULE,
    "robots": fields.RULES["robots"],
    "tag": fields.RULES["tag"],
    "todate": _DATE_RULE,
}

_LENIENT = ConfigDict(strict=True, extra="ignore")
_PLATFORMS: dict[str, tuple[str, ...]] = {
    "desktop": ("desktop",),
    "mobile": ("mobile", "tablet"),
    "webmail": (),
    "unknown": ("unknown",),
}


class _Span(NamedTuple):
    """A day, or a second: its begin and its end, which is not in it, in microseconds since the epoch."""

    since: int
    until: int


def _parse_date(text: object) -> _Span:
    if not isinstance(text, str) or len(text) not in (10, 19):
        raise ValueError("not a date")
    begin = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S" if len(text) == 19 else "%Y-%m-%d").replace(
        tzinfo=POSTMARK_ZONE
    )
    end = begin + (timedelta(seconds=1) if len(text) == 19 else timedelta(days=1))  # on the clock's face
    if begin.year < 1970:
        raise ValueError("before 1970")
    return _Span(int(begin.timestamp()) * SECOND_US, int(end.timestamp()) * SECOND_US)


def _about(name: str) -> object:
    return Field(description=POSTMARK_RULES[name])


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


_Date = Annotated[_Span, BeforeValidator(_parse_date), WithJsonSchema({"type": "string"})]
_Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Stream = Annotated[Literal["outbound"], BeforeValidator(_lower)]
_Platform = Annotated[Literal["desktop", "mobile", "webmail", "unknown"], BeforeValidator(_lower)]
_Breakdown = Annotated[Literal["browserfamilies", "platforms", "location"], BeforeValidator(_lower)]


class PostmarkStatsQuery(TypedDict):
    """Which clicks are counted; machines are left out unless `robots` asks for them."""

    __pydantic_config__ = _LENIENT  # type: ignore[misc]
    tag: NotRequired[Annotated[fields.Tag, _about("tag")]]
    fromdate: NotRequired[Annotated[_Date, _about("fromdate")]]
    todate: NotRequired[Annotated[_Date, _about("todate")]]
    messagestream: NotRequired[Annotated[_Stream, _about("messagestream")]]
    robots: NotRequired[Annotated[fields.RobotsMode, _about("robots")]]


class FamilyStatsQuery(PostmarkStatsQuery):
    """Which clicks are counted, and by what."""

    __pydantic_config__ = _LENIENT  # type: ignore[misc]
    breakdown: Annotated[_Breakdown, _about("breakdown")]


class PostmarkClicksQuery(PostmarkStatsQuery):
    """Which clicks are asked for, and which of them."""

    __pydantic_config__ = _LENIENT  # type: ignore[misc]
    count: Annotated[int, *fields.number_in_query(1, 500), _about("count")]
    offset: Annotated[int, *fields.number_in_query(0, MOST_CLICKS), _about("offset")]
    recipient: NotRequired[Annotated[fields.Recipient, _about("recipient")]]
    clientname: NotRequired[Annotated[_Text, _about("clientname")]]
    clientcompany: NotRequired[Annotated[_Text, _about("clientcompany")]]
    clientfamily: NotRequired[Annotated[_Text, _about("clientfamily")]]
    osname: NotRequired[Annotated[_Text, _about("osname")]]
    oscompany: NotRequired[Annotated[_Text, _about("oscompany")]]
    osfamily: NotRequired[Annotated[_Text, _about("osfamily")]]
    platform: NotRequired[Annotated[_Platform, _about("platform")]]
    country: NotRequired[Annotated[_Text, _about("country")]]
    region: NotRequired[Annotated[_Text, _about("region")]]
    city: NotRequired[Annotated[_Text, _about("city")]]


class MessageClicksQuery(PostmarkClicksQuery):
    """Of which message clicks are asked for, and which of them."""

    __pydantic_config__ = _LENIENT  # type: ignore[misc]
    messageid: Annotated[fields.MessageId, _about("messageid")]


def country_names() -> dict[str, str]:
    """Give the name of each country by its ISO 3166-1 code, from the time zone database."""
    table = files("tzdata").joinpath("zoneinfo/iso3166.tab").read_text("utf-8")
    rows = (line.split("\t") for line in table.splitlines() if line and not line.startswith("#"))
    return {code: name for code, name, *_ in rows}


def read_stats_filter(query: PostmarkStatsQuery, caller: Caller) -> ClickFilter:
    """Give what to count; a tenant's token asks for that tenant alone."""
    return ClickFilter(
        tag=query.get("tag"),
        tenant=caller.narrow(None),
        since=query["fromdate"].since if "fromdate" in query else None,
        until=query["todate"].until if "todate" in query else None,
        robots=query.get("robots", "exclude"),
    )


def read_click_filter(
    query: PostmarkClicksQuery, caller: Caller, message_id: str | None, countries: dict[str, str]
) -> ClickFilter:
    """Give which clicks to list: never those of who withheld consent, since they have nothing to show."""
    asked = read_stats_filter(query, caller)
    any_of: list[tuple[LabelText, tuple[str, ...]]] = []
    if family := query.get("clientfamily"):
        any_of.append(("browser", (family,)))
    if company := query.get("clientcompany"):
        any_of.append(("browser", BROWSERS_OF.get(company, ())))
    return ClickFilter(
        tag=asked.tag,
        tenant=asked.tenant,
        since=asked.since,
        until=asked.until,
        robots=asked.robots,
        message_id=message_id,
        recipient=query.get("recipient"),
        any_of=(*any_of, *_places_and_systems(query, countries)),
        with_person=True,
    )


def _places_and_systems(
    query: PostmarkClicksQuery, countries: dict[str, str]
) -> list[tuple[LabelText, tuple[str, ...]]]:
    found: list[tuple[LabelText, tuple[str, ...]]] = []
    found += [("os", (name,)) for name in (query.get("osname"), query.get("osfamily")) if name]
    if company := query.get("oscompany"):
        found.append(("os", SYSTEMS_OF.get(company, ())))
    if platform := query.get("platform"):
        found.append(("platform", _PLATFORMS[platform]))
    if country := query.get("country"):
        named = tuple(code for code, name in countries.items() if name == country)
        found.append(("country", (country.upper(), *named)))
    if region := query.get("region"):
        found.append(("region", (region,)))
    if city := query.get("city"):
        found.append(("city", (city,)))
    return found

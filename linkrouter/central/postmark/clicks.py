"""Postmark's list of clicks: `/messages/outbound/clicks`, and those of one message.

Promise: `TotalCount` is how many can be reached by paging, so that no client pages for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from typing_extensions import TypedDict

from linkrouter.central.clicks import click_record
from linkrouter.central.labels import UNKNOWN
from linkrouter.central.postmark.companies import BROWSERS_OF, SYSTEMS_OF, company_of
from linkrouter.central.postmark.queries import (
    MOST_CLICKS,
    MessageClicksQuery,
    PostmarkClicksQuery,
    country_names,
    read_click_filter,
)
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.records import FoundClick
from linkrouter.insight import describe_agent
from linkrouter.units import SECOND_US
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.tokens import Caller

__all__ = ["PostmarkClick", "PostmarkClickList", "PostmarkClicks", "PostmarkGeo", "PostmarkProgram", "postmark_click"]

TOO_FAR = Refusal(422, Fault(f"count and offset together must be at most {MOST_CLICKS}"))
PLATFORMS = {"desktop": "Desktop", "mobile": "Mobile", "tablet": "Mobile"}


class PostmarkProgram(TypedDict):
    """A browser or a system."""

    Name: str
    Company: str
    Family: str


class PostmarkGeo(TypedDict):
    """Where an address is, as far as that is known."""

    CountryISOCode: str
    Country: str
    RegionISOCode: str
    Region: str
    City: str
    Zip: str
    Coords: str
    IP: str


class PostmarkClick(TypedDict):
    """One click."""

    RecordType: str
    ClickLocation: str
    Client: PostmarkProgram
    OS: PostmarkProgram
    Platform: str
    UserAgent: str
    OriginalLink: str
    Geo: PostmarkGeo
    MessageID: str
    MessageStream: str
    ReceivedAt: str
    Tag: str
    Recipient: str


class PostmarkClickList(TypedDict):
    """Some clicks, and how many can be reached."""

    TotalCount: int
    Clicks: list[PostmarkClick]


@dataclass(frozen=True, slots=True)
class PostmarkClicks:
    """What the answers need."""

    store: CentralStore
    countries: dict[str, str] = field(default_factory=country_names)

    async def list(self, query: PostmarkClicksQuery, caller: Caller) -> PostmarkClickList | Refusal:
        """Give clicks as Postmark does, the newest first."""
        return await self._give(query, read_click_filter(query, caller, None, self.countries))

    async def list_of_message(self, query: MessageClicksQuery, caller: Caller) -> PostmarkClickList | Refusal:
        """Give the clicks on one message as Postmark does, the newest first."""
        return await self._give(query, read_click_filter(query, caller, query["messageid"], self.countries))

    async def _give(self, query: PostmarkClicksQuery, asked: ClickFilter) -> PostmarkClickList | Refusal:
        count, offset = query["count"], query["offset"]
        if count + offset > MOST_CLICKS:
            return TOO_FAR
        name = query.get("clientname")
        if name is not None:  # it has a version, which no label has
            found = [
                postmark_click(one, self.countries) for one in await self.store.find_clicks(asked, None, MOST_CLICKS)
            ]
            named = [record for record in found if name in (record["Client"]["Name"], record["Client"]["Family"])]
            return {"TotalCount": len(named), "Clicks": named[offset : offset + count]}
        total = await self.store.count_clicks(asked, MOST_CLICKS)
        page = await self.store.find_clicks(asked, None, count, offset)
        return {"TotalCount": total, "Clicks": [postmark_click(one, self.countries) for one in page]}


def postmark_click(found: FoundClick, countries: Mapping[str, str]) -> PostmarkClick:
    """Give a click as Postmark does; *countries* has their names by code."""
    click, own = found.click, click_record(found)
    agent, place = own["agent"], own["place"]
    family, system = _known(agent["browser"]), _known(agent["os"])
    version = describe_agent(click.user_agent).browser_version
    country = _known(place["country"])
    return {
        "RecordType": "Click",
        "ClickLocation": "HTML" if click.part == "html" else "Text",
        "Client": {
            "Name": f"{family} {version}".strip() if family else "",
            "Company": company_of(family, BROWSERS_OF),
            "Family": family,
        },
        "OS": {"Name": system, "Company": company_of(system, SYSTEMS_OF), "Family": system},
        "Platform": PLATFORMS.get(agent["platform"], "Unknown"),
        "UserAgent": click.user_agent or "",
        "OriginalLink": found.url or "",
        "Geo": {
            "CountryISOCode": country,
            "Country": countries.get(country, ""),
            "RegionISOCode": "",
            "Region": _known(place["region"]),
            "City": _known(place["city"]),
            "Zip": "",
            "Coords": "",
            "IP": click.ip or "",
        },
        "MessageID": found.message_id or "",
        "MessageStream": "outbound",
        "ReceivedAt": _write_time(click.clicked_at),
        "Tag": found.tag or "",
        "Recipient": found.recipient or "",
    }


def _known(text: str) -> str:
    return "" if text == UNKNOWN else text


def _write_time(time_us: int) -> str:
    """Write a time with seven digits behind the second, as Postmark does."""
    second, rest = divmod(time_us, SECOND_US)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06}0Z"

"""Single clicks: a page, or all of them as a table."""

from collections.abc import AsyncIterator
from typing import Any

from linkrouter.central.answers import ClicksPage, FoundClickRecord
from linkrouter.central.fields import write_cursor
from linkrouter.central.labels import UNKNOWN
from linkrouter.central.models import ClickQuery, ClickTableQuery
from linkrouter.central.queries import DEFAULT_PAGE, TABLE_PAGE, read_filter
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.records import FoundClick, FoundLabel, Position
from linkrouter.clicks.click import iso_utc
from linkrouter.insight import describe_agent
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller

__all__ = ["click_record", "list_clicks", "tabulate_clicks"]

CLICK_COLUMNS = (
    "id",
    "clicked_at",
    "kind",
    "part",
    "tenant",
    "tag",
    "message_id",
    "recipient",
    "link_id",
    "url",
    "browser",
    "os",
    "platform",
    "country",
    "region",
    "city",
    "ip",
    "user_agent",
    "robot",
    "reasons",
    "takeback",
)


async def list_clicks(store: CentralStore, query: ClickQuery, caller: Caller) -> ClicksPage | Refusal:
    """Give clicks, the newest first, a page at a time."""
    asked = read_filter(query, caller, "include")
    if isinstance(asked, Refusal):
        return asked
    limit = query.get("limit", DEFAULT_PAGE)
    found = await store.find_clicks(asked, query.get("cursor"), limit + 1)
    page = found[:limit]
    more = len(found) > limit
    return {
        "clicks": [click_record(one) for one in page],
        "next_cursor": write_cursor(_position(page[-1])) if more else None,
    }


async def tabulate_clicks(
    store: CentralStore, query: ClickTableQuery, caller: Caller
) -> AsyncIterator[tuple[str | int | None, ...]] | Refusal:
    """Give all clicks as a table, the newest first."""
    asked = read_filter(query, caller, "include")
    if isinstance(asked, Refusal):
        return asked

    async def rows() -> AsyncIterator[tuple[str | int | None, ...]]:
        yield CLICK_COLUMNS
        after: Position | None = None
        while found := await store.find_clicks(asked, after, TABLE_PAGE):
            for one in found:
                yield _row(click_record(one))
            after = _position(found[-1])

    return rows()


def _position(found: FoundClick) -> Position:
    return Position(found.click.clicked_at, found.click.id)


def click_record(found: FoundClick) -> FoundClickRecord:
    """Give a click as the API gives it."""
    click, label = found.click, found.label or _unlabelled(found.click.user_agent)
    return {
        "id": click.id,
        "link_id": click.link_id,
        "tenant": click.tenant,
        "part": click.part,
        "clicked_at": iso_utc(click.clicked_at),
        "ip": click.ip,
        "user_agent": click.user_agent,
        "kind": click.kind,
        "message_id": found.message_id,
        "recipient": found.recipient,
        "tag": found.tag,
        "url": found.url,
        "agent": {"browser": label.browser, "os": label.os, "platform": label.platform},
        "place": {"country": label.country, "region": label.region, "city": label.city},
        "robot": {"label": label.robot, "reasons": list(label.reasons), "version": label.version},
        "takeback": click.takeback,
    }


def _unlabelled(user_agent: str | None) -> FoundLabel:
    """Say what can be said of a click before it has settled."""
    agent = describe_agent(user_agent) if user_agent else None
    browser, system, platform = ((agent and getattr(agent, name)) or UNKNOWN for name in ("browser", "os", "platform"))
    return FoundLabel(browser, system, platform, UNKNOWN, "", "", "unsure", (), 0)


def _row(record: FoundClickRecord) -> tuple[str | int | None, ...]:
    values: dict[str, Any] = {**record, **record["agent"], **record["place"]}
    values |= {"robot": record["robot"]["label"], "reasons": " ".join(record["robot"]["reasons"])}
    return tuple(values[name] for name in CLICK_COLUMNS)

"""Telling: which clicks there were, and how many.

Promise: only kind `click` is counted; what mail programs fetched ahead or asked for by HEAD is reported beside it.
"""

from linkrouter.central.fields import write_cursor
from linkrouter.central.models import ClickQuery, ClicksPage, ClickStats, FoundClickRecord, StatsQuery
from linkrouter.central.store.interface import CentralStore, ClickFilter, FoundClick, Position
from linkrouter.clicks.click import KINDS, iso_utc
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller

__all__ = ["count_clicks", "list_clicks"]

DEFAULT_PAGE = 100  # clicks


async def list_clicks(store: CentralStore, query: ClickQuery, caller: Caller) -> ClicksPage | Refusal:
    """Give clicks, the newest first, a page at a time."""
    if not caller.sees(query.get("tenant")):
        return Refusal(403)
    limit = query.get("limit", DEFAULT_PAGE)
    found = await store.find_clicks(_filter(query, caller), query.get("cursor"), limit + 1)
    page = found[:limit]
    more = len(found) > limit
    last = Position(page[-1].click.clicked_at, page[-1].click.id) if more else None
    return {"clicks": [_record(one) for one in page], "next_cursor": write_cursor(last) if last else None}


async def count_clicks(store: CentralStore, query: StatsQuery, caller: Caller) -> ClickStats | Refusal:
    """Count clicks by part and kind, and say how many clicks routers had to drop meanwhile."""
    if not caller.sees(query.get("tenant")):
        return Refusal(403)
    counts = await store.count_clicks(_filter(query, caller))
    by_part = {part: counts.by.get(("click", part), 0) for part in ("html", "text")}
    return {
        "total": sum(by_part.values()),
        "unique": counts.unique,
        "by_part": by_part,
        "by_kind": {kind: sum(n for (of, _), n in counts.by.items() if of == kind) for kind in KINDS},
        "first": _time(counts.first),
        "last": _time(counts.last),
        "missing": {
            "count": sum(counts.missing.values()),
            "by_reason": dict(counts.missing),
            "since": _time(counts.missing_since),
            "until": _time(counts.missing_until),
        },
    }


def _filter(query: StatsQuery | ClickQuery, caller: Caller) -> ClickFilter:
    """Give what to look for; a tenant's token asks for that tenant's clicks, whatever else it asks for."""
    return ClickFilter(
        link_id=query.get("link_id"),
        message_id=query.get("message_id"),
        tag=query.get("tag"),
        tenant=query.get("tenant") if caller.tenant is None else caller.tenant,
        since=query.get("since"),
        until=query.get("until"),
    )


def _record(found: FoundClick) -> FoundClickRecord:
    click = found.click
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
    }


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else iso_utc(time_us)

"""The outbox in SQL: what each endpoint is to get next.

Promise: the clicks are the outbox themselves, by number, so that an event costs nothing to keep until it is sent, is
gone when its person's data is erased, and is sent as it is known then. A look reads a bounded number of rows.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from linkrouter.central.roll_ups import MACHINE, ROBOTS_BY_NUMBER
from linkrouter.central.store.sql.click_log import IS_MACHINE, OF_TAG, THESE, read_clicks
from linkrouter.central.store.sql.database import SqlConnection, in_snapshot
from linkrouter.central.store.sql.endpoints import SqlEndpoints
from linkrouter.central.store.sql.labels import LATEST
from linkrouter.central.store.sql.watch import EVENT_COLUMNS
from linkrouter.central.store.watch import WatchEvent
from linkrouter.central.store.webhooks import (
    LOGS,
    ClickEvent,
    DueEvent,
    Endpoint,
    EventKey,
    EventPage,
    LogName,
    OutboxEvent,
    WatchedEvent,
)

__all__ = ["SqlOutbox"]

SCANNED_ROWS = 5000  # in one look

# The number of the last event there is.
HEADS_OF_LOGS = {
    "click": LATEST,
    "settled": "SELECT seq FROM progress WHERE name = 'labelled'",  # of the clicks that have their label
    "relabelled": "SELECT coalesce(max(seq), 0) FROM relabelled",
    "watched": "SELECT coalesce(max(seq), 0) FROM link_events",
}
NEXT_OF_CLICKS = """
SELECT clicks.seq, clicks.seq FROM clicks LEFT JOIN labels ON labels.seq = clicks.seq
WHERE clicks.seq > :after AND clicks.seq <= :until {} ORDER BY clicks.seq LIMIT :limit
"""
NEXT_OF_RELABELLED = """
SELECT relabelled.seq, click FROM relabelled JOIN clicks ON clicks.seq = relabelled.click
LEFT JOIN labels ON labels.seq = clicks.seq
WHERE relabelled.seq > :after AND relabelled.seq <= :until
AND click > (SELECT first_click FROM webhooks WHERE seq = :webhook) {} ORDER BY relabelled.seq LIMIT :limit
"""
NEXT_WATCHED = """
SELECT seq, 0 FROM link_events WHERE seq > :after AND seq <= :until {} ORDER BY seq LIMIT :limit
"""
NEXT_OF_LOGS: dict[LogName, str] = {
    "click": NEXT_OF_CLICKS,
    "relabelled": NEXT_OF_RELABELLED,
    "watched": NEXT_WATCHED,
}
# With the number of the click, which is none for a destination.
DUE_EVENTS = """
SELECT log, number, attempts,
    CASE log WHEN 0 THEN number WHEN 1 THEN (SELECT click FROM relabelled WHERE seq = number) ELSE 0 END
FROM deliveries WHERE webhook = ? AND next_at <= ? ORDER BY next_at LIMIT ?
"""
IDS_OF_CLICKS = "SELECT seq, id FROM clicks WHERE seq IN (SELECT value FROM json_each(?))"
CHANGES_OF_LABELS = "SELECT seq, at, was FROM relabelled WHERE seq IN (SELECT value FROM json_each(?))"
METADATA_OF = """
SELECT messages.tenant, messages.message_id, metadata FROM json_each(:wanted) AS wanted CROSS JOIN messages
ON messages.message_id = json_extract(wanted.value, '$[1]')
AND messages.tenant = CAST(json_extract(wanted.value, '$[0]') AS BIGINT)
"""
# Clicks of people who did not agree have no recipient to tell a provider's system of.
IS_NAMED = "(clicks.ip IS NOT NULL OR clicks.user_agent IS NOT NULL)"

# By way of the tag's messages: there is no index on URLs, and such events are rare.
SENT_WITH_TAG = """EXISTS (SELECT 1 FROM messages CROSS JOIN links ON links.message = messages.seq
    WHERE messages.tag = :tag AND links.url = link_events.url AND links.tenant = link_events.tenant)"""
WATCHED_EVENTS = "SELECT {} FROM link_events WHERE seq IN (SELECT value FROM json_each(?))"


class SqlOutbox(SqlEndpoints):
    """The part of a `WebhookStore` that says what is to be sent."""

    @in_snapshot
    async def next_events(self, reader: SqlConnection, endpoint: Endpoint, log: LogName, limit: int) -> EventPage:
        """See `WebhookStore`."""
        after = endpoint.after[log]
        head = "settled" if log == "click" and endpoint.settled else log
        until = min(int(await reader.fetch_value(HEADS_OF_LOGS[head])), after + SCANNED_ROWS)
        if until <= after:
            return EventPage([], after)
        conditions = _conditions(endpoint, log)
        if conditions is None:
            return EventPage([], until)
        values: dict[str, Any] = {"after": after, "until": until, "limit": limit, "webhook": endpoint.seq}
        values |= {"tenant": endpoint.tenant, "tag": endpoint.tag, "types": list(endpoint.types)}
        statement = NEXT_OF_LOGS[log].format(conditions)
        rows: Any = list(await reader.fetch(statement, values))
        events = await _read_events(reader, [(EventKey(log, number), click) for number, click in rows])
        return EventPage(list(events.values()), rows[-1][0] if len(rows) == limit else until)

    @in_snapshot
    async def due_events(self, reader: SqlConnection, endpoint: Endpoint, now_us: int, limit: int) -> list[DueEvent]:
        """See `WebhookStore`."""
        rows: Any = list(await reader.fetch(DUE_EVENTS, (endpoint.seq, now_us, limit)))
        keys = [(EventKey(LOGS[log], number), click) for log, number, _, click in rows]
        events = await _read_events(reader, [(key, click) for key, click in keys if click is not None])
        return [DueEvent(key, row[2], events.get(key)) for row, (key, _) in zip(rows, keys, strict=True)]


def _conditions(endpoint: Endpoint, log: LogName) -> str | None:
    """Give what events of *log* must hold to be for *endpoint*; None when none is."""
    asks = set(endpoint.types)
    if log == "watched":
        return _conditions_of_watched(endpoint)
    if not asks & ({"link.relabelled"} if log == "relabelled" else {"link.clicked", "takeback.applied"}):
        return None
    conditions = [] if log == "relabelled" or "link.clicked" in asks else ["clicks.takeback IS NOT NULL"]
    if endpoint.tenant is not None:
        conditions.append("clicks.tenant = :tenant")
    if endpoint.tag is not None:
        conditions.append(OF_TAG)
    if endpoint.dialect != "standard":
        conditions.append(IS_NAMED)
    if endpoint.robots != "include":
        # A change of label is told to whom either of the two labels is.
        wanted = IS_MACHINE if endpoint.robots == "only" else f"NOT {IS_MACHINE}"
        was = f"was {'=' if endpoint.robots == 'only' else '<>'} {MACHINE}"
        conditions.append(wanted if log == "click" else f"({wanted} OR {was})")
    return "".join(f" AND {condition}" for condition in conditions)


def _conditions_of_watched(endpoint: Endpoint) -> str:
    conditions = ["type IN (SELECT value FROM json_each(:types))"]
    if endpoint.tenant is not None:
        conditions.append("tenant = :tenant")
    if endpoint.tag is not None:
        conditions.append(SENT_WITH_TAG)
    return "".join(f" AND {condition}" for condition in conditions)


async def _read_events(reader: SqlConnection, wanted: Sequence[tuple[EventKey, int]]) -> Mapping[EventKey, OutboxEvent]:
    """Give the events of *wanted* (with the number of their clicks) that are still kept, in that order."""
    events: dict[EventKey, OutboxEvent] = {}
    if on_clicks := [(key, click) for key, click in wanted if key.log != "watched"]:
        events |= await _read_click_events(reader, on_clicks)
    if watched := [key.number for key, _ in wanted if key.log == "watched"]:
        rows: Any = await reader.fetch(WATCHED_EVENTS.format(EVENT_COLUMNS), (watched,))
        events |= {key: WatchedEvent(key, WatchEvent(*row)) for row in rows for key in [EventKey("watched", row[-1])]}
    return {key: events[key] for key, _ in wanted if key in events}


async def _read_click_events(
    reader: SqlConnection, wanted: Sequence[tuple[EventKey, int]]
) -> dict[EventKey, OutboxEvent]:
    seqs = [click for _, click in wanted]
    ids: Iterable[Any] = await reader.fetch(IDS_OF_CLICKS, (seqs,))
    found = await read_clicks(reader, THESE, {"seqs": seqs, "limit": len(wanted), "skip": 0})
    by_id = {one.click.id: one for one in found}
    by_seq = {seq: by_id[click_id] for seq, click_id in ids}
    messages = {(one.click.tenant, one.message_id) for one in found if one.message_id is not None}
    rows: Any = await reader.fetch(METADATA_OF, {"wanted": list(messages)})
    metadata = {(tenant, message_id): json.loads(text) for tenant, message_id, text in rows}
    changed = [key.number for key, _ in wanted if key.log == "relabelled"]
    changes: Any = await reader.fetch(CHANGES_OF_LABELS, (changed,)) if changed else ()
    labels = {number: (ROBOTS_BY_NUMBER[was], at) for number, at, was in changes}
    events: dict[EventKey, OutboxEvent] = {}
    for key, click in wanted:
        if click in by_seq:
            one = by_seq[click]
            was, at = labels.get(key.number, (None, 0)) if key.log == "relabelled" else (None, 0)
            told = metadata.get((one.click.tenant, one.message_id), {})
            events[key] = ClickEvent(key, one, told, was, at)
    return events

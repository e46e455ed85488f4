"""Watched destinations in SQL."""

from typing import Any

from linkrouter.central.store.sql.database import Lock, SqlConnection, SqlDatabase, in_snapshot, in_transaction
from linkrouter.central.store.sql.labels import LATEST, PROGRESS, SET_PROGRESS
from linkrouter.central.store.watch import WatchCounts, WatchedLink, WatchEvent

__all__ = ["EVENT_COLUMNS", "SqlWatch"]

FOLD_MESSAGES = 1000  # taken up in one transaction
FOLD_CLICKS = 10_000
MESSAGES_UNTIL = "SELECT max(seq), count(*) FROM (SELECT seq FROM messages WHERE seq > ? ORDER BY seq LIMIT ?) AS taken"
# A time of sending that is still to come is a wrong clock.
TAKE_UP_LINKS = """
INSERT INTO watched_links (tenant, url, anchored_at, sent_at, messages, clicks, due_at)
SELECT links.tenant, url, min(min(sent_at, :now)), max(min(sent_at, :now)), count(DISTINCT message), sum((
        SELECT count(*) FROM clicks WHERE clicks.link_id = links.link_id AND clicks.tenant = links.tenant
            AND clicks.part = links.part AND kind = 'click' AND clicks.seq <= :clicks)),
    min(min(sent_at, :now)) + :hour
FROM messages JOIN links ON links.message = messages.seq
WHERE messages.seq > :after AND messages.seq <= :until AND sent_at >= :since AND url <> '' AND trap = 0
GROUP BY links.tenant, url
ON CONFLICT (tenant, url) DO UPDATE SET
    due_at = CASE
        WHEN watched_links.due_at IS NULL THEN excluded.sent_at + :hour
        WHEN excluded.sent_at < watched_links.anchored_at + 24 * :hour THEN watched_links.due_at
        WHEN watched_links.due_at < excluded.sent_at + :hour THEN watched_links.due_at
        ELSE excluded.sent_at + :hour END,
    anchored_at = CASE WHEN excluded.sent_at >= watched_links.anchored_at + 24 * :hour THEN excluded.sent_at
        ELSE watched_links.anchored_at END,
    sent_at = max(watched_links.sent_at, excluded.sent_at),
    messages = watched_links.messages + excluded.messages, clicks = watched_links.clicks + excluded.clicks
"""
ADD_CLICKS = """
UPDATE watched_links SET clicks = watched_links.clicks + came.clicks FROM (
    SELECT links.tenant, url, count(*) AS clicks
    FROM clicks JOIN links ON links.link_id = clicks.link_id AND links.tenant = clicks.tenant
        AND links.part = clicks.part
    WHERE clicks.seq > :after AND clicks.seq <= :until AND kind = 'click' AND message <= :messages
    GROUP BY links.tenant, url
) AS came WHERE watched_links.tenant = came.tenant AND watched_links.url = came.url
"""
GIVE_UP = "DELETE FROM watched_links WHERE sent_at < ?"
LINK_COLUMNS = """tenant, url, anchored_at, sent_at, messages, clicks, standing, doubted, verdict, reason, looks,
    looked_at, changed_at, due_at, (SELECT id FROM link_events AS event WHERE event.url = watched_links.url
        AND event.tenant = watched_links.tenant AND stop = 'made' ORDER BY seq DESC LIMIT 1)"""
DUE = "SELECT {} FROM watched_links WHERE due_at <= ? ORDER BY clicks DESC, due_at, url LIMIT ?"
CHANGED = """
SELECT {} FROM watched_links WHERE changed_at IS NOT NULL AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY standing = 'fine', clicks DESC, changed_at DESC, tenant, url LIMIT :limit
"""
KEEP_LOOK = """
UPDATE watched_links SET standing = :standing, doubted = :doubted, verdict = :verdict, reason = :reason,
    looks = :looks, looked_at = :looked_at, changed_at = :changed_at, due_at = :due_at
WHERE tenant = :tenant AND url = :url AND looks = :looks_before
"""
COUNT_WATCHED = """
SELECT (SELECT count(*) FROM watched_links WHERE :tenant IS NULL OR tenant = :tenant),
    (SELECT count(*) FROM watched_links WHERE due_at <= :now AND (:tenant IS NULL OR tenant = :tenant))
"""
ADD_EVENT = """
INSERT INTO link_events (id, type, at, tenant, url, reason, messages, clicks, stop) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
EVENT_COLUMNS = "id, type, at, tenant, url, reason, messages, clicks, stop, seq"
LINK_EVENTS = """
SELECT {} FROM link_events WHERE seq > :after AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY seq LIMIT :limit
"""
# What has recovered since is let be.
WANTED_STOPS = """
SELECT {} FROM link_events WHERE stop = 'wanted' AND EXISTS (
    SELECT 1 FROM watched_links AS w WHERE w.tenant = link_events.tenant AND w.url = link_events.url
        AND standing = 'flagged') ORDER BY seq LIMIT ?
"""
NOTE_STOP = "UPDATE link_events SET stop = 'made' WHERE id = ?"


class SqlWatch(SqlDatabase):
    """The part of a `Registry` that keeps watched destinations."""

    @in_transaction(Lock.NUMBERS)
    async def fold_sent(self, writer: SqlConnection, since: int, now: int, hour: int) -> int:
        """See `WatchStore`."""
        messages = await writer.fetch_value(PROGRESS, ("watched_messages",)) or 0
        clicks = await writer.fetch_value(PROGRESS, ("watched_clicks",)) or 0
        [[until, taken]] = await writer.fetch(MESSAGES_UNTIL, (messages, FOLD_MESSAGES))
        if taken:
            values = {"after": messages, "until": until, "clicks": clicks}
            await writer.execute(TAKE_UP_LINKS, values | {"since": since, "now": now, "hour": hour})
            await writer.execute(SET_PROGRESS, ("watched_messages", until))
        messages = until or messages
        latest = min(await writer.fetch_value(LATEST), clicks + FOLD_CLICKS)
        if latest > clicks:
            await writer.execute(ADD_CLICKS, {"after": clicks, "until": latest, "messages": messages})
            await writer.execute(SET_PROGRESS, ("watched_clicks", latest))
        await writer.execute(GIVE_UP, (since,))
        return int(taken + max(latest - clicks, 0))

    @in_snapshot
    async def due_links(self, reader: SqlConnection, now: int, limit: int) -> list[WatchedLink]:
        """See `WatchStore`."""
        return [_watched(row) for row in await reader.fetch(DUE.format(LINK_COLUMNS), (now, limit))]

    @in_transaction(Lock.NUMBERS)
    async def keep_look(
        self, writer: SqlConnection, before: WatchedLink, after: WatchedLink, event: WatchEvent | None
    ) -> bool:
        """See `WatchStore`."""
        names = ("tenant", "url", "standing", "doubted", "verdict", "reason", "looked_at", "changed_at", "due_at")
        values = {name: getattr(after, name) for name in names}
        values |= {"looks": before.looks + 1, "looks_before": before.looks}
        if not await writer.execute(KEEP_LOOK, values):
            return False
        if event is not None:
            row = (event.id, event.type, event.at, event.tenant, event.url, event.reason)
            await writer.execute(ADD_EVENT, (*row, event.messages, event.clicks, event.stop))
        return True

    @in_snapshot
    async def count_watched(self, reader: SqlConnection, now: int, tenant: int | None) -> WatchCounts:
        """See `WatchStore`."""
        [row] = await reader.fetch(COUNT_WATCHED, {"now": now, "tenant": tenant})
        return WatchCounts._make(row)

    @in_snapshot
    async def changed_links(self, reader: SqlConnection, limit: int, tenant: int | None) -> list[WatchedLink]:
        """See `WatchStore`."""
        rows = await reader.fetch(CHANGED.format(LINK_COLUMNS), {"limit": limit, "tenant": tenant})
        return [_watched(row) for row in rows]

    @in_snapshot
    async def link_events(self, reader: SqlConnection, after: int, limit: int, tenant: int | None) -> list[WatchEvent]:
        """See `WatchStore`."""
        values = {"after": after, "limit": limit, "tenant": tenant}
        return [WatchEvent(*row) for row in await reader.fetch(LINK_EVENTS.format(EVENT_COLUMNS), values)]

    @in_snapshot
    async def wanted_stops(self, reader: SqlConnection, limit: int) -> list[WatchEvent]:
        """See `WatchStore`."""
        return [WatchEvent(*row) for row in await reader.fetch(WANTED_STOPS.format(EVENT_COLUMNS), (limit,))]

    @in_transaction(Lock.NUMBERS)
    async def note_stop(self, writer: SqlConnection, event: WatchEvent) -> None:
        """See `WatchStore`."""
        await writer.execute(NOTE_STOP, (event.id,))


def _watched(row: Any) -> WatchedLink:
    tenant, url, anchored_at, sent_at, messages, clicks, standing, doubted, *rest = row
    return WatchedLink(tenant, url, anchored_at, sent_at, messages, clicks, standing, bool(doubted), *rest)

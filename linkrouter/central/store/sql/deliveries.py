"""Deliveries in SQL: what was tried, how it ended, and when it is tried again."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from linkrouter.central.store.sql.database import Lock, SqlConnection, in_snapshot, in_transaction
from linkrouter.central.store.sql.endpoints import find_in
from linkrouter.central.store.sql.labels import SqlLabels
from linkrouter.central.store.sql.outbox import SqlOutbox
from linkrouter.central.store.webhooks import (
    LOGS,
    Attempted,
    DeliveryFilter,
    DeliveryPosition,
    Endpoint,
    Health,
    LogName,
    StoredDelivery,
)

__all__ = ["SqlWebhooks"]

REPLAYED_ROWS = 2000  # in one transaction
FORGOTTEN_ROWS = 2000

NOTE_ATTEMPT = """
INSERT INTO deliveries (
    webhook, log, number, event_id, type, state, attempts, status, error, first_at, last_at, next_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (webhook, log, number) DO UPDATE
SET state = excluded.state, attempts = excluded.attempts, status = excluded.status, error = excluded.error,
    last_at = excluded.last_at, next_at = excluded.next_at
"""
MOVE_ON = """
UPDATE webhooks SET after_click = max(after_click, ?), after_relabelled = max(after_relabelled, ?),
    after_watched = max(after_watched, ?) WHERE seq = ?
"""
# Not where somebody disabled it meanwhile.
SET_HEALTH = """
UPDATE webhooks SET state = ?, reason = ?, failures = ?, failing_since = ?, paused_until = ?
WHERE seq = ? AND state = 'active'
"""
DELIVERY_CONDITIONS = {
    "state": "state = :state",
    "since": "first_at >= :since",
    "until": "first_at < :until",
}
# An id is a click's, with the number of the change behind it for a change of its label.
OF_EVENT_IDS = """(log, number) IN (
    SELECT 0, seq FROM clicks WHERE id IN (SELECT value FROM json_each(:ids))
    UNION ALL SELECT 1, seq FROM relabelled WHERE seq IN (SELECT value FROM json_each(:numbers))
    UNION ALL SELECT 2, seq FROM link_events WHERE id IN (SELECT value FROM json_each(:ids)))
    AND event_id IN (SELECT value FROM json_each(:ids))"""
FIND_DELIVERIES = """
SELECT first_at, log, number, event_id, type, state, attempts, status, error, last_at, next_at FROM deliveries
WHERE webhook = :webhook {} ORDER BY first_at DESC, log DESC, number DESC LIMIT :limit
"""
BEHIND_DELIVERY = "(first_at, log, number) < (:at, :log, :number)"
REPLAY_DELIVERY = """
UPDATE deliveries SET state = 'pending', attempts = 0, next_at = ? WHERE webhook = ? AND log = ? AND number = ?
"""
WAKE_ENDPOINT = "UPDATE webhooks SET paused_until = 0 WHERE seq = ?"
FORGET_DELIVERIES = """
DELETE FROM deliveries WHERE (webhook, log, number) IN (
    SELECT webhook, log, number FROM deliveries WHERE webhook = :webhook AND first_at < :until
    AND (next_at IS NULL OR :all = 1) ORDER BY first_at LIMIT :limit)
"""
# From one endpoint to the next in the index: DISTINCT would read every row.
ENDPOINTS_OF_DELIVERIES = """
WITH RECURSIVE found (webhook) AS (
    SELECT min(webhook) FROM deliveries
    UNION ALL SELECT (SELECT min(webhook) FROM deliveries WHERE webhook > found.webhook) FROM found
    WHERE found.webhook IS NOT NULL)
SELECT webhook, webhook IN (SELECT seq FROM webhooks) FROM found WHERE webhook IS NOT NULL
"""
FORGET_RELABELLED = """
DELETE FROM relabelled WHERE seq IN (
    SELECT seq FROM relabelled WHERE at < ? AND NOT EXISTS (
        SELECT 1 FROM webhooks WHERE after_relabelled < relabelled.seq)
    ORDER BY seq LIMIT ?)
"""
END_OF_TIME = 2**62


class SqlWebhooks(SqlOutbox, SqlLabels):
    """A `WebhookStore` in a file."""

    @in_transaction(Lock.NUMBERS)
    async def note_attempts(
        self,
        writer: SqlConnection,
        endpoint: Endpoint,
        attempted: Sequence[Attempted],
        after: Mapping[LogName, int],
        health: Health,
    ) -> Endpoint | None:
        """See `WebhookStore`."""
        rows = [
            (endpoint.seq, LOGS.index(one.key.log), one.key.number, *one[1:7], one.at, one.at, one.next_at)
            for one in attempted
        ]
        await writer.execute_many(NOTE_ATTEMPT, rows)
        await writer.execute(MOVE_ON, (*(after[log] for log in LOGS), endpoint.seq))
        await writer.execute(SET_HEALTH, (*health, endpoint.seq))
        return await find_in(writer, endpoint.id)

    @in_transaction(Lock.NUMBERS)
    async def move_on(self, writer: SqlConnection, moves: Mapping[int, Mapping[LogName, int]]) -> None:
        """See `WebhookStore`."""
        await writer.execute_many(MOVE_ON, [(*(after[log] for log in LOGS), seq) for seq, after in moves.items()])

    @in_snapshot
    async def find_deliveries(
        self,
        reader: SqlConnection,
        endpoint: Endpoint,
        asked: DeliveryFilter,
        behind: DeliveryPosition | None,
        limit: int,
    ) -> list[StoredDelivery]:
        """See `WebhookStore`."""
        statement, values = _asked(endpoint, asked, behind, limit)
        rows: Any = await reader.fetch(statement, values)
        return [StoredDelivery(DeliveryPosition._make(row[:3]), *row[3:]) for row in rows]

    async def replay(self, endpoint: Endpoint, asked: DeliveryFilter, now_us: int) -> int:
        """See `WebhookStore`."""
        behind, count = DeliveryPosition(END_OF_TIME, 0, 0), 0
        while True:
            found = await self.transact(partial(_replay, endpoint, asked, behind, now_us))
            count += len(found)
            if len(found) < REPLAYED_ROWS:
                return count
            behind = found[-1]

    @in_transaction(Lock.NUMBERS)
    async def forget_deliveries(self, writer: SqlConnection, before: int) -> int:
        """See `WebhookStore`."""
        forgotten = 0
        for webhook, is_known in await writer.fetch(ENDPOINTS_OF_DELIVERIES):
            until = before if is_known else END_OF_TIME
            values = {"webhook": webhook, "until": until, "all": int(not is_known), "limit": FORGOTTEN_ROWS}
            forgotten += await writer.execute(FORGET_DELIVERIES, values)
        forgotten += await writer.execute(FORGET_RELABELLED, (before, FORGOTTEN_ROWS))
        return forgotten


def _asked(
    endpoint: Endpoint, asked: DeliveryFilter, behind: DeliveryPosition | None, limit: int
) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {
        name: getattr(asked, name) for name in DELIVERY_CONDITIONS if getattr(asked, name) is not None
    }
    conditions = [DELIVERY_CONDITIONS[name] for name in values]
    if asked.ids is not None:
        numbers = [int(number) for _, _, number in (one.rpartition(":") for one in asked.ids) if is_number(number)]
        conditions.append(OF_EVENT_IDS)
        values |= {"ids": list(asked.ids), "numbers": numbers}
    if behind is not None:
        conditions.append(BEHIND_DELIVERY)
        values |= behind._asdict()
    values |= {"webhook": endpoint.seq, "limit": limit}
    return FIND_DELIVERIES.format("".join(f" AND {condition}" for condition in conditions)), values


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


async def _replay(
    endpoint: Endpoint, asked: DeliveryFilter, behind: DeliveryPosition, now_us: int, writer: SqlConnection
) -> list[DeliveryPosition]:
    statement, values = _asked(endpoint, asked, behind, REPLAYED_ROWS)
    found = [DeliveryPosition._make(row[:3]) for row in await writer.fetch(statement, values)]
    await writer.execute_many(REPLAY_DELIVERY, [(now_us, endpoint.seq, one.log, one.number) for one in found])
    if found:
        await writer.execute(WAKE_ENDPOINT, (endpoint.seq,))
    return found

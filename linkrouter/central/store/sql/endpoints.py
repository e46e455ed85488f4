"""Webhook endpoints in SQL."""

import json
from collections.abc import Mapping
from typing import Any

from linkrouter.central.store.sql.database import Lock, SqlConnection, SqlDatabase, in_snapshot, in_transaction
from linkrouter.central.store.webhooks import LOGS, Endpoint, Health

__all__ = ["SqlEndpoints", "find_in"]

ADD_ENDPOINT = """
INSERT INTO webhooks (
    id, tenant, url, types, dialect, tag, robots, settled, secret, old_until, created_at, state, reason, failures,
    failing_since, paused_until, first_click, after_click, after_relabelled,
    after_watched
) VALUES (
    :id, :tenant, :url, :types, :dialect, :tag, :robots, :settled, :secret, 0, :created_at, 'active', '', 0, NULL, 0,
    (SELECT coalesce(max(seq), 0) FROM clicks), (SELECT coalesce(max(seq), 0) FROM clicks),
    (SELECT coalesce(max(seq), 0) FROM relabelled), (SELECT coalesce(max(seq), 0) FROM link_events)
)
"""
COUNT_ENDPOINTS = "SELECT count(*) FROM webhooks WHERE coalesce(tenant, -1) = coalesce(:tenant, -1)"
LIST_ENDPOINTS = "SELECT * FROM webhooks WHERE :tenant IS NULL OR tenant = :tenant ORDER BY seq"
FIND_ENDPOINT = "SELECT * FROM webhooks WHERE id = ?"
DROP_ENDPOINT = "DELETE FROM webhooks WHERE id = ?"
SET_FIELDS = "UPDATE webhooks SET {} WHERE id = :id"
BUSY_ENDPOINTS = """
WITH heads (click, settled, relabelled, watched) AS MATERIALIZED (
    SELECT (SELECT coalesce(max(seq), 0) FROM clicks), (SELECT seq FROM progress WHERE name = 'labelled'),
        (SELECT coalesce(max(seq), 0) FROM relabelled), (SELECT coalesce(max(seq), 0) FROM link_events))
SELECT webhooks.* FROM webhooks CROSS JOIN heads ON true
WHERE state = 'active' AND paused_until <= :now AND (
    after_click < CASE webhooks.settled WHEN 1 THEN heads.settled ELSE heads.click END
    OR after_relabelled < heads.relabelled OR after_watched < heads.watched
    OR EXISTS (SELECT 1 FROM deliveries WHERE webhook = webhooks.seq AND next_at <= :now))
"""
EVENTS_BEHIND = """
SELECT coalesce(max((SELECT coalesce(max(seq), 0) FROM clicks) - after_click
    + (SELECT coalesce(max(seq), 0) FROM relabelled) - after_relabelled), 0)
FROM webhooks WHERE state = 'active'
"""
ENDPOINT_FIELDS = {"url", "types", "dialect", "tenant", "tag", "robots", "settled", "secret", "old_secret", "old_until"}


class SqlEndpoints(SqlDatabase):
    """The part of a `WebhookStore` that keeps endpoints."""

    @in_transaction(Lock.NUMBERS)
    async def add_endpoint(self, writer: SqlConnection, endpoint: Endpoint, most: int) -> bool:
        """See `WebhookStore`."""
        if await writer.fetch_value(COUNT_ENDPOINTS, {"tenant": endpoint.tenant}) >= most:
            return False
        values = {name: getattr(endpoint, name) for name in ENDPOINT_FIELDS | {"id", "created_at"}}
        await writer.execute(ADD_ENDPOINT, values | {"types": json.dumps(endpoint.types)})
        return True

    @in_snapshot
    async def list_endpoints(self, reader: SqlConnection, tenant: int | None) -> list[Endpoint]:
        """See `WebhookStore`."""
        return [_endpoint(row) for row in await reader.fetch(LIST_ENDPOINTS, {"tenant": tenant})]

    @in_snapshot
    async def find_endpoint(self, reader: SqlConnection, endpoint_id: str) -> Endpoint | None:
        """See `WebhookStore`."""
        return await find_in(reader, endpoint_id)

    @in_transaction(Lock.NUMBERS)
    async def change_endpoint(self, writer: SqlConnection, endpoint_id: str, changes: Mapping[str, Any]) -> None:
        """See `WebhookStore`."""
        values = dict(changes)
        if "health" in values:
            values |= values.pop("health")._asdict()
        if "types" in values:
            values["types"] = json.dumps(values["types"])
        assert values.keys() <= ENDPOINT_FIELDS | set(Health._fields), "names of columns"
        statement = SET_FIELDS.format(", ".join(f"{name} = :{name}" for name in values))
        await writer.execute(statement, values | {"id": endpoint_id})

    @in_transaction(Lock.NUMBERS)
    async def drop_endpoint(self, writer: SqlConnection, endpoint_id: str) -> bool:
        """See `WebhookStore`."""
        return await writer.execute(DROP_ENDPOINT, (endpoint_id,)) > 0

    @in_snapshot
    async def busy_endpoints(self, reader: SqlConnection, now_us: int) -> list[Endpoint]:
        """See `WebhookStore`."""
        return [_endpoint(row) for row in await reader.fetch(BUSY_ENDPOINTS, {"now": now_us})]

    @in_snapshot
    async def events_behind(self, reader: SqlConnection) -> int:
        """See `WebhookStore`."""
        return max(0, int(await reader.fetch_value(EVENTS_BEHIND)))


async def find_in(connection: SqlConnection, endpoint_id: str) -> Endpoint | None:
    """Give the endpoint of this id."""
    rows = list(await connection.fetch(FIND_ENDPOINT, (endpoint_id,)))
    return _endpoint(rows[0]) if rows else None


def _endpoint(row: Any) -> Endpoint:
    """Give the endpoint of a row of the table."""
    seq, endpoint_id, tenant, url, types, dialect, tag, robots, settled, secret, old, old_until, created, *more = row
    state, reason, failures, failing_since, paused_until, _, *after = more
    return Endpoint(
        id=endpoint_id,
        tenant=tenant,
        url=url,
        types=tuple(json.loads(types)),
        dialect=dialect,
        tag=tag,
        robots=robots,
        settled=bool(settled),
        secret=secret,
        old_secret=old,
        old_until=old_until,
        created_at=created,
        health=Health(state, reason, failures, failing_since, paused_until),
        after=dict(zip(LOGS, after, strict=True)),
        seq=seq,
    )

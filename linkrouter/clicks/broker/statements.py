"""The tables and statements of the click store `postgresql://`; `{p}` is the prefix, `{state}` the state."""

__all__ = [
    "ADD_DEAD_LETTERS_SQL",
    "ADD_LOSS_SQL",
    "APPEND_SQL",
    "IS_THERE_SQL",
    "LEAVE_SQL",
    "LOSSES_SQL",
    "NOTE_SQL",
    "PART_SQL",
    "READ_SQL",
    "REMOVE_EMPTY_SQL",
    "REMOVE_SQL",
    "RENEW_SQL",
    "STATE_COLUMNS",
    "TABLES_SQL",
    "TAKE_OVER_SQL",
    "TOTALS_SQL",
]

TABLES_SQL = """
CREATE TABLE IF NOT EXISTS {p}_streams (
    name text PRIMARY KEY, leased_until timestamptz NOT NULL, pending bigint NOT NULL, bytes bigint NOT NULL,
    oldest_at bigint NOT NULL, part_id bigint NOT NULL DEFAULT 0, part bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS {p}_entries (
    id bigserial PRIMARY KEY, stream text NOT NULL, clicks integer NOT NULL, bytes integer NOT NULL,
    records bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS {p}_entries_by_stream ON {p}_entries (stream, id);
CREATE TABLE IF NOT EXISTS {p}_dead_letters (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), reason text NOT NULL, record bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS {p}_losses (
    id text PRIMARY KEY, reason text NOT NULL, clicks bigint NOT NULL, since bigint NOT NULL, until bigint NOT NULL
);
"""
STATE_COLUMNS = "pending, oldest_at, bytes, part_id, part"
# The clicks of an empty stream are the oldest; those that join others are not.
APPEND_SQL = """
WITH room AS (SELECT coalesce(sum(bytes), 0) + $7 <= $8 AS is_there FROM {p}_streams),
added AS (
    INSERT INTO {p}_entries (stream, clicks, bytes, records)
    SELECT $1, clicks, bytes, records FROM room, unnest($2::integer[], $3::integer[], $4::bytea[])
        WITH ORDINALITY AS given (clicks, bytes, records, number)
    WHERE is_there ORDER BY number RETURNING id
),
kept AS (
    INSERT INTO {p}_streams AS s (name, leased_until, pending, bytes, oldest_at)
    SELECT $1, now() + make_interval(secs => $6), (SELECT sum(n) FROM unnest($2::integer[]) AS n), $7, $5
    FROM room WHERE is_there
    ON CONFLICT (name) DO UPDATE SET leased_until = excluded.leased_until, pending = s.pending + excluded.pending,
        bytes = s.bytes + excluded.bytes,
        oldest_at = CASE s.pending WHEN 0 THEN excluded.oldest_at ELSE s.oldest_at END
    RETURNING {state}
)
SELECT (SELECT array_agg(id ORDER BY id) FROM added) AS ids, {state} FROM kept
"""
READ_SQL = "SELECT id, records FROM {p}_entries WHERE stream = $1 AND id > $2 ORDER BY id LIMIT $3"
PART_SQL = "SELECT part_id, part FROM {p}_streams WHERE name = $1 FOR UPDATE"
REMOVE_SQL = "DELETE FROM {p}_entries WHERE stream = $1 AND id = ANY($2::bigint[]) RETURNING id, clicks, bytes"
IS_THERE_SQL = "SELECT EXISTS (SELECT FROM {p}_entries WHERE stream = $1 AND id = $2)"
NOTE_SQL = """
UPDATE {p}_streams SET pending = pending - $2, bytes = bytes - $3, oldest_at = $4, part_id = $5, part = $6
WHERE name = $1 RETURNING {state}
"""
TAKE_OVER_SQL = """
UPDATE {p}_streams SET leased_until = now() + make_interval(secs => $1) WHERE name = (
    SELECT name FROM {p}_streams WHERE leased_until <= now() ORDER BY name DESC LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING name, {state}
"""
RENEW_SQL = "UPDATE {p}_streams SET leased_until = now() + make_interval(secs => $1) WHERE name = ANY($2::text[])"
REMOVE_EMPTY_SQL = """
DELETE FROM {p}_streams WHERE name = $1 AND NOT EXISTS (SELECT FROM {p}_entries WHERE stream = $1)
"""
LEAVE_SQL = "UPDATE {p}_streams SET leased_until = now() WHERE name = $1"
ADD_DEAD_LETTERS_SQL = "INSERT INTO {p}_dead_letters (reason, record) SELECT $1, unnest($2::bytea[])"
ADD_LOSS_SQL = (
    "INSERT INTO {p}_losses (id, reason, clicks, since, until) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
)
TOTALS_SQL = """
SELECT coalesce(sum(pending), 0)::bigint, min(oldest_at) FILTER (WHERE pending > 0),
    coalesce(sum(bytes), 0)::bigint, (SELECT count(*) FROM {p}_dead_letters)
FROM {p}_streams
"""
LOSSES_SQL = "SELECT id, reason, clicks, since, until FROM {p}_losses ORDER BY until"

"""The stored state of links: what was learnt, by whom it was asked for, and until when it may be used.

Promise: what `save_…` returned from is on disk. A link that is being checked is stored as pending before its first
request, so a crash leaves it pending, never with an old verdict that nobody renewed.
"""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import aiosqlite

from linkrouter.checker.fetch.limits import Clock
from linkrouter.checker.verdict import CHECK_REASONS, FetchResult, Hop, LinkState, Opinion, OpinionState
from linkrouter.errors import StoreError

__all__ = ["CLEARED_EVERY_S", "KEPT_S", "MAX_PARAMETERS", "RECORD_S", "AuthorRecord", "LinkStates"]

KEPT_S = 90 * 86_400.0  # how long what is no longer believed is kept, for who asks later what was said
CLEARED_EVERY_S = 86_400.0
RECORD_S = 30 * 86_400.0  # how far back an author's record goes
MAX_PARAMETERS = 900  # SQLite's own limit was 999 for long

_SCHEMA = """
CREATE TABLE IF NOT EXISTS check_links (
    key TEXT PRIMARY KEY,           -- the canonical URL with its query, without its fragment
    reason TEXT,                    -- NULL: pending
    detail TEXT NOT NULL DEFAULT '',
    hops TEXT NOT NULL DEFAULT '[]',
    rules INTEGER NOT NULL,         -- the version of the rules it was judged by
    checked_at REAL NOT NULL,
    reuse_until REAL NOT NULL DEFAULT 0,
    holds_until REAL NOT NULL DEFAULT 0,
    streak INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS check_opinions (
    source TEXT NOT NULL, subject TEXT NOT NULL,
    answer TEXT NOT NULL, lists TEXT NOT NULL, blocks INTEGER NOT NULL, why TEXT NOT NULL,
    asked_at REAL NOT NULL, holds_until REAL NOT NULL,
    PRIMARY KEY (source, subject)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS check_history (
    id INTEGER PRIMARY KEY,
    subject TEXT NOT NULL, source TEXT NOT NULL, answer TEXT NOT NULL,
    author TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS check_history_subject ON check_history (subject, at);
CREATE INDEX IF NOT EXISTS check_history_author ON check_history (author, at);
CREATE TABLE IF NOT EXISTS check_hosts (host TEXT PRIMARY KEY, not_before REAL NOT NULL) WITHOUT ROWID;
"""
_BEGIN = """INSERT INTO check_links (key, rules, checked_at) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET reason = NULL, reuse_until = 0, holds_until = 0
    WHERE reuse_until <= excluded.checked_at OR rules <> excluded.rules"""
_SAVE_LINK = """INSERT INTO check_links (key, reason, detail, hops, rules, checked_at, reuse_until, holds_until, streak)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, hops = excluded.hops,
    rules = excluded.rules, checked_at = excluded.checked_at, reuse_until = excluded.reuse_until,
    holds_until = excluded.holds_until, streak = excluded.streak"""
_SAVE_OPINION = """INSERT OR REPLACE INTO check_opinions
    (source, subject, answer, lists, blocks, why, asked_at, holds_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_SAVE_HISTORY = "INSERT INTO check_history (subject, source, answer, author, at) VALUES (?, ?, ?, ?, ?)"
_SAVE_HOST = "INSERT OR REPLACE INTO check_hosts (host, not_before) VALUES (?, ?)"
_LINKS = "SELECT key, reason, detail, hops, checked_at, reuse_until, holds_until, streak FROM check_links WHERE rules = ? AND key IN ({})"  # noqa: E501
_OPINIONS = (
    "SELECT subject, answer, lists, blocks, why, holds_until FROM check_opinions WHERE source = ? AND subject IN ({})"
)
_CLEAR = (
    "DELETE FROM check_links WHERE max(checked_at, reuse_until, holds_until) < :then",
    "DELETE FROM check_opinions WHERE max(asked_at, holds_until) < :then",
    "DELETE FROM check_history WHERE at < :then",
    "DELETE FROM check_hosts WHERE not_before < :now",
)
_AUTHOR = "SELECT answer = 'flagged', count(*) FROM check_history WHERE author = ? AND at > ? AND answer IN ('fine', 'flagged') GROUP BY 1"  # noqa: E501


class AuthorRecord(NamedTuple):
    """An author's last month: links that were fine, and links that were flagged."""

    good: int
    flagged: int


class LinkStates:
    """Link states in one SQLite file, or in memory (`:memory:`); *rules* is the version that verdicts are given by."""

    def __init__(self, path: str | os.PathLike[str], *, rules: int, clock: Clock = time.time) -> None:
        self._path = os.fspath(path)
        self._rules = rules
        self._clock = clock
        self._db: aiosqlite.Connection | None = None
        self._waiting: list[tuple[str, tuple[Any, ...]]] = []
        self._writing = asyncio.Lock()
        self._clear_at = 0.0

    async def open(self) -> None:
        """Open the file, and make it when there is none.

        Raises:
            StoreError: it cannot be opened, or is not a store.
        """
        try:
            if self._path != ":memory:":
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds links
            self._db = await aiosqlite.connect(self._path, isolation_level=None, timeout=5.0)
            await self._db.execute("PRAGMA journal_mode = WAL")
            await self._db.execute("PRAGMA synchronous = NORMAL")  # a verdict lost in a power cut is asked for again
            await self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as exc:
            await self.close()
            cure = "give another file, or remove it: it is made anew"
            raise StoreError(f"CACHE: {self._path!r} cannot be used ({type(exc).__name__}); {cure}") from exc

    async def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            await self._db.close()
            self._db = None

    async def links(self, keys: Collection[str]) -> dict[str, LinkState]:
        """Give the states of *keys*; those of other rules are left out."""
        rows = await self._select(_LINKS, self._rules, keys)
        return {row[0]: LinkState(_fetched(row[1], row[2], row[3]), row[4], row[5], row[6], row[7]) for row in rows}

    async def opinions(self, queries: Iterable[tuple[str, str]]) -> dict[tuple[str, str], OpinionState]:
        """Give what is stored for *queries*, pairs of source and subject."""
        subjects: dict[str, set[str]] = {}
        for source, subject in queries:
            subjects.setdefault(source, set()).add(subject)
        found: dict[tuple[str, str], OpinionState] = {}
        for source, names in subjects.items():
            for subject, answer, lists, blocks, why, holds_until in await self._select(_OPINIONS, source, names):
                opinion = Opinion(answer, tuple(json.loads(lists)), bool(blocks), why)
                found[source, subject] = OpinionState(opinion, holds_until)
        return found

    async def author(self, author: str) -> AuthorRecord:
        """Give the record of *author*; nobody has none."""
        if not author:
            return AuthorRecord(0, 0)
        counts = dict(await self._fetch(_AUTHOR, (author, self._clock() - RECORD_S)))
        return AuthorRecord(counts.get(0, 0), counts.get(1, 0))

    async def not_before(self) -> dict[str, float]:
        """Give the hosts that may not be asked yet, with the time from which they may."""
        sql = "SELECT host, not_before FROM check_hosts WHERE not_before > ?"
        return dict(await self._fetch(sql, (self._clock(),)))

    async def begin(self, keys: Collection[str]) -> None:
        """Mark *keys* as pending, but for those that somebody else has just renewed."""
        await self._write([(_BEGIN, (key, self._rules, self._clock())) for key in keys])

    async def save_link(self, key: str, state: LinkState, author: str = "") -> None:
        """Keep the *state* of a link that is no longer pending, and who asked."""
        fetched = state.fetched
        assert fetched is not None
        hops = json.dumps(fetched.hops, separators=(",", ":"))
        row = (key, fetched.reason, fetched.detail, hops, self._rules)
        times = (state.checked_at, state.reuse_until, state.holds_until, state.streak)
        history = (key, "fetch", CHECK_REASONS[fetched.reason].verdict, author, state.checked_at)
        await self._write([(_SAVE_LINK, row + times), (_SAVE_HISTORY, history)])

    async def save_opinion(self, source: str, subject: str, state: OpinionState, author: str = "") -> None:
        """Keep what *source* said of *subject*, and who asked."""
        opinion, now = state.opinion, self._clock()
        row = (source, subject, opinion.answer, json.dumps(opinion.lists), opinion.blocks, opinion.why, now)
        answer = "flagged" if opinion.blocks else opinion.answer
        history = (subject, source, answer, author, now)
        await self._write([(_SAVE_OPINION, (*row, state.holds_until)), (_SAVE_HISTORY, history)])

    async def save_not_before(self, hosts: dict[str, float]) -> None:
        """Keep until when *hosts* may not be asked."""
        await self._write([(_SAVE_HOST, row) for row in hosts.items()])

    async def _write(self, statements: list[tuple[str, tuple[Any, ...]]]) -> None:
        """Write *statements* with all that others hand in meanwhile: one transaction a turn, not one a link."""
        self._waiting += statements
        async with self._writing:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                return  # whoever had the turn before has written ours
            rows: dict[str, list[tuple[Any, ...]]] = {}
            for sql, row in waiting:
                rows.setdefault(sql, []).append(row)
            try:
                await self._commit(rows)
            except sqlite3.Error as exc:
                raise StoreError(f"CACHE: {self._path!r} cannot be written ({type(exc).__name__})") from exc

    async def _commit(self, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        db = self._open_db()
        await db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in rows.items():
                await db.executemany(sql, values)
            await self._clear(db)
            await db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                await db.execute("ROLLBACK")
            raise

    async def _clear(self, db: aiosqlite.Connection) -> None:
        """Forget, once a day, what nobody will use or ask for any more."""
        now = self._clock()
        if now < self._clear_at:
            return
        self._clear_at = now + CLEARED_EVERY_S
        for sql in _CLEAR:
            await db.execute(sql, {"then": now - KEPT_S, "now": now})

    async def _select(self, sql: str, first: object, names: Collection[str]) -> list[Any]:
        rows: list[Any] = []
        pending = list(names)
        while pending:
            chunk, pending = pending[:MAX_PARAMETERS], pending[MAX_PARAMETERS:]
            rows += await self._fetch(sql.format(",".join("?" * len(chunk))), (first, *chunk))
        return rows

    async def _fetch(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return list(await self._open_db().execute_fetchall(sql, values))
        except sqlite3.Error as exc:
            raise StoreError(f"CACHE: {self._path!r} cannot be read ({type(exc).__name__})") from exc

    def _open_db(self) -> aiosqlite.Connection:
        if self._db is None:
            raise StoreError("CACHE: the store of link states is not open")
        return self._db


@lru_cache(16_384)  # a check and its gate read the same rows, and so does the next check of the mail
def _fetched(reason: str | None, detail: str, hops: str) -> FetchResult | None:
    if reason not in CHECK_REASONS:
        return None
    return FetchResult(reason, detail, tuple(Hop(*hop) for hop in json.loads(hops)))

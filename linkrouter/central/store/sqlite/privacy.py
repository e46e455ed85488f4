"""What is taken away again: a person's data when that is asked for, and everybody's when it is old.

Promise: figures stay as they are. An erasure leaves no recipient, address, agent, town, metadata or mail of the person
in any table, and no URL that nobody else was sent; it is one transaction, and the file keeps no copy of what it freed.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from functools import partial
from ipaddress import ip_address, ip_network

from linkrouter.central.roll_ups import LabelRow
from linkrouter.central.store.questions import Erasure
from linkrouter.central.store.records import Erased
from linkrouter.central.store.sqlite.labels import LATEST, PROGRESS, SET_PROGRESS, SqliteLabels, replace_rows

__all__ = ["IS_WITHHELD", "SqlitePrivacy", "cut_address", "recipient_digest", "strip_message", "withhold_digests"]

FORGET_CLICKS = 1000  # changed in one transaction
EVERY_TENANT = -1

BY_RECIPIENT = "SELECT seq FROM messages WHERE recipient = ? COLLATE NOCASE AND (? IS NULL OR tenant = ?)"
BY_MESSAGE_ID = "SELECT seq FROM messages WHERE message_id = ? AND (? IS NULL OR tenant = ?)"
# One walk over all links: an index on URLs would cost every message, and this is asked for rarely.
URLS_OF_OTHERS = """
SELECT DISTINCT url FROM links WHERE url IN (SELECT value FROM json_each(:urls))
    AND message NOT IN (SELECT value FROM json_each(:messages))
"""
URLS_OF = "SELECT DISTINCT url FROM links WHERE message IN (SELECT value FROM json_each(?)) AND url <> ''"
STRIP_MESSAGE = "UPDATE messages SET recipient = NULL, metadata = '{}', withheld = 1 WHERE seq = ?"
DROP_HTML = "DELETE FROM htmls WHERE message = ?"
STRIP_LINKS = """
UPDATE links SET url = '' WHERE message = :message AND url IN (SELECT value FROM json_each(:urls))
"""
WITHHOLD_LINKS = """
INSERT OR IGNORE INTO withheld_links (link_id, tenant) SELECT link_id, tenant FROM links WHERE message = ?
"""
CLICKS_OF_MESSAGE = """
SELECT clicks.seq FROM clicks WHERE (clicks.link_id, clicks.tenant) IN (
    SELECT link_id, tenant FROM links WHERE message = ?)
"""
STRIP_CLICK = "UPDATE clicks SET ip = NULL, user_agent = NULL WHERE seq = ?"
LABELS_OF = "SELECT * FROM labels WHERE seq IN (SELECT value FROM json_each(?))"
NUMBERS_OF = "SELECT number FROM words WHERE word IN (SELECT value FROM json_each(?))"
DROP_WORDS = "DELETE FROM words WHERE number IN (SELECT value FROM json_each(?))"
DROP_WATCHED = "DELETE FROM watched_links WHERE url IN (SELECT value FROM json_each(?))"
DROP_EVENTS = "DELETE FROM link_events WHERE url IN (SELECT value FROM json_each(?))"
WITHHOLD = "INSERT OR IGNORE INTO withheld (recipient, tenant) VALUES (?, ?)"
RELEASE = "DELETE FROM withheld WHERE recipient = ? AND tenant = ?"
IS_WITHHELD = "SELECT 1 FROM withheld WHERE recipient = ? AND tenant IN (?, ?)"

OLD_CLICKS = "SELECT seq FROM clicks WHERE clicked_at < ? ORDER BY clicked_at LIMIT ?"
DROP_CLICK = "DELETE FROM clicks WHERE seq = ?"
DROP_LABEL = "DELETE FROM labels WHERE seq = ?"
OLD_MESSAGES = """
SELECT seq FROM messages WHERE sent_at < ? AND (recipient IS NOT NULL OR metadata <> '{}') ORDER BY sent_at LIMIT ?
"""
FORGET_MESSAGE = "UPDATE messages SET recipient = NULL, metadata = '{}' WHERE seq = ?"

# Two ways to what is not cut yet: by time behind the last look's time, and by number what came late behind it.
CUT_BY_TIME = """
SELECT seq, ip, clicked_at FROM clicks WHERE clicked_at >= ? AND clicked_at < ? ORDER BY clicked_at LIMIT ?
"""
CUT_LATE = "SELECT seq, ip FROM clicks WHERE seq > ? AND clicked_at < ? ORDER BY seq LIMIT ?"
CUT = "UPDATE clicks SET ip = ? WHERE seq = ?"


class SqlitePrivacy(SqliteLabels):
    """The part of a store that takes away."""

    async def erase(self, asked: Erasure) -> Erased:
        """See `CentralStore`."""
        erased = await self.in_thread(partial(_erase, asked=asked))
        await self.empty_journal()
        return erased

    async def release(self, recipient: str, tenant: int | None) -> bool:
        """See `CentralStore`."""
        row = (recipient_digest(recipient), EVERY_TENANT if tenant is None else tenant)
        async with self.transaction() as writer:
            cursor = await writer.execute(RELEASE, row)
        return cursor.rowcount > 0

    async def is_withheld(self, recipient: str, tenant: int | None) -> bool:
        """See `CentralStore`."""
        async with self.snapshot() as reader:
            digest, every, own = withhold_digests(recipient, tenant)
            return bool(list(await reader.execute_fetchall(IS_WITHHELD, (digest, every, own))))

    async def drop_before(self, clicked_at: int) -> int:
        """See `CentralStore`."""
        return await self.in_thread(partial(_drop_before, clicked_at=clicked_at))

    async def cut_addresses(self, before: int) -> int:
        """See `CentralStore`."""
        return await self.in_thread(partial(_cut_addresses, before=before))


def recipient_digest(recipient: str) -> bytes:
    """Give what a withheld recipient is known by; upper and lower case are one."""
    return hashlib.sha256(recipient.lower().encode()).digest()


def withhold_digests(recipient: str, tenant: int | None) -> tuple[bytes, int, int]:
    """Give what `is_withheld` looks for: the digest, and the two tenants that may have it withheld."""
    return recipient_digest(recipient), EVERY_TENANT, EVERY_TENANT if tenant is None else tenant


def cut_address(ip: str) -> str:
    """Give the first address of the network that *ip* is cut to: /24 of IPv4, /48 of IPv6."""
    address = ip_address(ip)
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False).network_address)


def strip_message(connection: sqlite3.Connection, message: int, own_urls: Iterable[str] = ()) -> tuple[int, int]:
    """Take from *message* what points to a person, with *own_urls*, which nobody else was sent.

    Gives the numbers of links and of clicks that were stripped.
    """
    own = json.dumps(list(own_urls))
    connection.execute(STRIP_MESSAGE, (message,))
    connection.execute(DROP_HTML, (message,))
    links = connection.execute(WITHHOLD_LINKS, (message,)).rowcount
    seqs = [seq for (seq,) in connection.execute(CLICKS_OF_MESSAGE, (message,))]
    connection.executemany(STRIP_CLICK, [(seq,) for seq in seqs])
    urls = {number for (number,) in connection.execute(NUMBERS_OF, (own,))}
    rows = [LabelRow._make(row) for row in connection.execute(LABELS_OF, (json.dumps(seqs),))]
    replace_rows(
        connection,
        {row.seq: row for row in rows},
        [row._replace(region=0, city=0, url=0 if row.url in urls else row.url) for row in rows],
    )
    connection.execute(STRIP_LINKS, {"message": message, "urls": own})
    return links, len(seqs)


def _erase(connection: sqlite3.Connection, asked: Erasure) -> Erased:
    connection.execute("PRAGMA secure_delete = ON")
    if asked.recipient is not None:
        if asked.withhold:
            tenant = EVERY_TENANT if asked.tenant is None else asked.tenant
            connection.execute(WITHHOLD, (recipient_digest(asked.recipient), tenant))
        found = connection.execute(BY_RECIPIENT, (asked.recipient, asked.tenant, asked.tenant))
    else:
        found = connection.execute(BY_MESSAGE_ID, (asked.message_id, asked.tenant, asked.tenant))
    messages = [seq for (seq,) in found]
    own_urls = _own_urls(connection, messages)
    counts = [strip_message(connection, message, own_urls) for message in messages]
    numbers = [number for (number,) in connection.execute(NUMBERS_OF, (json.dumps(sorted(own_urls)),))]
    connection.execute(DROP_WORDS, (json.dumps(numbers),))
    for drop in (DROP_WATCHED, DROP_EVENTS):
        connection.execute(drop, (json.dumps(sorted(own_urls)),))
    return Erased(len(messages), sum(links for links, _ in counts), sum(clicks for _, clicks in counts))


def _own_urls(connection: sqlite3.Connection, messages: list[int]) -> set[str]:
    """Give the URLs that stand in *messages* and in no other."""
    urls = {url for (url,) in connection.execute(URLS_OF, (json.dumps(messages),))}
    if not urls:
        return set()
    values = {"urls": json.dumps(sorted(urls)), "messages": json.dumps(messages)}
    return urls - {url for (url,) in connection.execute(URLS_OF_OTHERS, values)}


def _drop_before(connection: sqlite3.Connection, clicked_at: int) -> int:
    clicks = connection.execute(OLD_CLICKS, (clicked_at, FORGET_CLICKS)).fetchall()
    labelled = _progress(connection, "labelled")
    clicks = [(seq,) for (seq,) in clicks if seq <= labelled]  # what has no label yet is in no figure yet
    connection.executemany(DROP_LABEL, clicks)
    connection.executemany(DROP_CLICK, clicks)
    messages = connection.execute(OLD_MESSAGES, (clicked_at, FORGET_CLICKS)).fetchall()
    connection.executemany(FORGET_MESSAGE, messages)
    connection.executemany(DROP_HTML, messages)
    return len(clicks) + len(messages)


def _cut_addresses(connection: sqlite3.Connection, before: int) -> int:
    since, number = (_progress(connection, name) for name in ("cut_time", "cut_seq"))
    late = connection.execute(CUT_LATE, (number, since, FORGET_CLICKS)).fetchall()
    aged = connection.execute(CUT_BY_TIME, (since, before, FORGET_CLICKS)).fetchall()
    cut = [(cut_address(ip), seq) for seq, ip, *_ in (*late, *aged) if ip is not None]
    connection.executemany(CUT, cut)
    reached = aged[-1][2] if len(aged) == FORGET_CLICKS else before
    if len(aged) == FORGET_CLICKS and reached == since:  # more than a step of one moment
        reached = since + 1
        rest = connection.execute(CUT_BY_TIME, (since, reached, -1)).fetchall()
        connection.executemany(CUT, [(cut_address(ip), seq) for seq, ip, _ in rest if ip is not None])
    connection.execute(SET_PROGRESS, ("cut_time", max(reached, since)))
    latest = late[-1][0] if len(late) == FORGET_CLICKS else _latest(connection)
    connection.execute(SET_PROGRESS, ("cut_seq", latest))
    return len(late) + len(aged)


def _latest(connection: sqlite3.Connection) -> int:
    [latest] = connection.execute(LATEST).fetchone()
    return int(latest)


def _progress(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute(PROGRESS, (name,)).fetchone()
    return int(row[0]) if row else 0

"""What is taken away again: a person's data when that is asked for, and everybody's when it is old.

Promise: figures stay as they are. An erasure leaves no recipient, address, agent, town, metadata or mail of the person
in any table, and no URL that nobody else was sent; it is one transaction.
"""

import hashlib
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from linkrouter.central.store.questions import Erasure
from linkrouter.central.store.records import Erased
from linkrouter.central.store.sql.database import Lock, SqlConnection, SqlDatabase, in_snapshot, in_transaction
from linkrouter.central.store.sql.label_rows import read_rows
from linkrouter.central.store.sql.labels import LATEST, PROGRESS, SET_PROGRESS, replace_rows

__all__ = ["IS_WITHHELD", "SqlPrivacy", "cut_address", "recipient_digest", "strip_message", "withhold_digests"]

FORGET_CLICKS = 1000  # changed in one transaction
EVERY_TENANT = -1
ALL_ROWS = 2**62  # as a limit

BY_RECIPIENT = """
SELECT seq FROM messages WHERE recipient = :recipient COLLATE NOCASE AND (:tenant IS NULL OR tenant = :tenant)
"""
BY_MESSAGE_ID = "SELECT seq FROM messages WHERE message_id = :message_id AND (:tenant IS NULL OR tenant = :tenant)"
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
INSERT INTO withheld_links (link_id, tenant) SELECT DISTINCT link_id, tenant FROM links WHERE message = ?
ON CONFLICT DO NOTHING
"""
CLICKS_OF_MESSAGE = """
SELECT clicks.seq FROM clicks WHERE (clicks.link_id, clicks.tenant) IN (
    SELECT link_id, tenant FROM links WHERE message = ?)
"""
STRIP_CLICK = "UPDATE clicks SET ip = NULL, user_agent = NULL WHERE seq = ?"
NUMBERS_OF = "SELECT number FROM words WHERE word IN (SELECT value FROM json_each(?))"
DROP_WORDS = "DELETE FROM words WHERE number IN (SELECT value FROM json_each(?))"
DROP_WATCHED = "DELETE FROM watched_links WHERE url IN (SELECT value FROM json_each(?))"
DROP_EVENTS = "DELETE FROM link_events WHERE url IN (SELECT value FROM json_each(?))"
WITHHOLD = "INSERT INTO withheld (recipient, tenant) VALUES (?, ?) ON CONFLICT DO NOTHING"
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


class SqlPrivacy(SqlDatabase):
    """The part of a store that takes away."""

    @in_transaction(Lock.LABELS | Lock.NUMBERS)
    async def erase(self, writer: SqlConnection, asked: Erasure) -> Erased:
        """See `CentralStore`."""
        return await _erase(writer, asked)

    @in_transaction(Lock.NUMBERS)
    async def release(self, writer: SqlConnection, recipient: str, tenant: int | None) -> bool:
        """See `CentralStore`."""
        row = (recipient_digest(recipient), EVERY_TENANT if tenant is None else tenant)
        return await writer.execute(RELEASE, row) > 0

    @in_snapshot
    async def is_withheld(self, reader: SqlConnection, recipient: str, tenant: int | None) -> bool:
        """See `CentralStore`."""
        return bool(await reader.fetch(IS_WITHHELD, withhold_digests(recipient, tenant)))

    @in_transaction(Lock.LABELS | Lock.NUMBERS)
    async def drop_before(self, writer: SqlConnection, clicked_at: int) -> int:
        """See `CentralStore`."""
        clicks = await writer.fetch(OLD_CLICKS, (clicked_at, FORGET_CLICKS))
        labelled = await _progress(writer, "labelled")
        clicks = [(seq,) for (seq,) in clicks if seq <= labelled]  # what has no label yet is in no figure yet
        await writer.execute_many(DROP_LABEL, clicks)
        await writer.execute_many(DROP_CLICK, clicks)
        messages = await writer.fetch(OLD_MESSAGES, (clicked_at, FORGET_CLICKS))
        await writer.execute_many(FORGET_MESSAGE, messages)
        await writer.execute_many(DROP_HTML, messages)
        return len(clicks) + len(messages)

    @in_transaction(Lock.NUMBERS)
    async def cut_addresses(self, writer: SqlConnection, before: int) -> int:
        """See `CentralStore`."""
        return await _cut_addresses(writer, before)


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


async def strip_message(writer: SqlConnection, message: int, own_urls: Iterable[str] = ()) -> tuple[int, int]:
    """Take from *message* what points to a person, with *own_urls*, which nobody else was sent.

    Gives the numbers of links and of clicks that were stripped.
    """
    own = list(own_urls)
    await writer.execute(STRIP_MESSAGE, (message,))
    await writer.execute(DROP_HTML, (message,))
    links = await writer.execute(WITHHOLD_LINKS, (message,))
    seqs = [seq for (seq,) in await writer.fetch(CLICKS_OF_MESSAGE, (message,))]
    await writer.execute_many(STRIP_CLICK, [(seq,) for seq in seqs])
    urls = {number for (number,) in await writer.fetch(NUMBERS_OF, (own,))}
    old = await read_rows(writer, seqs)
    rows = [row._replace(region=0, city=0, url=0 if row.url in urls else row.url) for row in old.values()]
    await replace_rows(writer, old, rows)
    await writer.execute(STRIP_LINKS, {"message": message, "urls": own})
    return links, len(seqs)


async def _erase(writer: SqlConnection, asked: Erasure) -> Erased:
    if asked.recipient is not None:
        if asked.withhold:
            tenant = EVERY_TENANT if asked.tenant is None else asked.tenant
            await writer.execute(WITHHOLD, (recipient_digest(asked.recipient), tenant))
        found = await writer.fetch(BY_RECIPIENT, {"recipient": asked.recipient, "tenant": asked.tenant})
    else:
        found = await writer.fetch(BY_MESSAGE_ID, {"message_id": asked.message_id, "tenant": asked.tenant})
    messages = [seq for (seq,) in found]
    own_urls = await _own_urls(writer, messages)
    counts = [await strip_message(writer, message, own_urls) for message in messages]
    numbers = [number for (number,) in await writer.fetch(NUMBERS_OF, (own_urls,))]
    await writer.execute(DROP_WORDS, (numbers,))
    for drop in (DROP_WATCHED, DROP_EVENTS):
        await writer.execute(drop, (own_urls,))
    return Erased(len(messages), sum(links for links, _ in counts), sum(clicks for _, clicks in counts))


async def _own_urls(writer: SqlConnection, messages: list[int]) -> list[str]:
    """Give the URLs that stand in *messages* and in no other."""
    urls = {url for (url,) in await writer.fetch(URLS_OF, (messages,))}
    if not urls:
        return []
    others = await writer.fetch(URLS_OF_OTHERS, {"urls": sorted(urls), "messages": messages})
    return sorted(urls - {url for (url,) in others})


async def _cut_addresses(writer: SqlConnection, before: int) -> int:
    since, number = [await _progress(writer, name) for name in ("cut_time", "cut_seq")]
    late = await writer.fetch(CUT_LATE, (number, since, FORGET_CLICKS))
    aged = await writer.fetch(CUT_BY_TIME, (since, before, FORGET_CLICKS))
    cut = [(cut_address(ip), seq) for seq, ip, *_ in (*late, *aged) if ip is not None]
    await writer.execute_many(CUT, cut)
    reached = aged[-1][2] if len(aged) == FORGET_CLICKS else before
    if len(aged) == FORGET_CLICKS and reached == since:  # more than a step of one moment
        reached = since + 1
        rest = await writer.fetch(CUT_BY_TIME, (since, reached, ALL_ROWS))
        await writer.execute_many(CUT, [(cut_address(ip), seq) for seq, ip, _ in rest if ip is not None])
    await writer.execute(SET_PROGRESS, ("cut_time", max(reached, since)))
    latest = late[-1][0] if len(late) == FORGET_CLICKS else await writer.fetch_value(LATEST)
    await writer.execute(SET_PROGRESS, ("cut_seq", latest))
    return len(late) + len(aged)


async def _progress(writer: SqlConnection, name: str) -> int:
    return await writer.fetch_value(PROGRESS, (name,)) or 0

"""Clicks by the million: some that central stores and labels itself, and copies of their rows, days later each.

A copy of a row is what central would have made of the same click at that time: links, ids and addresses are others, and
figures hang on labels alone. `assert_counted` holds the roll-ups of one day to the house's own counting.
"""

import asyncio
import random
import string
import uuid
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b

from bench_stats import CLICKS_A_DAY, DAY_US, mailings

from linkrouter.central.roll_ups import LabelRow, count_labels
from linkrouter.central.store.records import Message
from linkrouter.central.store.sql.database import SqlDatabase
from linkrouter.clicks.click import Click
from linkrouter.link.codec import decode_base64url, encode_base64url

BASE_CLICKS = 200_000  # two days
LETTERS, DIGITS = string.ascii_letters + string.digits + "-_", string.digits + "abcdef"
# Of the rows of the base; {link} and {id} make others of the texts in brackets, {later} is in microseconds, and
# {clicks} and {messages} are the numbers given so far. What central itself writes one by one is copied in bulk.
COPIES = (
    "INSERT INTO messages (seq, message_id, tenant, digest, sent_at, recipient, tag, metadata, message_key, withheld) "
    "SELECT seq + {messages}, '{n}' || message_id, tenant, digest, sent_at + {later}, '{n}' || recipient, tag, "
    "metadata, message_key, withheld FROM messages WHERE seq <= {base_messages}",
    "INSERT INTO links (link_id, tenant, message, url, part, position, trap) "
    "SELECT {link[link_id]}, tenant, message + {messages}, url, part, position, trap "
    "FROM links WHERE message <= {base_messages}",
    "INSERT INTO clicks (seq, id, link_id, tenant, part, clicked_at, ip, user_agent, kind, takeback) "
    "SELECT seq + {clicks}, {id[id]}, {link[link_id]}, tenant, part, clicked_at + {later}, ip, user_agent, kind, "
    "takeback FROM clicks WHERE seq <= {base_clicks}",
    "INSERT INTO labels SELECT seq + {clicks}, tenant, clicked_at + {later}, "
    "CASE WHEN message > 0 THEN message + {messages} ELSE message END, tag, part, kind, browser, os, platform, "
    "country, region, city, url, robot, reason, reasons, version, is_first FROM labels WHERE seq <= {base_clicks}",
    "INSERT INTO firsts (link_id, tenant, clicked_at, seq) "
    "SELECT {link[link_id]}, tenant, clicked_at + {later}, seq + {clicks} FROM firsts WHERE seq <= {base_clicks}",
    "INSERT INTO roll_ups SELECT tenant, tag, dimension, span, bucket + {later} / 1000000, value, part, robot, clicks, "
    "uniques FROM base_roll_ups WHERE true "
    "ON CONFLICT (tenant, tag, dimension, span, bucket, value, part, robot) DO UPDATE "
    "SET clicks = roll_ups.clicks + excluded.clicks, uniques = roll_ups.uniques + excluded.uniques",
)
OF_DAY = "SELECT * FROM labels WHERE clicked_at >= ? AND clicked_at < ?"
ROLL_UPS_OF_DAY = "SELECT * FROM roll_ups WHERE bucket >= ? AND bucket < ?"
SUMS = """
SELECT (SELECT sum(clicks) FROM roll_ups WHERE tag = 0 AND dimension = 0 AND span = 1),
    (SELECT count(*) FROM labels), (SELECT count(*) FROM clicks),
    (SELECT sum(uniques) FROM roll_ups WHERE tag = 0 AND dimension = 0 AND span = 1),
    (SELECT sum(is_first) FROM labels), (SELECT count(*) FROM firsts)
"""


def scattered(count: int, begin_us: int, seed: int) -> Iterator[tuple[Message, list[Click]]]:
    """Give mailings whose message keys and click ids are random, as those of `linkrouter` and of HAProxy are."""
    rng = random.Random(seed)

    def other(link_id: str) -> str:
        raw = decode_base64url(link_id)
        return encode_base64url(blake2b(raw[:8], digest_size=8, salt=seed.to_bytes(8, "big")).digest() + raw[8:])

    for message, clicks in mailings(count, seed, begin_us):
        links = tuple(link._replace(link_id=other(link.link_id)) for link in message.links)
        named = replace(
            message,
            message_id=f"{seed}.{message.message_id}",
            recipient=f"{seed}.{message.recipient}",
            links=links,
        )
        ids = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in clicks]
        yield (
            named,
            [click._replace(id=each, link_id=other(click.link_id)) for each, click in zip(ids, clicks, strict=True)],
        )


def permuted(letters: str, seed: int) -> str:
    """Give *letters* in another order: what maps ids to others, each to one."""
    return "".join(random.Random(seed).sample(letters, len(letters)))


def copy_values(n: int, given: dict[str, int], base: dict[str, int]) -> dict[str, int]:
    """Give what stands in `COPIES` for the copy numbered *n*, where numbers were *given* and the base has *base*."""
    days = BASE_CLICKS // CLICKS_A_DAY
    return given | {f"base_{name}": number for name, number in base.items()} | {"n": n, "later": n * days * DAY_US}


async def assert_counted(store: SqlDatabase, begin_us: int) -> None:
    """Hold the day from *begin_us* on, a whole one, to `count_labels`, and all days to the number of labels.

    Raises:
        SystemExit: they are not the same.
    """
    span = (begin_us // 1_000_000, (begin_us + DAY_US) // 1_000_000)
    rows = await store.ask(lambda reader: reader.fetch(OF_DAY, (begin_us, begin_us + DAY_US)))
    roll_ups = await store.ask(lambda reader: reader.fetch(ROLL_UPS_OF_DAY, span))
    kept = {tuple(row[:8]): list(row[8:]) for row in roll_ups}
    if not rows or await asyncio.to_thread(count_labels, map(LabelRow._make, rows)) != kept:
        raise SystemExit("the roll-ups of a day are not what its labels come to")
    [(by_day, of_labels, of_clicks, uniques, firsts, links)] = await store.ask(lambda reader: reader.fetch(SUMS))
    if len({by_day, of_labels, of_clicks}) != 1 or len({uniques, firsts, links}) != 1:
        raise SystemExit(f"figures differ: {by_day} {of_labels} {of_clicks} clicks, {uniques} {firsts} {links} firsts")

"""Groups of clicks that are labelled together: those of one message, by its manifest or by its key in their link ids.

Promise: every click within a quarter of an hour of a new one on the same message is judged again, each with all that is
within as much of itself. Two clicks further apart say nothing about each other (a burst lasts seconds, a sweep
minutes), so a link that a whole mailing shares stays cheap.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from linkrouter.central.labels import Insight, KnownLink, KnownMessage, Label, StoredClick, label_clicks
from linkrouter.central.store.sql.database import SqlConnection
from linkrouter.errors import BadLink
from linkrouter.link.codec import decode_base64url, encode_base64url
from linkrouter.units import SECOND_US

__all__ = ["Group", "Pair", "Window", "find_groups", "judge_groups"]

AROUND_US = 15 * 60 * SECOND_US
ALWAYS = (0, 2**62)
KEY_BYTES = 8
KEY_CHARS = KEY_BYTES * 8 // 6  # of a link id in base64url, which are those of its message key alone

Pair = tuple[str, int]  # link id, tenant
Window = tuple[int, int]

MESSAGES_OF = """
SELECT DISTINCT links.link_id, links.tenant, links.message FROM json_each(:pairs) AS pair CROSS JOIN links
ON links.link_id = json_extract(pair.value, '$[0]')
AND links.tenant = CAST(json_extract(pair.value, '$[1]') AS BIGINT)
"""
MANIFESTS = """
SELECT messages.seq, coalesce(tag, ''), coalesce((SELECT max(number) FROM (
    SELECT count(DISTINCT link_id) AS number FROM links WHERE links.message = messages.seq AND trap = 0 GROUP BY part
) AS parts), 0)
FROM messages WHERE seq IN (SELECT value FROM json_each(:messages))
"""

CLICK = "clicks.seq, clicks.id, clicks.link_id, clicks.tenant, clicks.part, kind, clicked_at, ip, user_agent"
# A click on a link that stands in both parts comes twice.
CLICKS_OF_MESSAGES = """
WITH wanted (message, low, high) AS MATERIALIZED (
    SELECT CAST(json_extract(given.value, '$[0]') AS BIGINT), CAST(json_extract(given.value, '$[1]') AS BIGINT),
        CAST(json_extract(given.value, '$[2]') AS BIGINT)
    FROM json_each(:wanted) AS given)
SELECT wanted.message, {click}, own.url, own.position, own.trap
FROM wanted CROSS JOIN links AS sent ON sent.message = wanted.message
CROSS JOIN clicks ON clicks.link_id = sent.link_id AND clicks.tenant = sent.tenant
AND clicked_at BETWEEN wanted.low AND wanted.high
LEFT JOIN links AS own ON own.rowid = (
    SELECT min(rowid) FROM links WHERE links.link_id = clicks.link_id AND links.tenant = clicks.tenant
    AND links.message = sent.message AND links.part = clicks.part)
"""
# "~" comes behind every letter of base64url.
CLICKS_OF_KEYS = """
SELECT {click} FROM json_each(:wanted) AS wanted CROSS JOIN clicks
ON clicks.link_id >= json_extract(wanted.value, '$[0]') AND clicks.link_id < json_extract(wanted.value, '$[0]') || '~'
AND clicks.tenant = CAST(json_extract(wanted.value, '$[1]') AS BIGINT)
AND clicked_at BETWEEN CAST(json_extract(wanted.value, '$[2]') AS BIGINT)
    AND CAST(json_extract(wanted.value, '$[3]') AS BIGINT)
"""
CLICKS_OF_LINKS = """
SELECT {click} FROM json_each(:wanted) AS wanted CROSS JOIN clicks
ON link_id = json_extract(wanted.value, '$[0]') AND tenant = CAST(json_extract(wanted.value, '$[1]') AS BIGINT)
AND clicked_at BETWEEN CAST(json_extract(wanted.value, '$[2]') AS BIGINT)
    AND CAST(json_extract(wanted.value, '$[3]') AS BIGINT)
"""

Name = int | tuple[bytes, int] | Pair  # of a group: the number of a message, its key with the tenant, or a link


@dataclass(slots=True)
class Group:
    """The clicks on one message, or on one link whose message is not known, and the time that is looked at."""

    window: Window
    message: KnownMessage | None = None
    clicks: dict[int, StoredClick] = field(default_factory=dict)  # by `seq`


async def find_groups(connection: SqlConnection, windows: Mapping[Pair, Window | None]) -> list[Group]:
    """Give the groups with clicks around *windows*, the times of new clicks by link; None stands for all times."""
    rows = await connection.fetch(MESSAGES_OF, {"pairs": list(windows)})
    message_of = {(link_id, tenant): message for link_id, tenant, message in rows}
    groups: dict[Name, Group] = {}
    for pair, window in windows.items():
        low, high = (window[0] - 2 * AROUND_US, window[1] + 2 * AROUND_US) if window else ALWAYS
        name = message_of.get(pair) or _name_by_id(pair)
        group = groups.get(name)
        if group is None:
            groups[name] = Group((low, high))
        else:
            group.window = (min(group.window[0], low), max(group.window[1], high))
    await _add_clicks_of_messages(connection, groups)
    await _add_clicks_by_id(connection, groups)
    return list(groups.values())


def judge_groups(groups: Iterable[Group], insight: Insight) -> list[tuple[StoredClick, Label]]:
    """Give the labels of the clicks of *groups* that all their neighbours are there of."""
    labels: list[tuple[StoredClick, Label]] = []
    for group in groups:
        low, high = group.window
        if group.window != ALWAYS:
            low, high = low + AROUND_US, high - AROUND_US
        labels += (
            one
            for one in label_clicks(list(group.clicks.values()), group.message, insight)
            if low <= one[0].clicked_at <= high
        )
    return labels


async def _add_clicks_by_id(connection: SqlConnection, groups: Mapping[Name, Group]) -> None:
    keyed, single = [], []
    for name, group in groups.items():
        if isinstance(name, tuple):
            key, tenant = name
            if isinstance(key, bytes):
                keyed.append((encode_base64url(key)[:KEY_CHARS], tenant, *group.window))
            else:
                single.append((key, tenant, *group.window))
    for statement, wanted in ((CLICKS_OF_KEYS, keyed), (CLICKS_OF_LINKS, single)):
        for row in await connection.fetch(statement.format(click=CLICK), {"wanted": wanted}) if wanted else ():
            click = StoredClick._make(row)
            found = groups.get(_name_by_id((click.link_id, click.tenant)))
            if found is not None:  # two keys may begin with the same letters
                found.clicks[click.seq] = click


async def _add_clicks_of_messages(connection: SqlConnection, groups: Mapping[Name, Group]) -> None:
    wanted = [(name, *group.window) for name, group in groups.items() if isinstance(name, int)]
    if not wanted:
        return
    links: dict[int, dict[tuple[str, str], KnownLink]] = {}
    row: Any
    for row in await connection.fetch(CLICKS_OF_MESSAGES.format(click=CLICK), {"wanted": wanted}):
        message, seq, click_id, link_id, tenant, part, kind, clicked_at, ip, agent, url, position, trap = row
        groups[message].clicks[seq] = StoredClick(seq, click_id, link_id, tenant, part, kind, clicked_at, ip, agent)
        if url is not None:
            links.setdefault(message, {})[link_id, part] = KnownLink(url, position, bool(trap))
    for message, tag, most in await connection.fetch(MANIFESTS, {"messages": [name for name, *_ in wanted]}):
        groups[message].message = KnownMessage(message, tag, most, links.get(message, {}))


def _name_by_id(pair: Pair) -> tuple[bytes, int] | Pair:
    """Name the group of a link that no manifest has told of: by its message key, if its id has room for one."""
    key = _message_key(pair[0])
    return (key, pair[1]) if key else pair


def _message_key(link_id: str) -> bytes | None:
    """Give the message key of a link id that has room for one and a position, else None."""
    try:
        raw = decode_base64url(link_id)
    except BadLink:
        return None
    return raw[:KEY_BYTES] if len(raw) > KEY_BYTES else None

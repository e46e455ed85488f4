"""Groups of clicks that are labelled together: those of one message, by its manifest or by its key in their link ids.

Promise: every click within a quarter of an hour of a new one on the same message is judged again, each with all that is
within as much of itself. Two clicks further apart say nothing about each other (a burst lasts seconds, a sweep
minutes), so a link that a whole mailing shares stays cheap.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from linkrouter.central.labels import Insight, KnownLink, KnownMessage, Label, StoredClick, label_clicks
from linkrouter.central.roll_ups import KINDS_BY_NUMBER, MACHINE, PARTS_BY_NUMBER, ROBOTS_BY_NUMBER, LabelRow
from linkrouter.errors import BadLink
from linkrouter.link.codec import decode_base64url, encode_base64url
from linkrouter.units import SECOND_US

__all__ = ["Labelled", "Pair", "Window", "label_groups", "read_rows"]

AROUND_US = 15 * 60 * SECOND_US
ALWAYS = (0, 2**62)
NOT_JUDGED = ROBOTS_BY_NUMBER.index("not judged")
KEY_BYTES = 8
KEY_CHARS = KEY_BYTES * 8 // 6  # of a link id in base64url, which are those of its message key alone

Pair = tuple[str, int]  # link id, tenant
Window = tuple[int, int]

MESSAGES_OF = """
SELECT DISTINCT links.link_id, links.tenant, links.message FROM json_each(?) AS pair CROSS JOIN links
ON links.link_id = json_extract(pair.value, '$[0]') AND links.tenant = json_extract(pair.value, '$[1]')
"""
MANIFESTS = """
SELECT messages.seq, coalesce(tag, ''), coalesce((SELECT max(number) FROM (
    SELECT count(DISTINCT link_id) AS number FROM links WHERE links.message = messages.seq AND NOT trap GROUP BY part
)), 0)
FROM json_each(?) AS wanted CROSS JOIN messages ON messages.seq = wanted.value
"""

CLICK = "clicks.seq, clicks.id, clicks.link_id, clicks.tenant, clicks.part, kind, clicked_at, ip, user_agent"
# A click on a link that stands in both parts comes twice.
CLICKS_OF_MESSAGES = """
WITH wanted (message, low, high) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?))
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
SELECT {click} FROM json_each(?) AS wanted CROSS JOIN clicks
ON clicks.link_id >= json_extract(wanted.value, '$[0]') AND clicks.link_id < json_extract(wanted.value, '$[0]') || '~'
AND clicks.tenant = json_extract(wanted.value, '$[1]')
AND clicked_at BETWEEN json_extract(wanted.value, '$[2]') AND json_extract(wanted.value, '$[3]')
"""
CLICKS_OF_LINKS = """
SELECT {click} FROM json_each(?) AS wanted CROSS JOIN clicks
ON link_id = json_extract(wanted.value, '$[0]') AND tenant = json_extract(wanted.value, '$[1]')
AND clicked_at BETWEEN json_extract(wanted.value, '$[2]') AND json_extract(wanted.value, '$[3]')
"""
FIRSTS = """
SELECT firsts.link_id, firsts.tenant, clicked_at, seq FROM json_each(?) AS pair CROSS JOIN firsts
ON firsts.link_id = json_extract(pair.value, '$[0]') AND firsts.tenant = json_extract(pair.value, '$[1]')
"""
ROWS = "SELECT * FROM labels WHERE seq IN (SELECT value FROM json_each(?))"
PEOPLE_OF_LINK = """
SELECT labels.clicked_at, labels.seq FROM clicks CROSS JOIN labels ON labels.seq = clicks.seq
WHERE clicks.link_id = ? AND clicks.tenant = ? AND labels.kind = 0 AND labels.robot <> ?
ORDER BY labels.clicked_at, labels.seq
"""
WORDS = "SELECT word, number FROM words WHERE word IN (SELECT value FROM json_each(?))"
ADD_WORD = "INSERT INTO words (word) VALUES (?)"


class First(NamedTuple):
    """The first click by a person on a link."""

    clicked_at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """What labelling gave: label rows by the clicks' `seq`, and the firsts that moved, None where there is none now."""

    rows: dict[int, LabelRow] = field(default_factory=dict)
    firsts: dict[Pair, First | None] = field(default_factory=dict)


Name = int | tuple[bytes, int] | Pair  # of a group: the number of a message, its key with the tenant, or a link


@dataclass(slots=True)
class _Group:
    """The clicks on one message, or on one link whose message is not known, and the time that is looked at."""

    window: Window
    message: KnownMessage | None = None
    clicks: dict[int, StoredClick] = field(default_factory=dict)  # by `seq`


def label_groups(connection: sqlite3.Connection, windows: Mapping[Pair, Window | None], insight: Insight) -> Labelled:
    """Label every click around *windows*, the times of new clicks by link; None stands for all times."""
    labels: list[tuple[StoredClick, Label]] = []
    for group in _find_groups(connection, windows):
        low, high = group.window
        labels += (
            (click, label)
            for click, label in label_clicks(list(group.clicks.values()), group.message, insight)
            if group.window == ALWAYS or low + AROUND_US <= click.clicked_at <= high - AROUND_US
        )
    rows = _keep_judged(connection, _encode(connection, labels))
    by_pair: dict[Pair, list[LabelRow]] = {}
    for click, _ in labels:
        by_pair.setdefault((click.link_id, click.tenant), []).append(rows[click.seq])
    return _settle_firsts(connection, rows, by_pair)


def read_rows(connection: sqlite3.Connection, seqs: Iterable[int]) -> dict[int, LabelRow]:
    """Give the label rows that are kept of the clicks *seqs*."""
    found = connection.execute(ROWS, (json.dumps(list(seqs)),))
    return {row[0]: LabelRow._make(row) for row in found}


def _find_groups(connection: sqlite3.Connection, windows: Mapping[Pair, Window | None]) -> Iterable[_Group]:
    message_of = {
        (link_id, tenant): message
        for link_id, tenant, message in connection.execute(MESSAGES_OF, (json.dumps(list(windows)),))
    }
    groups: dict[Name, _Group] = {}
    for pair, window in windows.items():
        low, high = (window[0] - 2 * AROUND_US, window[1] + 2 * AROUND_US) if window else ALWAYS
        group = groups.setdefault(message_of.get(pair) or _name_by_id(pair), _Group((low, high)))
        group.window = (min(group.window[0], low), max(group.window[1], high))
    _add_clicks_of_messages(connection, groups)
    _add_clicks_by_id(connection, groups)
    return groups.values()


def _add_clicks_by_id(connection: sqlite3.Connection, groups: Mapping[Name, _Group]) -> None:
    keyed, single = [], []
    for name, group in groups.items():
        if isinstance(name, tuple):
            key, tenant = name
            if isinstance(key, bytes):
                keyed.append((encode_base64url(key)[:KEY_CHARS], tenant, *group.window))
            else:
                single.append((key, tenant, *group.window))
    for statement, wanted in ((CLICKS_OF_KEYS, keyed), (CLICKS_OF_LINKS, single)):
        for row in connection.execute(statement.format(click=CLICK), (json.dumps(wanted),)):
            click = StoredClick._make(row)
            found = groups.get(_name_by_id((click.link_id, click.tenant)))
            if found is not None:  # two keys may begin with the same letters
                found.clicks[click.seq] = click


def _add_clicks_of_messages(connection: sqlite3.Connection, groups: Mapping[Name, _Group]) -> None:
    wanted = [(name, *group.window) for name, group in groups.items() if isinstance(name, int)]
    links: dict[int, dict[tuple[str, str], KnownLink]] = {}
    row: Any
    for row in connection.execute(CLICKS_OF_MESSAGES.format(click=CLICK), (json.dumps(wanted),)):
        message, click = row[0], StoredClick._make(row[1:10])
        url, position, trap = row[10:]
        groups[message].clicks[click.seq] = click
        if url is not None:
            links.setdefault(message, {})[click.link_id, click.part] = KnownLink(url, position, bool(trap))
    for message, tag, most in connection.execute(MANIFESTS, (json.dumps([name for name, *_ in wanted]),)):
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


def _encode(connection: sqlite3.Connection, labels: list[tuple[StoredClick, Label]]) -> dict[int, LabelRow]:
    """Give *labels* as rows, with the numbers of their words, by the clicks' `seq`."""
    words = _number_words(connection, labels)
    return {
        click.seq: LabelRow._make(
            (
                label.seq,
                label.tenant,
                label.clicked_at,
                label.message,
                words[label.tag],
                PARTS_BY_NUMBER.index(label.part),
                KINDS_BY_NUMBER.index(label.kind),
                *(words[text] for text in label[7:14]),
                ROBOTS_BY_NUMBER.index(label.robot),
                words[label.reasons[0]] if label.robot == "machine" and label.reasons else 0,
                words[",".join(label.reasons)],
                label.version,
                0,
            )
        )
        for click, label in labels
    }


def _number_words(connection: sqlite3.Connection, labels: list[tuple[StoredClick, Label]]) -> dict[str, int]:
    """Give the number of each text of *labels*; new ones get theirs."""
    texts = {""}
    for _, label in labels:
        texts.update(label[7:14])
        texts.add(label.tag)
        if label.reasons:
            texts.update((",".join(label.reasons), label.reasons[0]))
    known = dict(connection.execute(WORDS, (json.dumps(list(texts)),)))
    if missing := sorted(texts - known.keys()):
        connection.executemany(ADD_WORD, [(word,) for word in missing])
        known |= dict(connection.execute(WORDS, (json.dumps(missing),)))
    return known


def _keep_judged(connection: sqlite3.Connection, rows: dict[int, LabelRow]) -> dict[int, LabelRow]:
    """Leave what was judged before its address and agent were taken away: it could not be judged again."""
    blank = [seq for seq, row in rows.items() if row.robot == NOT_JUDGED]
    for seq, old in read_rows(connection, blank).items():
        if old.robot != NOT_JUDGED:
            new = rows[seq]
            rows[seq] = old._replace(message=new.message, tag=new.tag, url=new.url, is_first=0)
    return rows


def _settle_firsts(
    connection: sqlite3.Connection, rows: dict[int, LabelRow], by_pair: Mapping[Pair, list[LabelRow]]
) -> Labelled:
    """Mark the first click by a person on each link, which may stand outside of what was looked at."""
    known = {
        (link_id, tenant): First(clicked_at, seq)
        for link_id, tenant, clicked_at, seq in connection.execute(FIRSTS, (json.dumps(list(by_pair)),))
    }
    labelled = Labelled(rows)
    for pair, found in by_pair.items():
        before = known.get(pair)
        if before is not None and before.seq not in rows and not read_rows(connection, [before.seq]):
            continue  # counted once and for all, before the click itself was dropped
        people = [First(row.clicked_at, row.seq) for row in found if row.kind == 0 and row.robot != MACHINE]
        if before is not None and before.seq not in rows:
            people.append(before)
        elif before is not None and before not in people:  # it turned out to be a machine's
            people += _people_elsewhere(connection, pair, rows)
        first = min(people, default=None)
        if first != before:
            labelled.firsts[pair] = first
            if before is not None and before.seq not in rows:
                rows |= {seq: row._replace(is_first=0) for seq, row in read_rows(connection, [before.seq]).items()}
        if first is not None:
            if first.seq not in rows:
                rows |= read_rows(connection, [first.seq])
            if first.seq in rows:
                rows[first.seq] = rows[first.seq]._replace(is_first=1)
    return labelled


def _people_elsewhere(connection: sqlite3.Connection, pair: Pair, rows: Mapping[int, LabelRow]) -> list[First]:
    found = connection.execute(PEOPLE_OF_LINK, (*pair, MACHINE))
    return [First(clicked_at, seq) for clicked_at, seq in found if seq not in rows]

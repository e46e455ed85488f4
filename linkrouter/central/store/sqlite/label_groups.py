"""Groups of clicks that are labelled together: those of one message, by its manifest or by its key in their link ids.

Promise: every click within a quarter of an hour of a new one on the same message is judged again, each with all that is
within as much of itself. Two clicks further apart say nothing about each other (a burst lasts seconds, a sweep
minutes), so a link that a whole mailing shares stays cheap.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from linkrouter.central.labels import Insight, KnownLink, KnownMessage, Label, StoredClick, label_clicks
from linkrouter.central.roll_ups import KINDS_BY_NUMBER, MACHINE, PARTS_BY_NUMBER, ROBOTS_BY_NUMBER, LabelRow
from linkrouter.errors import BadLink
from linkrouter.link.codec import decode_base64url
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
LINKS_OF = """
SELECT links.message, coalesce(tag, ''), links.link_id, links.tenant, part, url, position, trap
FROM json_each(?) AS wanted CROSS JOIN messages ON messages.seq = wanted.value CROSS JOIN links
ON links.message = messages.seq
"""
# "~" comes behind every letter of base64url.
SIBLINGS = """
SELECT DISTINCT clicks.link_id, clicks.tenant FROM json_each(?) AS wanted CROSS JOIN clicks
ON clicks.link_id >= json_extract(wanted.value, '$[0]') AND clicks.link_id < json_extract(wanted.value, '$[0]') || '~'
AND clicks.tenant = json_extract(wanted.value, '$[1]')
"""
CLICKS_OF = """
SELECT seq, clicks.id, link_id, tenant, part, kind, clicked_at, ip, user_agent
FROM json_each(?) AS wanted CROSS JOIN clicks
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
ADD_WORD = "INSERT INTO words (word) VALUES (?) ON CONFLICT DO NOTHING"


class First(NamedTuple):
    """The first click by a person on a link."""

    clicked_at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """What labelling gave: label rows by the clicks' `seq`, and the firsts that moved, None where there is none now."""

    rows: dict[int, LabelRow] = field(default_factory=dict)
    firsts: dict[Pair, First | None] = field(default_factory=dict)


@dataclass(slots=True)
class _Group:
    """The links of one message, or one link whose message is not known, and the time that is looked at."""

    message: KnownMessage | None
    pairs: set[Pair]
    window: Window


def label_groups(connection: sqlite3.Connection, windows: Mapping[Pair, Window | None], insight: Insight) -> Labelled:
    """Label every click around *windows*, the times of new clicks by link; None stands for all times."""
    groups = _find_groups(connection, windows)
    clicks: dict[Pair, list[StoredClick]] = {}
    wanted = [(*pair, *group.window) for group in groups for pair in group.pairs]
    for row in connection.execute(CLICKS_OF, (json.dumps(wanted),)):
        click = StoredClick._make(row)
        clicks.setdefault((click.link_id, click.tenant), []).append(click)
    labels: list[tuple[StoredClick, Label]] = []
    for group in groups:
        together = [click for pair in sorted(group.pairs) for click in clicks.get(pair, ())]
        low, high = group.window
        labels += (
            (click, label)
            for click, label in label_clicks(together, group.message, insight)
            if group.window == ALWAYS or low + AROUND_US <= click.clicked_at <= high - AROUND_US
        )
    rows = _keep_judged(connection, _encode(connection, labels))
    by_pair = {
        pair: [rows[click.seq] for click, _ in found]
        for pair, found in groupby(
            sorted(labels, key=lambda label: _pair_of(label[0])), key=lambda label: _pair_of(label[0])
        )
    }
    return _settle_firsts(connection, rows, by_pair)


def read_rows(connection: sqlite3.Connection, seqs: Iterable[int]) -> dict[int, LabelRow]:
    """Give the label rows that are kept of the clicks *seqs*."""
    found = connection.execute(ROWS, (json.dumps(list(seqs)),))
    return {row[0]: LabelRow._make(row) for row in found}


def _pair_of(click: StoredClick) -> Pair:
    return click.link_id, click.tenant


def _find_groups(connection: sqlite3.Connection, windows: Mapping[Pair, Window | None]) -> list[_Group]:
    message_of = {
        (link_id, tenant): message
        for link_id, tenant, message in connection.execute(MESSAGES_OF, (json.dumps(list(windows)),))
    }
    names: dict[Pair, int | tuple[bytes, int] | Pair] = {}
    for pair in windows:
        key = _message_key(pair[0])
        names[pair] = message_of.get(pair) or ((key, pair[1]) if key else pair)
    groups: dict[object, _Group] = {}
    for pair, window in windows.items():
        low, high = (window[0] - 2 * AROUND_US, window[1] + 2 * AROUND_US) if window else ALWAYS
        group = groups.setdefault(names[pair], _Group(None, set(), (low, high)))
        group.pairs.add(pair)
        group.window = (min(group.window[0], low), max(group.window[1], high))
    _add_manifests(connection, groups)
    _add_siblings(connection, groups)
    return list(groups.values())


def _add_manifests(connection: sqlite3.Connection, groups: dict[object, _Group]) -> None:
    found: dict[int, tuple[str, dict[tuple[str, str], KnownLink]]] = {}
    wanted = json.dumps([name for name in groups if isinstance(name, int)])
    for message, tag, link_id, tenant, part, url, position, trap in connection.execute(LINKS_OF, (wanted,)):
        groups[message].pairs.add((link_id, tenant))
        _, links = found.setdefault(message, (tag, {}))
        links.setdefault((link_id, part), KnownLink(url, position, bool(trap)))
    for message, (tag, links) in found.items():
        groups[message].message = KnownMessage(message, tag, links)


def _add_siblings(connection: sqlite3.Connection, groups: dict[object, _Group]) -> None:
    """Add the links whose ids begin with the same message key, while no manifest has told what is of which message."""
    keyed = {name: group for name, group in groups.items() if isinstance(name, tuple) and isinstance(name[0], bytes)}
    wanted = [(next(iter(group.pairs))[0][:KEY_CHARS], tenant) for (_, tenant), group in keyed.items()]
    for link_id, tenant in connection.execute(SIBLINGS, (json.dumps(wanted),)):
        group = keyed.get((_message_key(link_id), tenant))
        if group is not None:
            group.pairs.add((link_id, tenant))


def _message_key(link_id: str) -> bytes | None:
    """Give the message key of a link id that has room for one and a position, else None."""
    try:
        raw = decode_base64url(link_id)
    except BadLink:
        return None
    return raw[:KEY_BYTES] if len(raw) > KEY_BYTES else None


def _encode(connection: sqlite3.Connection, labels: list[tuple[StoredClick, Label]]) -> dict[int, LabelRow]:
    """Give *labels* as rows, with the numbers of their words, by the clicks' `seq`."""
    words = {"": 0}
    for _, label in labels:
        words |= dict.fromkeys((label.tag, *label[7:14], ",".join(label.reasons), *label.reasons[:1]), 0)
    connection.executemany(ADD_WORD, [(word,) for word in words if word])
    words |= dict(connection.execute(WORDS, (json.dumps(list(words)),)))
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

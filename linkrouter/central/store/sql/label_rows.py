"""Labels as rows of the table: their words by number, what was judged before, and which click is the first of a link.

Promise: a label that can not be judged again stays; a link has one first click by a person, and it stands in the rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from linkrouter.central.labels import Label, StoredClick
from linkrouter.central.roll_ups import KINDS_BY_NUMBER, MACHINE, PARTS_BY_NUMBER, ROBOTS_BY_NUMBER, LabelRow
from linkrouter.central.store.sql.database import SqlConnection
from linkrouter.central.store.sql.label_groups import Pair

__all__ = ["Labelled", "make_rows", "read_rows"]

NOT_JUDGED = ROBOTS_BY_NUMBER.index("not judged")

FIRSTS = """
SELECT firsts.link_id, firsts.tenant, clicked_at, seq FROM json_each(:pairs) AS pair CROSS JOIN firsts
ON firsts.link_id = json_extract(pair.value, '$[0]')
AND firsts.tenant = CAST(json_extract(pair.value, '$[1]') AS BIGINT)
"""
ROWS = "SELECT * FROM labels WHERE seq IN (SELECT value FROM json_each(:seqs))"
PERSON_ON_LINK = """
SELECT labels.clicked_at, labels.seq FROM clicks CROSS JOIN labels ON labels.seq = clicks.seq
WHERE clicks.link_id = :link_id AND clicks.tenant = :tenant AND labels.kind = 0 AND labels.robot <> :machine
    AND labels.seq NOT IN (SELECT value FROM json_each(:but))
ORDER BY labels.clicked_at, labels.seq LIMIT 1
"""
WORDS = "SELECT word, number FROM words WHERE word IN (SELECT value FROM json_each(:words))"
ADD_WORD = "INSERT INTO words (word) VALUES (?)"


class First(NamedTuple):
    """The first click by a person on a link."""

    clicked_at: int
    seq: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """What labelling gave: label rows by the clicks' `seq`, as they are and as they were, and the firsts that moved.

    A first is None where there is none now.
    """

    rows: dict[int, LabelRow] = field(default_factory=dict)
    old: dict[int, LabelRow] = field(default_factory=dict)
    firsts: dict[Pair, First | None] = field(default_factory=dict)


async def make_rows(connection: SqlConnection, labels: list[tuple[StoredClick, Label]]) -> Labelled:
    """Give what becomes of the table when the clicks get *labels*."""
    words = await _number_words(connection, labels)
    rows = await connection.compute(_encode, labels, words)
    old = await read_rows(connection, rows)
    _keep_judged(rows, old)
    by_pair: dict[Pair, list[LabelRow]] = {}
    for click, _ in labels:
        by_pair.setdefault((click.link_id, click.tenant), []).append(rows[click.seq])
    labelled = Labelled(rows, old)
    await _settle_firsts(connection, labelled, by_pair)
    return labelled


async def read_rows(connection: SqlConnection, seqs: Iterable[int]) -> dict[int, LabelRow]:
    """Give the label rows that are kept of the clicks *seqs*."""
    wanted = list(seqs)
    found = await connection.fetch(ROWS, {"seqs": wanted}) if wanted else ()
    return {row[0]: LabelRow._make(row) for row in found}


def _encode(labels: list[tuple[StoredClick, Label]], words: Mapping[str, int]) -> dict[int, LabelRow]:
    """Give *labels* as rows, with the numbers of their words, by the clicks' `seq`."""
    rows = {}
    for _, label in labels:
        seq, tenant, clicked_at, message, tag, part, kind, *texts, robot, reasons, version = label
        browser, os, platform, country, region, city, url = map(words.__getitem__, texts)
        rows[seq] = LabelRow(
            *(seq, tenant, clicked_at, message, words[tag], PARTS_BY_NUMBER.index(part), KINDS_BY_NUMBER.index(kind)),
            *(browser, os, platform, country, region, city, url, ROBOTS_BY_NUMBER.index(robot)),
            words[reasons[0]] if robot == "machine" and reasons else 0,
            words[",".join(reasons)] if reasons else words[""],
            version,
            0,
        )
    return rows


async def _number_words(connection: SqlConnection, labels: list[tuple[StoredClick, Label]]) -> dict[str, int]:
    """Give the number of each text of *labels*; new ones get theirs."""
    texts = {""}.union(*{(label.tag, *label[7:14]) for _, label in labels})
    for reasons in {label.reasons for _, label in labels if label.reasons}:
        texts.update((",".join(reasons), reasons[0]))
    known: dict[str, int] = dict(await connection.fetch(WORDS, {"words": list(texts)}))
    if missing := sorted(texts - known.keys()):
        await connection.execute_many(ADD_WORD, [(word,) for word in missing])
        known |= dict(await connection.fetch(WORDS, {"words": missing}))
    return known


def _keep_judged(rows: dict[int, LabelRow], old: Mapping[int, LabelRow]) -> None:
    """Leave what was judged before its address and agent were taken away: it could not be judged again."""
    for seq, was in old.items():
        if rows[seq].robot == NOT_JUDGED and was.robot != NOT_JUDGED:
            new = rows[seq]
            rows[seq] = was._replace(message=new.message, tag=new.tag, url=new.url, is_first=0)


async def _settle_firsts(connection: SqlConnection, labelled: Labelled, by_pair: Mapping[Pair, list[LabelRow]]) -> None:
    """Mark the first click by a person on each link, which may stand outside of what was looked at."""
    rows, old = labelled.rows, labelled.old
    known = {
        (link_id, tenant): First(clicked_at, seq)
        for link_id, tenant, clicked_at, seq in await connection.fetch(FIRSTS, {"pairs": list(by_pair)})
    }
    elsewhere = await read_rows(connection, (first.seq for first in known.values() if first.seq not in rows))
    for pair, found in by_pair.items():
        before = known.get(pair)
        if before is None and len(found) == 1:  # as most are
            [row] = found
            if row.kind == 0 and row.robot != MACHINE:
                labelled.firsts[pair] = First(row.clicked_at, row.seq)
                rows[row.seq] = row._replace(is_first=1)
            continue
        if before is not None and before.seq not in rows and before.seq not in elsewhere:
            continue  # counted once and for all, before the click itself was dropped
        people = [First(row.clicked_at, row.seq) for row in found if row.kind == 0 and row.robot != MACHINE]
        if before is not None and before.seq not in rows:
            people.append(before)
        elif before is not None and before not in people:  # it turned out to be a machine's
            people += await _find_person(connection, pair, [row.seq for row in found], elsewhere)
        first = min(people, default=None)
        if first != before:
            labelled.firsts[pair] = first
            if before is not None and before.seq not in rows:
                rows[before.seq] = elsewhere[before.seq]._replace(is_first=0)
        if first is not None:
            rows[first.seq] = (rows.get(first.seq) or elsewhere[first.seq])._replace(is_first=1)
    old |= {seq: elsewhere[seq] for seq in rows.keys() & elsewhere.keys()}


async def _find_person(
    connection: SqlConnection, pair: Pair, but: list[int], elsewhere: dict[int, LabelRow]
) -> list[First]:
    """Give the first click by a person on a link but for those *but*, if there is one, and put its row *elsewhere*."""
    values = {"link_id": pair[0], "tenant": pair[1], "machine": MACHINE, "but": but}
    found = [First._make(row) for row in await connection.fetch(PERSON_ON_LINK, values)]
    elsewhere |= await read_rows(connection, (first.seq for first in found))
    return found

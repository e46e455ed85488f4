"""Mending: a ring whose page is damaged is read by what lies in its data.

Promise: every whole group is read again, those of the last lap that were carried already, too, since nothing tells
them apart; central knows them by their ids.
"""

from linkrouter.clicks.ring.file import RingFile
from linkrouter.clicks.ring.group import ClickGroup, find_group
from linkrouter.clicks.ring.page import CARRIED, CLICKS, HEAD, TAIL

__all__ = ["mend"]


def mend(ring: RingFile) -> int:
    """Give *ring* a page by which its reader finds every group there is; tell how many clicks those hold."""
    groups = _groups(ring)
    words = ring.page.words
    for at in range(len(words)):
        words[at] = 0
    if groups:
        first_at, first = min(groups, key=lambda found: found[1].first)
        last_at, last = max(groups, key=lambda found: found[1].first)
        words[TAIL], words[CARRIED] = first_at, first.first
        words[HEAD] = last.end + (len(ring.data) if last_at < first_at else 0)
        words[CLICKS] = last.first + len(last.records)
    ring.page.begin(len(ring.data), worker=0)
    return sum(len(group.records) for _, group in groups)


def _groups(ring: RingFile) -> list[tuple[int, ClickGroup]]:
    found, at = [], 0
    while (next_one := find_group(ring.data, at, len(ring.data), 0)) is not None:
        at = next_one[1].end
        if next_one[1].records:
            found.append(next_one)
    return found

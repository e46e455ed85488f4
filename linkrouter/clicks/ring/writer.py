"""The writer: puts clicks into a ring, and nothing else.

Promise: it never waits and never fails. What `append` said yes to survives this process, however that ends; what finds
no room is left out whole.
"""

import time
from collections.abc import Sequence

from linkrouter.clicks.ring.file import RingFile
from linkrouter.clicks.ring.group import GROUP_HEADER, pack_group, pack_skip, read_group
from linkrouter.clicks.ring.page import CLICKS, HEAD, READER_NOTE, TAIL, WRITER_NOTE

__all__ = ["RingWriter"]


class RingWriter:
    """The writing end of *ring*."""

    def __init__(self, ring: RingFile) -> None:
        self.page = ring.page
        self._ring = ring
        self._data, self._words = ring.data, ring.page.words
        self._size = len(ring.data)
        self._head = self._clicks = 0

    def append(self, records: Sequence[bytes]) -> bool:
        """Put *records*, some of them, at the head as one group; False when there is no room.

        The group's bytes come first and the head last: a kill in between leaves a ring without the group. x86-64 shows
        stores in their order; elsewhere a reader that sees the head before the bytes finds no whole group and looks
        again.
        """
        group = pack_group(self._clicks, records)
        size, head, place = self._size, self._head, self._head % self._size
        gap = size - place if place + len(group) > size else 0
        if head + gap + len(group) - self._words[TAIL] > size:
            return False
        if gap:
            self._data[place : place + GROUP_HEADER.size] = pack_skip(self._clicks)
            place = 0
        self._data[place : place + len(group)] = group
        self._clicks += len(records)
        self._head = head + gap + len(group)
        self._words[HEAD] = self._head
        self._words[CLICKS] = self._clicks
        return True

    def oldest(self) -> bytes | None:
        """Give the oldest click that waits, or None; a carrier that takes it meanwhile makes it None, too."""
        if self._words[TAIL] == self._head:
            return None
        place = self._words[TAIL] % self._size
        group = read_group(self._data, place)
        if group is not None and not group.records:
            group = read_group(self._data, 0)
        return group.records[0] if group and group.records else None

    def is_carried(self, within_s: float) -> bool:
        """Tell whether a reader was heard within the last *within_s* seconds whose store takes clicks."""
        heard_ms_ago = self.page.heard_ms_ago(time.monotonic_ns() // 1_000_000)
        return heard_ms_ago is not None and heard_ms_ago <= within_s * 1000 and self.page.trouble is None

    def note(self, said: object) -> None:
        """Leave *said* for the reader."""
        self.page.write_note(WRITER_NOTE, said)

    def heard(self) -> object:
        """Give what the reader left."""
        return self.page.read_note(READER_NOTE)

    def close(self) -> None:
        """Let go; the reader takes what is left, and removes the ring."""
        self._ring.close()

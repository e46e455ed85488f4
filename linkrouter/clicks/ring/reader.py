"""The reader: takes clicks out of a ring, and only then makes room.

Promise: what `read` gave is given again, by whoever reads then, until `release` says that it is kept. A damaged group
is stepped over, and what it held is counted by the numbers of the groups around it.
"""

import time

from linkrouter.clicks.ring.file import RingFile
from linkrouter.clicks.ring.group import ClickGroup, find_group, read_group
from linkrouter.clicks.ring.page import CARRIED, CLICKS, HEAD, READER_NOTE, TAIL, WRITER_NOTE
from linkrouter.log import log

__all__ = ["RingReader"]

# A processor that does not keep stores in order may show the head before the bytes. That ends in microseconds; what is
# still amiss after this is damage.
LOOK_AGAIN_S = 1.0


class RingReader:
    """The reading end of *ring*, whose page must be ours."""

    def __init__(self, ring: RingFile) -> None:
        self.ring, self.page = ring, ring.page
        self.is_left = False  # nobody writes any more
        self._lost = 0  # clicks in damaged groups, since the last `release`
        self._words = ring.page.words
        self._position, self._due = self._words[TAIL], self._words[CARRIED]
        self._amiss: tuple[int, float] | None = None  # where there is no whole group, and since when

    def look(self) -> None:
        """See whether somebody still writes."""
        self.is_left = self.is_left or self.ring.is_left()

    @property
    def is_drained(self) -> bool:
        """Whether nobody writes any more and everything was taken and kept."""
        return self.is_left and self._words[TAIL] == self._words[HEAD]

    def read(self, max_clicks: int) -> list[bytes]:
        """Give the next clicks, about *max_clicks* at most, oldest first; `release` keeps, `rewind` forgets."""
        records: list[bytes] = []
        head, size = self._words[HEAD], len(self.ring.data)
        while self._position < head and len(records) < max_clicks:
            place = self._position % size
            group = read_group(self.ring.data, place)
            if group is None or group.first < self._due:
                if not self._is_damage():
                    break
                self._step_over(head)
                continue
            self._take(group, place, records)
        if self.is_left and self._position == head:
            self._count_lost(self._words[CLICKS])
        return records

    def release(self) -> int:
        """Make room: what was read is kept. Give how many clicks between were lost to damage."""
        lost, self._lost = self._lost, 0
        self._words[CARRIED] = self._due
        self._words[TAIL] = self._position
        return lost

    def rewind(self) -> None:
        """Read again from where the last `release` was: nothing was kept."""
        self._position, self._due, self._lost = self._words[TAIL], self._words[CARRIED], 0

    def note(self, said: object) -> None:
        """Leave *said* for the writer."""
        self.page.write_note(READER_NOTE, said)

    def heard(self) -> object:
        """Give what the writer left."""
        return self.page.read_note(WRITER_NOTE)

    def _take(self, group: ClickGroup, place: int, records: list[bytes]) -> None:
        self._count_lost(group.first)
        records += group.records
        self._position += group.end - place
        self._due = group.first + len(group.records)
        self._amiss = None

    def _count_lost(self, number: int) -> None:
        """Count as lost what should have come before click *number*."""
        self._lost += max(0, number - self._due)
        self._due = max(number, self._due)

    def _is_damage(self) -> bool:
        now_s = time.monotonic()
        if self._amiss is None or self._amiss[0] != self._position:
            self._amiss = (self._position, now_s)
        return self.is_left or now_s - self._amiss[1] >= LOOK_AGAIN_S

    def _step_over(self, head: int) -> None:
        """Go on at the next whole group of this lap, else at the next lap, else at the head."""
        size = len(self.ring.data)
        place = self._position % size
        found = find_group(self.ring.data, place, min(size, place + head - self._position), self._due)
        step = (found[0] if found else size) - place
        log("ring.damaged", bytes=min(step, head - self._position))
        self._position = min(self._position + step, head)

"""The page before a ring's data: what its writer and its reader tell each other.

Promise: each number has one writer, is one aligned word of eight bytes and stored in one step, so that a process that
is killed leaves the old or the new one. What is longer, the notes, bears a checksum.

Positions and counts only grow; a position modulo the size of the data is where it is. Magic and version are where
they are for ever, so that a ring of another version is known as one.
"""

import json
from typing import Any
from zlib import crc32

from linkrouter.clicks.store import Loss

__all__ = [
    "CARRIED",
    "CLICKS",
    "DROP_REASONS",
    "HEAD",
    "PAGE_BYTES",
    "READER_NOTE",
    "RING_VERSION",
    "TAIL",
    "WRITER_NOTE",
    "RingPage",
]

PAGE_BYTES = 64 * 1024
RING_MAGIC = int.from_bytes(b"LRLKRING", "little")
RING_VERSION = 1
DROP_REASONS = ("queue_full", "store_full", "store_failed")

# Numbers, as words. What the writer and the reader store lie on cache lines of their own.
MAGIC, VERSION, DATA_BYTES, WORKER = 0, 1, 2, 3
HEAD, CLICKS = 8, 9  # where the next group goes; how many clicks were written, which follows the head
DROPS = 16  # of each reason: how many, and when the first and the last since they were told
TAIL, CARRIED, BEAT, TROUBLE = 32, 33, 34, 35
TOLD = 40  # of each reason: how many central knows of, and of how many it is being told
WRITER_NOTE, READER_NOTE = slice(4096, 16384), slice(16384, PAGE_BYTES)


class RingPage:
    """The numbers and notes of one ring, over its shared memory."""

    def __init__(self, memory: "memoryview[int]") -> None:
        self._memory = memory[:PAGE_BYTES]
        self.words = self._memory[:4096].cast("Q")

    def release(self) -> None:
        """Let go of the memory."""
        self.words.release()
        self._memory.release()

    def begin(self, data_bytes: int, worker: int) -> None:
        """Write the page of a new ring; the magic last."""
        words = self.words
        words[VERSION], words[DATA_BYTES], words[WORKER] = RING_VERSION, data_bytes, worker
        words[MAGIC] = RING_MAGIC

    def is_ours(self, data_bytes: int) -> bool:
        """Tell whether this is a ring of this version with so much data, and its numbers can be."""
        words = self.words
        expected = (RING_MAGIC, RING_VERSION, data_bytes)
        if (words[MAGIC], words[VERSION], words[DATA_BYTES]) != expected:
            return False
        return words[TAIL] <= words[HEAD] <= words[TAIL] + data_bytes

    @property
    def version(self) -> int | None:
        """The version that wrote this page, or None when it is no ring's."""
        return self.words[VERSION] if self.words[MAGIC] == RING_MAGIC else None

    @property
    def worker(self) -> int:
        """The number of the worker that writes."""
        return self.words[WORKER]

    @property
    def waiting(self) -> int:
        """How many clicks were written and not carried yet."""
        return max(0, self.words[CLICKS] - self.words[CARRIED])

    @property
    def trouble(self) -> str | None:
        """Why the store does not take clicks, one of `DROP_REASONS`, or None."""
        code = self.words[TROUBLE]
        return DROP_REASONS[code] if 0 < code < len(DROP_REASONS) else None

    @property
    def dropped(self) -> int:
        """How many clicks the writer had no room for."""
        return sum(self.words[DROPS + 4 * index] for index in range(len(DROP_REASONS)))

    def beat(self, now_ms: int, trouble: str | None) -> None:
        """Say that the reader is there and how the store is; *now_ms* is of the clock that all processes share."""
        self.words[TROUBLE] = DROP_REASONS.index(trouble) if trouble else 0
        self.words[BEAT] = now_ms

    def heard_ms_ago(self, now_ms: int) -> int | None:
        """Tell how long ago the reader was heard, or None when it never was."""
        return now_ms - self.words[BEAT] if self.words[BEAT] else None

    def count_drops(self, reason: str, count: int, at_us: int) -> None:
        """Note that *count* clicks found no room at *at_us*. For the writer."""
        index, words = DROP_REASONS.index(reason), self.words
        drops = DROPS + 4 * index
        if words[drops] <= words[TOLD + 2 * index + 1]:
            words[drops + 1] = at_us
        words[drops + 2] = at_us
        words[drops] += count

    def untold_losses(self, name: str) -> list[Loss]:
        """Give what central does not know of; until `confirm_told`, the same again under the same ids."""
        losses = []
        for index, reason in enumerate(DROP_REASONS):
            count, since, until = self.words[DROPS + 4 * index : DROPS + 4 * index + 3]
            told, telling = self.words[TOLD + 2 * index : TOLD + 2 * index + 2]
            if telling == told:
                self.words[TOLD + 2 * index + 1] = telling = count
            if telling > told:
                losses.append(Loss(f"{name}-{index}-{told}", reason, telling - told, since, max(since, until)))
        return losses

    def confirm_told(self) -> None:
        """Note that central knows what `untold_losses` gave last."""
        for index in range(len(DROP_REASONS)):
            self.words[TOLD + 2 * index] = self.words[TOLD + 2 * index + 1]

    @property
    def has_untold(self) -> bool:
        """Whether there are drops that central does not know of."""
        return any(self.words[DROPS + 4 * at] > self.words[TOLD + 2 * at] for at in range(len(DROP_REASONS)))

    def write_note(self, place: slice, said: Any) -> None:
        """Leave *said*, which JSON can hold, at *place*; what is too long is left out."""
        text = json.dumps(said, separators=(",", ":")).encode("ascii")
        if len(text) + 8 <= place.stop - place.start:
            head = len(text).to_bytes(4, "little") + crc32(text).to_bytes(4, "little")
            self._memory[place.start : place.start + 8 + len(text)] = head + text

    def read_note(self, place: slice) -> Any:
        """Give what was left at *place*, or None when there is no whole note."""
        note = bytes(self._memory[place])
        length = int.from_bytes(note[:4], "little")
        text = note[8 : 8 + length]
        if not length or crc32(text).to_bytes(4, "little") != note[4:8]:
            return None
        return json.loads(text)

"""What a process knows of one stream of its own: what is in it, and its last entries, for a reader that keeps up."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from linkrouter.clicks.broker.interface import Entry, StreamState
from linkrouter.clicks.click import clicked_at
from linkrouter.clicks.store import Batch, OwnShare

__all__ = ["Acknowledged", "Stream", "take_batch"]

MEMORY_CLICKS = 4000  # kept in memory: a few batches


class Acknowledged(NamedTuple):
    """What a batch acknowledges of the stream *name*: whole entries, and the first clicks of one more."""

    name: str
    done: tuple[Entry, ...]
    part: tuple[str, int]
    oldest_at: int  # of what is left behind them, at the least


@dataclass(slots=True)
class Stream:
    """A stream of this process; `state` are what the broker last said."""

    name: str
    state: StreamState = field(default_factory=StreamState)
    recent: deque[Entry] = field(default_factory=deque)  # the last entries, without gaps
    recent_clicks: int = 0
    bytes_written: int = 0
    made_at: float = field(default_factory=time.monotonic)
    made_at_us: int = field(default_factory=lambda: time.time_ns() // 1000)

    def age_s(self) -> float:
        """Give the seconds since it was made; 0 while nothing was written to it."""
        return time.monotonic() - self.made_at if self.bytes_written else 0.0

    @property
    def share(self) -> OwnShare:
        """What waits in it."""
        return OwnShare(*self.state[:3]) if self.state.pending else OwnShare()

    @property
    def is_in_memory(self) -> bool:
        """Whether all that waits in it is among the recent entries."""
        return self.recent_clicks - self.state.part >= self.state.pending > 0

    def add(self, ids: Iterable[str], entries: Iterable[tuple[bytes, ...]], state: StreamState) -> None:
        """Note what was appended."""
        for entry_id, records in zip(ids, entries, strict=True):
            entry = Entry(entry_id, records)
            self.recent.append(entry)
            self.recent_clicks += len(records)
            self.bytes_written += entry.size
        while self.recent_clicks > MEMORY_CLICKS and len(self.recent) > 1:
            self.recent_clicks -= len(self.recent.popleft().records)
        self.state = state

    def forget(self, done: Sequence[Entry], state: StreamState) -> None:
        """Note what was acknowledged."""
        ids = {entry.id for entry in done}
        while self.recent and self.recent[0].id in ids:
            self.recent_clicks -= len(self.recent.popleft().records)
        self.state = state


def take_batch(stream: Stream, entries: Iterable[Entry], max_clicks: int) -> Batch:
    """Give the first clicks of *entries*, which begin with the first of *stream*; there must be some."""
    records: list[bytes] = []
    done: list[Entry] = []
    part, following = ("", 0), None
    for entry in entries:
        begin = stream.state.part if entry.id == stream.state.part_id else 0
        end = min(begin + max_clicks - len(records), len(entry.records))
        records += entry.records[begin:end]
        if end < len(entry.records):
            following = entry.records[end]
            part = (entry.id, end) if end else part
            break
        done.append(entry)
    oldest_at = clicked_at(following or records[-1])
    return Batch(tuple(records), Acknowledged(stream.name, tuple(done), part, oldest_at))

"""When a spool does what it does."""

from dataclasses import dataclass

__all__ = ["SpoolTimings"]


@dataclass(frozen=True, slots=True)
class SpoolTimings:
    """Sizes in bytes, times in seconds."""

    segment_bytes: int = 16 * 1024**2  # a segment this large is left to the backlog,
    segment_age_s: float = 600.0  # or this old
    idle_s: float = 60.0  # a segment that is wholly acknowledged is removed this long after the last write
    live_interval_s: float = 1.0  # a trickle of live clicks is served this often while there is a backlog
    search_interval_s: float = 2.0  # how often the directory is searched for segments without an owner
    measure_interval_s: float = 1.0  # how often the disk is measured, and the active segment looked for

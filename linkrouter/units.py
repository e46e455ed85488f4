"""Units of time, in the two measures that the house counts in: seconds, and microseconds since the epoch."""

__all__ = ["DAY_S", "HOUR_S", "SECOND_US"]

SECOND_US = 1_000_000
HOUR_S = 3600
DAY_S = 86_400

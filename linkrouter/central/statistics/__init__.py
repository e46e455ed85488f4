"""Statistics: one file a statistic, all made of cells.

roll-ups for whole buckets ──┐
labels for what is left ─────┼─▶ cells ─▶ figures ─▶ totals, series, breakdown
clicks not yet labelled ─────┘
"""

from linkrouter.central.statistics.breakdown import break_down
from linkrouter.central.statistics.cells import TooLarge
from linkrouter.central.statistics.series import find_series
from linkrouter.central.statistics.totals import count_totals

__all__ = ["TooLarge", "break_down", "count_totals", "find_series"]

"""Figures: cells folded into what a person reads.

Promise: machines are left out unless they are asked for, and how many were left out is always said.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from linkrouter.central.store.questions import Cell
from linkrouter.central.store.records import LinkCell, MessageCell

__all__ = ["Figures", "fold", "is_wanted"]


@dataclass(slots=True)
class Figures:
    """Clicks as asked for, first clicks by people on their links, and machines; unsure and not judged are people."""

    clicks: int = 0
    unique: int = 0
    robots: int = 0
    unsure: int = 0
    not_judged: int = 0

    def add(self, cell: Cell | MessageCell | LinkCell, robots: str) -> None:
        """Count *cell*, with "exclude", "include" or "only" for machines."""
        if is_wanted(cell.robot, robots):
            self.clicks += cell.clicks
            self.unique += cell.uniques
        if cell.robot == "machine":
            self.robots += cell.clicks
        elif cell.robot == "unsure":
            self.unsure += cell.clicks
        elif cell.robot == "not judged":
            self.not_judged += cell.clicks


def is_wanted(robot: str, robots: str) -> bool:
    """Whether clicks with the label *robot* are asked for by *robots*: "exclude", "include" or "only" machines."""
    return robots == "include" or (robot == "machine") == (robots == "only")


def fold(cells: Iterable[Cell], robots: str) -> Figures:
    """Give the figures of all of *cells* together."""
    figures = Figures()
    for cell in cells:
        figures.add(cell, robots)
    return figures

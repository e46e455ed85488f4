"""Figures by the values of one dimension: `GET /v1/stats/clicks/by/{dimension}`."""

from dataclasses import dataclass

from linkrouter.central.labels import Insight
from linkrouter.central.statistics.cells import TooLarge, cells_of, unsettled_matching
from linkrouter.central.statistics.figures import Figures, fold
from linkrouter.central.store.interface import ClickLog
from linkrouter.central.store.questions import Cell, ClickFilter

__all__ = ["Breakdown", "break_down"]


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The values with most clicks, and all others together."""

    rows: list[tuple[str, Figures]]
    other: Figures


async def break_down(
    store: ClickLog, insight: Insight, asked: ClickFilter, dimension: str, limit: int, min_cell: int = 0
) -> Breakdown | TooLarge:
    """Give the figures of the *limit* values that have most clicks; those below *min_cell* are among the others."""
    by_part = dimension == "part"
    unsettled = await unsettled_matching(store, insight, asked)
    cells = await cells_of(store, insight, asked, unsettled, "total" if by_part else dimension)
    if isinstance(cells, TooLarge):
        return cells
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.part if by_part else cell.value, []).append(cell)
    if dimension == "robot_reason":  # people have none
        groups = {value: [one for one in found if one.robot == "machine"] for value, found in groups.items()}
    robots = "only" if dimension == "robot_reason" else asked.robots
    rows = [(value, fold(found, robots)) for value, found in groups.items()]
    rows = [(value, figures) for value, figures in rows if figures.clicks or figures.robots]
    rows.sort(key=lambda row: (-row[1].clicks, -row[1].robots, row[0]))
    kept = [row for row in rows if row[1].clicks >= min_cell][:limit]
    shown = {value for value, _ in kept}
    other = fold((cell for value, _ in rows if value not in shown for cell in groups[value]), robots)
    return Breakdown(kept, other)

"""Labelling without waiting, and what must hold after it."""

from linkrouter.central.labels import Insight
from linkrouter.central.roll_ups import MACHINE, LabelRow, count_labels


async def label_all(store, insight: Insight | None = None) -> None:
    """Label every click that is stored now."""
    latest = await store.latest_seq()
    while await store.label_next(insight or Insight(), latest):
        pass


async def ask_all(store, *statements: str) -> list[list]:
    """Give the rows of each of *statements*, all of one state."""

    async def fetch_all(reader):
        return [await reader.fetch(statement) for statement in statements]

    return await store.ask(fetch_all)


async def assert_figures_are_the_sum_of_labels(store) -> None:
    """Count every label again, and look for the first click by a person on each link."""
    labels, roll_ups, firsts, of_clicks = await ask_all(
        store,
        "SELECT * FROM labels",
        "SELECT * FROM roll_ups",
        "SELECT link_id, tenant, seq FROM firsts",
        "SELECT seq, link_id, tenant FROM clicks",
    )
    rows = [LabelRow._make(row) for row in labels]
    kept = {tuple(row[:8]): list(row[8:]) for row in roll_ups}
    clicks = {seq: (link, tenant) for seq, link, tenant in of_clicks}
    assert kept == count_labels(rows)
    people = {}
    for row in sorted(rows, key=lambda row: (row.clicked_at, row.seq)):
        if row.kind == 0 and row.robot != MACHINE:
            people.setdefault(clicks[row.seq], row.seq)
    assert {(link, tenant): seq for link, tenant, seq in firsts} == people
    assert {row.seq for row in rows if row.is_first} == set(people.values())

"""Labelling without waiting."""

from linkrouter.central.labels import Insight


async def label_all(store, insight: Insight | None = None) -> None:
    """Label every click that is stored now."""
    latest = await store.latest_seq()
    while await store.label_next(insight or Insight(), latest):
        pass

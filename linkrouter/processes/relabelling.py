"""Labelling history again, in a process of its own beside central."""

from collections.abc import Callable

from linkrouter.central.labelling import relabel
from linkrouter.central.store.opening import open_central_store
from linkrouter.processes.upkeep import open_insight
from linkrouter.settings import InsightSettings

__all__ = ["relabel_store"]


async def relabel_store(settings: InsightSettings, since_us: int, tell: Callable[[int], object]) -> int:
    """Label every click from *since_us* on anew, microseconds since the epoch; gives the number of the last.

    Raises:
        SettingsError: the database or a table cannot be used.
        StoreError: the database cannot be written.
    """
    store = open_central_store(settings.database)
    await store.open()
    try:
        async with open_insight(settings) as insight:
            await relabel(store, insight, since_us, tell)
            return await store.latest_seq()
    finally:
        await store.close()

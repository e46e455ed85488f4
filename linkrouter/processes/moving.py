"""Moving central from one store to another, while no central serves."""

from collections.abc import Callable

from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.sql.copying import CopiedTable, copy_store
from linkrouter.central.store.sql.database import SqlDatabase
from linkrouter.errors import SettingsError

__all__ = ["move_store"]


async def move_store(source_url: str, target_url: str, tell: Callable[[str, int], object]) -> list[CopiedTable]:
    """Copy all that is in one store to another; give how many rows each table has in both.

    Raises:
        SettingsError: one of the two cannot be used.
        StoreError: one of them does not answer, or the target has clicks of its own; what was copied stays.
    """
    source, target = open_central_store(source_url), open_central_store(target_url)
    if not isinstance(source, SqlDatabase) or not isinstance(target, SqlDatabase):
        raise SettingsError("DATABASE: only sqlite: and postgresql: can be copied")
    try:
        await source.open()
        await target.open()
        return await copy_store(source, target, tell)
    finally:
        await target.close()
        await source.close()

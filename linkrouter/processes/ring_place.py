"""Whether a router's clicks go through a ring, and where that is."""

from pathlib import Path

from linkrouter.clicks.ring.place import find_ring_directory, usable_cores
from linkrouter.errors import NoRing, SettingsError
from linkrouter.settings import RouterSettings, runtime_directory

__all__ = ["choose_ring_directory"]


def choose_ring_directory(settings: RouterSettings) -> Path | None:
    """Give the directory for the rings of *settings*, or None where one process does everything.

    A store in memory needs no ring, and on one core a second process takes from recipients what it spares them.

    Raises:
        SettingsError: a ring is insisted on and cannot be had.
    """
    if settings.ring == "off" or settings.click_store.startswith("memory:"):
        return None
    if settings.ring == "auto" and usable_cores() < 2:
        return None
    try:
        return find_ring_directory(settings.click_store, settings.workers, settings.ring_bytes, runtime_directory())
    except NoRing as exc:
        if settings.ring == "on":
            raise SettingsError(f"RING is on, but {exc}") from exc
        return None

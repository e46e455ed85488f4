"""A store by its URL (`sqlite:///central.db`), whose scheme is an entry point."""

from importlib.metadata import entry_points

from linkrouter.central.store.interface import CentralStore
from linkrouter.errors import SettingsError

__all__ = ["open_central_store"]

CENTRAL_STORES = "linkrouter.central_stores"  # the entry-point group: a URL's scheme and what opens it


def open_central_store(url: str) -> CentralStore:
    """Give the store that *url* names; it is not opened yet.

    Raises:
        SettingsError: no store goes by the URL's scheme, or the URL is not one that store takes.
    """
    scheme, colon, _ = url.partition(":")
    known = {entry.name: entry for entry in entry_points(group=CENTRAL_STORES)}
    if not colon or scheme not in known:
        # The URL is not quoted: those of other stores hold passwords.
        raise SettingsError(f"DATABASE: the URL must start with {' or '.join(f'{name}:' for name in sorted(known))}")
    store: CentralStore = known[scheme].load()(url)
    return store

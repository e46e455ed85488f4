"""Sync: carries clicks from a store to central, for ever."""

from linkrouter.sync.delivery import Sync, open_client

__all__ = ["Sync", "open_client"]

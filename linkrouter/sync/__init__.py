"""Sync: carries clicks from a store to the centre, for ever."""

from linkrouter.sync.sender import Sync, open_client

__all__ = ["Sync", "open_client"]

"""Clicks on their way: the record, and the local, pluggable store it waits in."""

from linkrouter.clicks.click import Click
from linkrouter.clicks.store import Batch, ClickStore, OwnShare, StoreLimits, StoreStatus, open_click_store

__all__ = ["Batch", "Click", "ClickStore", "OwnShare", "StoreLimits", "StoreStatus", "open_click_store"]

"""Click stores in a broker: for routers that have no disk of their own to trust."""

from linkrouter.clicks.broker.interface import Broker, Entry, StreamState
from linkrouter.clicks.broker.store import BrokerStore

__all__ = ["Broker", "BrokerStore", "Entry", "StreamState"]

"""The redirect service: requests in, redirects out, clicks handed to the store."""

from linkrouter.router.decide import Policy
from linkrouter.router.recorder import Recorder, RecorderLimits
from linkrouter.router.responder import Desk
from linkrouter.router.server import RouterServer

__all__ = ["Desk", "Policy", "Recorder", "RecorderLimits", "RouterServer"]

"""The redirect service: requests in, redirects out, clicks handed to the store."""

from linkrouter.router.decide import RequestPolicy
from linkrouter.router.recorder import Recorder, RecorderLimits
from linkrouter.router.responder import Responder
from linkrouter.router.server import RouterServer

__all__ = ["Recorder", "RecorderLimits", "RequestPolicy", "Responder", "RouterServer"]

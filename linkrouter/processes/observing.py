"""How long the requests of a service take, and which of them it failed to answer."""

from linkrouter.metrics import Metrics
from linkrouter.web.serving import Observe

__all__ = ["observing"]


def observing(metrics: Metrics, seconds: str, errors: str) -> Observe:
    """Give what hears of each answer, and counts it in the histogram *seconds* and the counter *errors*."""
    failed = metrics.counter(errors, ("500", "503"))

    def observe(operation: str, status: int, took_s: float) -> None:
        metrics.observe(seconds, operation, took_s)
        if status >= 500:
            failed[str(status)] = failed.get(str(status), 0) + 1

    return observe

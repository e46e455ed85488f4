"""What a process tells Prometheus: names, values, and what every program has."""

from linkrouter.metrics.names import METRICS
from linkrouter.metrics.values import Metrics

__all__ = ["METRICS", "Metrics"]

"""Metrics of one process shown by another.

Promise: each family stands once, as Prometheus wants it; where two processes count the same thing, it is the sum.
"""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.core import Metric

from linkrouter.metrics.values import Metrics

__all__ = ["SharedMetrics", "pack_metrics"]


def pack_metrics(metrics: Metrics) -> list[Any]:
    """Give what *metrics* show now, as values that JSON has."""
    return [
        [family.name, family.type, family.documentation, [[one.name, one.labels, one.value] for one in family.samples]]
        for family in metrics.collect()
    ]


class SharedMetrics:
    """A collector of *own* and of what *read* gives, as another process packed it."""

    def __init__(self, own: Metrics, read: Callable[[], Any]) -> None:
        self._own = own
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """Give everything in prometheus-client's terms."""
        families = {family.name: family for family in self._own.collect()}
        for name, kind, text, samples in self._read() or ():
            family = families.setdefault(name, Metric(name, text, kind))
            for sample in samples:
                _add(family, *sample)
        return families.values()


def _add(family: Metric, name: str, labels: dict[str, str], value: float) -> None:
    for index, sample in enumerate(family.samples):
        if (sample.name, sample.labels) == (name, labels):
            family.samples[index] = sample._replace(value=sample.value + value)
            return
    family.add_sample(name, labels, value)

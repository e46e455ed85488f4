"""The values behind the names: counted in place, and read only when somebody scrapes.

Promise: counting costs no more than a dict's own addition; whatever a scrape costs, the scrape pays.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from platform import python_version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from linkrouter import __version__
from linkrouter.metrics.names import METRICS

__all__ = ["Histogram", "Metrics"]

BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0),
)


class Histogram:
    """How long things took: how many by bucket, and all their seconds together."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count *times* things that took *seconds* each."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += times
        self.seconds += seconds * times


class Metrics:
    """Plain numbers, incremented in place and read only when somebody scrapes.

    A counter is a dict from label value to number (`metrics["linkrouter_requests"]["redirect"] += 1`), because
    prometheus-client's own `inc` costs eight times that and the hot path pays it on every click. A gauge is a function.
    *process* is which of our processes this is, such as "router".
    """

    def __init__(self, process: str = "") -> None:
        self._counters: dict[str, dict[str, int]] = {
            name: {} for name, (kind, _, _) in METRICS.items() if kind == "counter"
        }
        self._gauges: dict[str, Callable[[], float | None]] = {}
        self._tables: dict[str, Callable[[], Mapping[str, float]]] = {}
        self._histograms: dict[str, dict[str, Histogram]] = {}
        self._infos: dict[str, list[tuple[str, ...]]] = {}
        if process:
            self.info("linkrouter_build_info", [(__version__, python_version(), process)])

    def counter(self, name: str, labels: Iterable[str] = ()) -> dict[str, int]:
        """Give the counter *name*, with each of *labels* at least at 0."""
        values = self._counters[name]
        for label in labels:
            values.setdefault(label, 0)
        return values

    def count(self, name: str, label: str, number: int = 1) -> None:
        """Add *number* under *label*, off the hot path."""
        values = self._counters[name]
        values[label] = values.get(label, 0) + number

    def histogram(self, name: str, label: str = "") -> Histogram:
        """Give the histogram *name* of *label*, to be observed in place."""
        _expect(name, "histogram")
        return self._histograms.setdefault(name, {}).setdefault(label, Histogram())

    def observe(self, name: str, label: str, seconds: float) -> None:
        """Count *seconds* in the histogram *name* under *label*."""
        self.histogram(name, label).observe(seconds)

    def gauge(self, name: str, read: Callable[[], float | None]) -> None:
        """Let the gauge *name* be what *read* gives at each scrape; with None it is left out."""
        _expect(name, "gauge")
        self._gauges[name] = read

    def gauge_table(self, name: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Let the gauge *name* have the values that *read* gives at each scrape, by label."""
        _expect(name, "gauge")
        self._tables[name] = read

    def info(self, name: str, rows: Iterable[tuple[str, ...]]) -> None:
        """Let the gauge *name* be 1 for each of *rows*, a value for each of its labels."""
        _expect(name, "gauge")
        self._infos[name] = list(rows)

    def collect(self) -> Iterable[Metric]:
        """Give everything in prometheus-client's terms; this makes a `Metrics` one of its collectors."""
        for name, (kind, label, text) in METRICS.items():
            if name in self._histograms:
                yield self._collect_histogram(name, label, text)
            elif kind == "counter" and self._counters[name]:
                family = CounterMetricFamily(name, text, labels=[label])
                for value, number in list(self._counters[name].items()):
                    family.add_metric([value], number)
                yield family
            elif kind == "gauge":
                rows = list(self._gauge_rows(name))
                if rows:
                    gauge = GaugeMetricFamily(name, text, labels=label.split())
                    for labels, reading in rows:
                        gauge.add_metric(labels, reading)
                    yield gauge

    def _gauge_rows(self, name: str) -> Iterable[tuple[tuple[str, ...], float]]:
        if name in self._gauges:
            number = self._gauges[name]()
            if number is not None:
                yield (), number
        if name in self._tables:
            yield from (((value,), number) for value, number in self._tables[name]().items())
        yield from ((row, 1) for row in self._infos.get(name, ()))

    def _collect_histogram(self, name: str, label: str, text: str) -> Metric:
        family = HistogramMetricFamily(name, text, labels=[label] if label else [])
        limits = [*map(str, BUCKETS_S), "+Inf"]
        for value, found in list(self._histograms[name].items()):
            buckets = list(zip(limits, accumulate(found.counts), strict=True))
            family.add_metric([value] if label else [], buckets, found.seconds)
        return family


def _expect(name: str, kind: str) -> None:
    if METRICS[name][0] != kind:
        raise KeyError(name)

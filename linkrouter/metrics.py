"""The metrics of a process, all named here.

Promise: no metric can hold a link, a destination, an address or a user agent: labels are words from closed sets.
"""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["METRICS", "Metrics"]

METRICS: dict[str, tuple[str, str, str]] = {
    # name: (kind, label, help)
    "linkrouter_requests": ("counter", "outcome", "Requests on the traffic port, by what they got."),
    "linkrouter_clicks_dropped": ("counter", "reason", "Clicks that were not kept, by reason."),
    "linkrouter_clicks_recorded": ("counter", "kind", "Clicks made durable."),
    "linkrouter_queue_clicks": ("gauge", "", "Clicks in memory, waiting for the next commit."),
    "linkrouter_queue_oldest_seconds": ("gauge", "", "Age of the oldest click in memory."),
    "linkrouter_spool_pending_clicks": (
        "gauge",
        "",
        "Clicks of this process in the store that central has not acknowledged.",
    ),
    "linkrouter_spool_oldest_seconds": ("gauge", "", "Age of the oldest of them."),
    "linkrouter_spool_bytes": ("gauge", "", "Size of this process's share of the store."),
    "linkrouter_spool_dead_letters": ("gauge", "", "Clicks central refused for good."),
    "linkrouter_spool_quarantined_segments": ("gauge", "", "Damaged segments kept for a person to look at."),
    "linkrouter_spool_clicks_lost": ("counter", "reason", "Clicks that a damaged store could not give back."),
    "linkrouter_sync_batches": ("counter", "result", "Batches sent to central, by its answer."),
    "linkrouter_sync_clicks": (
        "counter",
        "result",
        "Clicks sent to central: stored, duplicate or dead letter.",
    ),
    "linkrouter_sync_failing_seconds": (
        "gauge",
        "",
        "Time since central last took a batch, 0 when all is well.",
    ),
}


class Metrics:
    """Plain numbers, incremented in place and read only when somebody scrapes.

    A counter is a dict from label value to number (`metrics["linkrouter_requests"]["redirect"] += 1`), because
    prometheus-client's own `inc` costs eight times that and the hot path pays it on every click. A gauge is a function.
    """

    def __init__(self) -> None:
        self._counters: dict[str, dict[str, int]] = {
            name: {} for name, (kind, _, _) in METRICS.items() if kind == "counter"
        }
        self._gauges: dict[str, Callable[[], float]] = {}

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

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Let the gauge *name* be what *read* gives at each scrape."""
        if METRICS[name][0] != "gauge":
            raise KeyError(name)
        self._gauges[name] = read

    def collect(self) -> Iterable[Metric]:
        """Give everything in prometheus-client's terms; this makes a `Metrics` one of its collectors."""
        for name, (kind, label, text) in METRICS.items():
            if kind == "counter":
                family = CounterMetricFamily(name, text, labels=[label])
                for value, number in list(self._counters[name].items()):
                    family.add_metric([value], number)
                yield family
            elif name in self._gauges:
                yield GaugeMetricFamily(name, text, value=self._gauges[name]())

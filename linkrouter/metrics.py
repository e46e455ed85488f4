"""The metrics of a process, all named here.

Promise: no metric can hold a link, a destination, an address or a user agent: labels are words from closed sets.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

__all__ = ["METRICS", "Metrics"]

METRICS: dict[str, tuple[str, str, str]] = {
    # name: (kind, label, help); a gauge with several labels has them separated by spaces
    "linkrouter_key_info": ("gauge", "key_id state", "Keys in use, by id and state; always 1."),
    "linkrouter_domains_info": (
        "gauge",
        "fingerprint",
        "Own domains in use, by the fingerprint of their file; always 1.",
    ),
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
    "linkrouter_takebacks_in_force": ("gauge", "", "Rules in force; lifted ones are not counted."),
    "linkrouter_takebacks_refused": ("gauge", "", "Rules of the list that do not verify with these keys."),
    "linkrouter_takebacks_age_seconds": ("gauge", "", "Time since central last confirmed the list of take-backs."),
    "linkrouter_central_clicks": ("counter", "result", "Clicks that routers sent: stored or duplicate."),
    "linkrouter_central_labels": ("counter", "result", "Clicks and links that were looked at to label them: done."),
    "linkrouter_central_unlabelled_clicks": ("gauge", "", "Stored clicks that have no label yet."),
    "linkrouter_webhook_attempts": (
        "counter",
        "result",
        "Events sent to webhook endpoints: delivered, pending (tried again later) or failed.",
    ),
    "linkrouter_webhook_behind_events": ("gauge", "", "Events that the endpoint furthest behind has not come to."),
    "linkrouter_central_errors": ("counter", "status", "Requests that central failed to answer, by status."),
    "linkrouter_central_request_seconds": ("histogram", "operation", "Time from a request to its answer."),
    "linkrouter_mails_sent": ("counter", "kind", "Mails, or copies, that the next hop took: tracked or untracked."),
    "linkrouter_mails_held": ("counter", "reason", "Mails that the gate found flagged or unknown."),
    "linkrouter_mails_not_sent": ("counter", "reason", "Mails that were answered no, by who said it."),
    "linkrouter_relay_connections": ("gauge", "", "Connections of senders that are open."),
    "linkrouter_central_looks": ("counter", "verdict", "Looks at destinations that were sent, by what they found."),
    "linkrouter_central_looks_due": ("gauge", "", "Watched destinations whose look is due and waits for its turn."),
    "linkrouter_central_database_bytes": ("gauge", "", "Size of the database on the disk."),
}


BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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
        self._histograms: dict[tuple[str, str], tuple[list[int], list[float]]] = {}  # counts by bucket, and the sum
        self._infos: dict[str, list[tuple[str, ...]]] = {}

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

    def observe(self, name: str, label: str, seconds: float) -> None:
        """Count *seconds* in the histogram *name* under *label*."""
        if METRICS[name][0] != "histogram":
            raise KeyError(name)
        counts, sums = self._histograms.setdefault((name, label), ([0] * (len(BUCKETS_S) + 1), [0.0]))
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        sums[0] += seconds

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Let the gauge *name* be what *read* gives at each scrape."""
        if METRICS[name][0] != "gauge":
            raise KeyError(name)
        self._gauges[name] = read

    def info(self, name: str, rows: Iterable[tuple[str, ...]]) -> None:
        """Let the gauge *name* be 1 for each of *rows*, a value for each of its labels."""
        if METRICS[name][0] != "gauge":
            raise KeyError(name)
        self._infos[name] = list(rows)

    def collect(self) -> Iterable[Metric]:
        """Give everything in prometheus-client's terms; this makes a `Metrics` one of its collectors."""
        for name, (kind, label, text) in METRICS.items():
            if kind == "histogram":
                yield from self._collect_histogram(name, label, text)
            elif kind == "counter" and self._counters[name]:
                family = CounterMetricFamily(name, text, labels=[label])
                for value, number in list(self._counters[name].items()):
                    family.add_metric([value], number)
                yield family
            elif name in self._gauges:
                yield GaugeMetricFamily(name, text, value=self._gauges[name]())
            elif name in self._infos:
                gauge = GaugeMetricFamily(name, text, labels=label.split())
                for row in self._infos[name]:
                    gauge.add_metric(row, 1)
                yield gauge

    def _collect_histogram(self, name: str, label: str, text: str) -> Iterable[Metric]:
        family = HistogramMetricFamily(name, text, labels=[label])
        found = [(value, *kept) for (of, value), kept in list(self._histograms.items()) if of == name]
        for value, counts, sums in found:
            limits = [*map(str, BUCKETS_S), "+Inf"]
            family.add_metric([value], list(zip(limits, accumulate(counts), strict=True)), sums[0])
        if found:
            yield family

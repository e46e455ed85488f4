"""What a process tells Prometheus, read back as Prometheus would."""

import os
import time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from linkrouter.metrics import Metrics
from linkrouter.metrics.process import PROCESS_METRICS, ProcessFigures


def read(*collectors):
    """Give the samples of *collectors*, by name and labels, as a scrape reads them."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_a_process_tells_what_it_uses_without_the_machine_telling_when_it_booted():
    read_fd, write_fd = os.pipe()

    seen = read(ProcessFigures())
    os.close(read_fd)
    os.close(write_fd)

    assert {name.removesuffix("_total") for name, *_ in seen} == set(PROCESS_METRICS)
    assert 0 < time.time() - seen["process_start_time_seconds",] < time.monotonic() + 60
    assert 1024**2 < seen["process_resident_memory_bytes",] < seen["process_virtual_memory_bytes",]
    assert seen["process_cpu_seconds_total",] > 0
    assert len(os.listdir("/proc/self/fd")) <= seen["process_open_fds",] < seen["process_max_fds",]


def test_a_histogram_has_each_time_in_its_bucket_and_in_all_above():
    metrics = Metrics()
    metrics.histogram("linkrouter_loop_lag_seconds").observe(0.002, 3)
    metrics.histogram("linkrouter_loop_lag_seconds").observe(31.0)

    seen = read(metrics)

    lag = "linkrouter_loop_lag_seconds"
    buckets = [seen[f"{lag}_bucket", limit] for limit in ("0.001", "0.0025", "30.0", "+Inf")]
    assert buckets == [0, 3, 3, 4]
    assert seen[f"{lag}_count",] == 4
    assert abs(seen[f"{lag}_sum",] - 31.006) < 1e-9

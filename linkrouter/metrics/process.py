"""What every program tells of its process, by the names that Prometheus' own clients use.

prometheus-client's collector reads the time of boot from `/proc/stat`, which a hardened unit hides (ProcSubset=pid),
and then says nothing at all.
"""

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

__all__ = ["PROCESS_METRICS", "ProcessFigures"]

PROCESS_METRICS: dict[str, tuple[str, str]] = {  # name: (kind, help)
    "process_cpu_seconds": ("counter", "Total user and system CPU time spent in seconds."),
    "process_resident_memory_bytes": ("gauge", "Resident memory size in bytes."),
    "process_virtual_memory_bytes": ("gauge", "Virtual memory size in bytes."),
    "process_start_time_seconds": ("gauge", "Start time of the process since unix epoch in seconds."),
    "process_open_fds": ("gauge", "Number of open file descriptors."),
    "process_max_fds": ("gauge", "Maximum number of open file descriptors."),
}
# Places in /proc/self/stat behind the name in parentheses (proc_pid_stat(5)).
USER, SYSTEM, STARTED, VIRTUAL, RESIDENT = 11, 12, 19, 20, 21


class ProcessFigures:
    """A collector of this process's figures, for the registry of a port."""

    def __init__(self) -> None:
        started_s = int(_stat()[STARTED]) / os.sysconf("SC_CLK_TCK")  # since the machine's boot
        self._started_at = time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)

    def collect(self) -> Iterable[Metric]:
        """Give them in prometheus-client's terms."""
        values = self._values()
        for name, (kind, text) in PROCESS_METRICS.items():
            family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            yield family(name, text, value=values[name])

    def _values(self) -> dict[str, float]:
        fields = _stat()
        ticks = os.sysconf("SC_CLK_TCK")
        return {
            "process_cpu_seconds": (int(fields[USER]) + int(fields[SYSTEM])) / ticks,
            "process_resident_memory_bytes": int(fields[RESIDENT]) * os.sysconf("SC_PAGESIZE"),
            "process_virtual_memory_bytes": int(fields[VIRTUAL]),
            "process_start_time_seconds": self._started_at,
            "process_open_fds": len(os.listdir("/proc/self/fd")),
            "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        }


def _stat() -> list[bytes]:
    return Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()

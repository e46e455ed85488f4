"""What alert rules, dashboard and the example of Prometheus' configuration name is told by somebody."""

import json
import re
import shutil
import subprocess

import pytest
from monitoring.test_rules import PROMETHEUS

from linkrouter.metrics import METRICS
from linkrouter.metrics.process import PROCESS_METRICS

DASHBOARD = PROMETHEUS.parent / "grafana" / "linkrouter.json"
OTHERS = {  # of Prometheus, of HAProxy's exporter, of haproxy.cfg and of the blackbox exporter
    *("ALERTS", "up", "linkrouter_colour_active", "probe_success", "probe_ssl_earliest_cert_expiry"),
    *("haproxy_frontend_http_responses", "haproxy_backend_active_servers"),
    *("haproxy_process_current_connections", "haproxy_process_max_connections"),
}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def told():
    """Give every name that a sample may have."""
    kinds = {name: kind for name, (kind, *_) in (METRICS | PROCESS_METRICS).items()}
    ours = {name + suffix for name, kind in kinds.items() for suffix in SUFFIXES[kind]}
    return ours | OTHERS | {f"{name}_total" for name in OTHERS}


def names_in(expression):
    """Give the metrics that an expression of PromQL names: words that stand before labels, ranges or nothing."""
    bare = re.sub(
        r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\boffset \w+|\b(?:by|on|without|group_left) ?\([^)]*\)', " ", expression
    )
    words = re.findall(r"[a-zA-Z_:][\w:]*(?!\w|\s*\()", bare)
    return set(words) - {"and", "or", "unless", "group_left", "e"}


def expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return read_rules() + [target["expr"] for panel in panels for target in panel.get("targets", ())]


def read_rules():
    """Give the expressions of the rules; folded ones go on in deeper lines."""
    text = (PROMETHEUS / "alerts.yml").read_text()
    found = re.findall(r"(?m)^        expr: (?:>\n((?:          .+\n)+)|(.+)\n)", text)
    assert len(found) == text.count("- alert: ")
    return [folded or plain for folded, plain in found]


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_that_is_asked_for_is_told(expression):
    named = names_in(expression)

    assert named
    assert named <= told()


def test_the_dashboard_stands_on_a_grid_and_leaves_the_source_open():
    board = json.loads(DASHBOARD.read_text())
    panels = board["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {target["datasource"]["uid"] for panel in panels for target in panel.get("targets", ())} == {"${datasource}"}


def test_promtool_takes_the_example_of_a_configuration():
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; run: apt-get install prometheus")

    done = subprocess.run(
        ["promtool", "check", "config", PROMETHEUS / "prometheus.yml"], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_jobs_that_rules_name_are_in_the_example():
    jobs = set(re.findall(r"job_name: (\S+)", (PROMETHEUS / "prometheus.yml").read_text()))
    named = set(re.findall(r"linkrouter-[a-z]+", " ".join(re.findall(r'job=~?"([^"]+)"', " ".join(read_rules())))))

    assert named <= jobs

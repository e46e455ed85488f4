"""A region watched by a real Prometheus with the shipped rules: what breaks raises its alerts, and plans raise none.

Prometheus asks every 3 s instead of every 15, and all times of the rules are as much shorter.
"""

import json
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest
from haproxy.machine import CENTRE, HOST, ROUTERS, make_certificate
from haproxy.talk import ask
from processes import fetch, free_port, wait_until

from linkrouter.link import Keyring

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
FASTER = 5
UNITS_S = {"s": 1, "m": 60, "h": 3600}


def hurry(text):
    """Give rules or a configuration with every duration a fifth as long."""
    return re.sub(
        r"(?<![\w.])([0-9]+)([smh])\b", lambda found: f"{max(1, int(found[1]) * UNITS_S[found[2]] // FASTER)}s", text
    )


class Watch:
    """A Prometheus and a blackbox exporter that ask *machine*."""

    def __init__(self, machine, folder):
        self.port, blackbox = free_port(), free_port()
        rules = hurry((SHIPPED / "alerts.yml").read_text())
        # The thresholds that are times, too.
        (folder / "alerts.yml").write_text(rules.replace("sync_failing_seconds) > 20", "sync_failing_seconds) > 4"))
        (folder / "prometheus.yml").write_text(self.configuration(machine, blackbox))
        module = (SHIPPED / "blackbox.yml").read_text() + "      tls_config: {insecure_skip_verify: true}\n"
        (folder / "blackbox.yml").write_text(module)
        self.log = open(folder / "prometheus.log", "ab")  # noqa: SIM115 - closed in `end`
        self.processes = [
            self.start(
                *("prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{self.port}"),
                "--storage.tsdb.path=data",  # Debian's default is one folder for the whole machine
                cwd=folder,
            ),
            self.start(
                *("prometheus-blackbox-exporter", "--config.file=blackbox.yml"),
                f"--web.listen-address=127.0.0.1:{blackbox}",
                cwd=folder,
            ),
        ]
        wait_until(lambda: fetch(f"http://127.0.0.1:{self.port}/-/ready")[0] == 200, 30)

    def configuration(self, machine, blackbox):
        """Give the shipped example with the ports of *machine*."""
        text = hurry((SHIPPED / "prometheus.yml").read_text()).replace(
            "evaluation_interval", "scrape_timeout: 3s\n  evaluation_interval"
        )
        ports = {"8404": machine.ports["metrics"], "9090": machine.ports["admin-centre"], "9115": blackbox}
        ports |= {
            port: machine.ports[f"admin-{name}"]
            for port, name in zip(("9101", "9102", "9201", "9202"), ROUTERS, strict=True)
        }
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports.get(found[1], found[1])}", text)
        text = text.replace("https://click.example.com/", f"https://127.0.0.1:{machine.ports['https']}/")
        mail = re.compile(r"  - job_name: linkrouter-(?:relay|encoder)\n    static_configs:\n.*\n")
        return mail.sub("", text)  # no such service runs here

    def start(self, *command, cwd):
        return subprocess.Popen(command, cwd=cwd, stdout=self.log, stderr=self.log)

    def ask(self, query):
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(query)}"
        return json.loads(fetch(url)[2])["data"]["result"]

    def firing(self, since):
        """Give the alerts that have fired *since* a time of `time.monotonic`."""
        found = self.ask(f'last_over_time(ALERTS{{alertstate="firing"}}[{int(time.monotonic() - since) + 1}s])')
        return {alert["metric"]["alertname"].removeprefix("Linkrouter") for alert in found}

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.log.close()


@pytest.fixture
def watched(make_machine, tmp_path):
    for program in ("prometheus", "prometheus-blackbox-exporter"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; run: apt-get install {program}")
    machine = make_machine()
    machine.begin()
    watch = Watch(machine, tmp_path)
    # Two routers, HAProxy, its colour, central, and the front door; the two of the other colour are stopped on purpose.
    wait_until(lambda: len(watch.ask('up{job=~"linkrouter-.*"} == 1')) == 6 and watch.ask("probe_success == 1"), 30)
    yield machine, watch
    watch.end()


def test_what_breaks_raises_its_alerts(watched):
    machine, watch = watched
    stranger = Keyring.create().rotate().rotate()  # signs with a key of id 3

    def raises(since, *names):
        """Wait until all of *names* have fired; one may have ended before another begins."""
        wait_until(lambda: set(names) <= watch.firing(since), 30)

    def click(ring=machine.keyring):
        path = ring.sign("https://example.com/", link_id=b"12345678")
        return ask(machine, path).status

    began = time.monotonic()
    machine.signal("blue-1", signal.SIGKILL)
    machine.revive("blue-1")
    assert {click(stranger) for _ in range(40)} == {404}
    raises(began, "RouterRestarted", "UnknownKey")

    wait_until(lambda: len(watch.ask('up{job="linkrouter-router"} == 1')) == 2)
    began = time.monotonic()
    machine.signal("blue-2", signal.SIGSTOP)
    raises(began, "RouterDown")
    machine.signal("blue-2", signal.SIGCONT)

    began = time.monotonic()
    make_certificate(machine.home, HOST, "-days", "10")
    machine.reload_haproxy()
    for name in ("blue-1", "blue-2"):
        machine.signal(name, signal.SIGKILL)
    wait_until(lambda: not machine.sees_up("blue-1") and not machine.sees_up("blue-2"))
    assert [click() for _ in range(4)] == [503] * 4
    raises(began, "FrontErrors", "ColourDown", "CertificateEnds")
    for name in ("blue-1", "blue-2"):
        machine.revive(name)

    began = time.monotonic()
    machine.stop(CENTRE)
    assert click() == 302
    machine.haproxy.kill()
    raises(began, "CentralDown", "CentralUnreached", "HAProxyDown", "FrontDoorClosed")


@pytest.mark.faults  # on a machine that is too busy, alerts say so
def test_plans_raise_no_alert(watched):
    machine, watch = watched
    began = time.monotonic()

    switched = machine.deploy("--ready-s", "60", "--watch-s", "4", "switch", "green")
    machine.reload_haproxy()
    machine.give_key()
    wait_until(lambda: watch.ask('count(linkrouter_key_info{key_id="2"} == 1) == 2'))
    machine.use_key()
    for _ in range(20):
        path, _ = machine.link()
        assert ask(machine, path).status == 302
    time.sleep(8)  # for what is pending to fire

    assert switched.returncode == 0, switched.stdout + switched.stderr
    assert watch.firing(began) == set()

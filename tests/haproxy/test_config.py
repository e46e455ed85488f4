"""The configuration itself: what an operator may edit, what is refused, and what happens when no router is ready."""

import re
import shutil
import signal
import subprocess

import pytest
from haproxy.machine import CONFIG, ROUTERS, edit_top
from haproxy.talk import ask
from processes import fetch, wait_until

from linkrouter.settings import RouterSettings

DEPLOY = CONFIG.parents[1] / "deploy"
SECRET_TOKENS = {"%r", "%HU", "%HP", "%HPO", "%HQ", "%hr", "%hs", "%ci", "%cp", "%si", "%ID", "%[src]", "%[path]"}


def active_colours(machine):
    """Give what Prometheus is told of each colour."""
    _, headers, text = fetch(f"http://127.0.0.1:{machine.ports['metrics']}/colour")
    assert headers["Content-Type"] == "text/plain; version=0.0.4"
    return dict(re.findall(r'(?m)^linkrouter_colour_active\{colour="(\w+)"\} ([01])$', text.decode()))


def check(machine, config):
    path = machine.home / "checked.cfg"
    path.write_text(config)
    return subprocess.run(["haproxy", "-c", "-f", path], capture_output=True, text=True)


def test_is_valid_and_only_its_top_is_edited(machine):
    shipped, ours = CONFIG.read_text(), machine.config.read_text()
    top, rest = re.split(r"(?m)^    # -{100,}$", shipped)

    assert "setenv" in top
    assert "setenv" not in rest
    assert ours.endswith(rest)
    checked = check(machine, ours)
    assert checked.returncode == 0
    assert "WARNING" not in checked.stderr


def test_its_logs_name_nothing_of_a_request():
    formats = re.findall(r'(?m)^    (?:error-)?log-format "(.+)"$', CONFIG.read_text())

    assert len(formats) == 2
    for text in formats:
        assert not SECRET_TOKENS & set(re.findall(r"%\[\w+\]|%\w+", text))


def test_a_missing_certificate_is_named_and_the_running_haproxy_goes_on(machine):
    shutil.copy(machine.home / "crt-list.txt", machine.home / "crt-list.kept")
    (machine.home / "crt-list.txt").write_text(f"{machine.home}/missing.pem\n")

    checked = check(machine, machine.config.read_text())
    machine.haproxy.send_signal(signal.SIGUSR2)  # a reload, without the check that systemd makes first
    wait_until(lambda: "missing.pem" in (machine.home / "haproxy.log").read_text())
    path, _ = machine.link()
    answer = ask(machine, path)
    shutil.copy(machine.home / "crt-list.kept", machine.home / "crt-list.txt")
    machine.reload_haproxy()

    assert checked.returncode != 0
    assert "missing.pem" in checked.stderr
    assert answer.status == 302


def test_a_word_that_is_no_colour_is_blue(machine):
    machine.ask_haproxy(f"set map {machine.home}/colour.map colour mauve")
    path, _ = machine.link()

    answer, colours = ask(machine, path), active_colours(machine)
    machine.ask_haproxy(f"set map {machine.home}/colour.map colour blue")

    assert answer.status == 302
    assert colours == {"blue": "1", "green": "0"}


def test_prometheus_learns_the_colour_and_haproxys_own_figures_and_nobody_else_does(machine):
    machine.ask_haproxy(f"set map {machine.home}/colour.map colour green")
    green = active_colours(machine)
    machine.ask_haproxy(f"set map {machine.home}/colour.map colour blue")
    blue = active_colours(machine)
    url = f"http://127.0.0.1:{machine.ports['metrics']}"

    assert (green, blue) == ({"blue": "0", "green": "1"}, {"blue": "1", "green": "0"})
    assert b'haproxy_server_status{proxy="blue",server="blue-1",state="UP"} 1' in fetch(f"{url}/metrics")[2]
    assert fetch(f"{url}/")[0] == 404
    assert {ask(machine, path).status for path in ("/metrics", "/colour")} == {404}


def test_routers_that_are_not_ready_redirect_when_no_other_is(make_machine):
    machine = make_machine(router_options={"LINKROUTER_SPOOL_RESERVE_BYTES": "100000T"})  # so every disk is full
    machine.begin()
    path, _ = machine.link()

    def no_router_is_ready():
        ask(machine, path)  # a click that cannot be kept makes its router say that it is not ready
        return not any(machine.sees_up(name) for name in ROUTERS)

    wait_until(no_router_is_ready)
    answers = [ask(machine, path) for _ in range(20)]

    assert {answer.status for answer in answers} == {302}


def test_the_addresses_are_those_of_the_units():
    config = CONFIG.read_text()
    for name in ROUTERS:
        settings = (DEPLOY / "env" / f"{name}.env").read_text()
        listen = re.search(r"(?m)^LINKROUTER_LISTEN=(.+)$", settings)[1]

        edit_top(config, {name.upper().replace("-", "_"): listen})
        assert re.search(rf"(?m)^    setenv {name.upper().replace('-', '_')} +{re.escape(listen)}$", config)


@pytest.mark.parametrize("path", sorted((DEPLOY / "env").iterdir()), ids=lambda path: path.name)
def test_every_variable_of_the_examples_is_a_setting(path):
    from linkrouter.settings import CentralSettings

    cls = CentralSettings if path.name == "central.env" else RouterSettings
    known = {f"LINKROUTER_{name.upper()}" for name in cls.__dataclass_fields__}

    assert set(re.findall(r"(?m)^([A-Z_]+)=", path.read_text())) <= known

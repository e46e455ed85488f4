"""linkrouter-deploy against a real HAProxy and real routers: a switch, and everything that can stop one."""

import json
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from haproxy.machine import HOST, make_certificate, unit_of
from haproxy.talk import ask
from processes import HANG_S, wait_until

from haproxy import starter
from linkrouter.link import Keyring


@pytest.fixture(scope="module")
def machine(make_machine):
    """A region whose routers do not linger when they are stopped: nobody is asking them here."""
    machine = make_machine(router_options={"LINKROUTER_DRAIN_MS": "0"})
    machine.begin()
    return machine


@pytest.fixture
def region(machine):
    """The machine with blue active and green stopped, whatever the test before did."""
    yield machine
    machine._write_units()
    machine.start("blue-1")
    machine.start("blue-2")
    machine.wait_up("blue-1")
    machine.wait_up("blue-2")
    machine.ask_haproxy(f"set map {machine.home}/colour.map colour blue")
    (machine.home / "colour.map").write_text("colour blue\n")
    machine.stop("green-1")
    machine.stop("green-2")


def runs(machine, name):
    return starter.find_pid(machine.home, unit_of(name)) is not None


def active(machine):
    return machine.ask_haproxy(f"show map {machine.home}/colour.map").split()[2]


def assert_blue_serves_alone(machine):
    path, _ = machine.link()
    assert active(machine) == "blue"
    assert (machine.home / "colour.map").read_text() == "colour blue\n"
    assert not runs(machine, "green-1")
    assert not runs(machine, "green-2")
    assert ask(machine, path).status == 302


def complaint(done):
    """Give the one line that says why, which is the last."""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("linkrouter-deploy: ")
    assert "Traceback" not in done.stderr
    return last


def test_a_switch_starts_one_colour_and_stops_the_other(region):
    done = region.deploy("switch", "green")

    path, _ = region.link()
    assert done.returncode == 0, done.stderr
    assert active(region) == "green"
    assert "restart linkrouter-green@1.service" in done.stderr
    assert (region.home / "colour.map").read_text() == "colour green\n"
    assert not runs(region, "blue-1")
    assert not runs(region, "blue-2")
    assert ask(region, path).status == 302


def test_canaries_are_never_counted_as_clicks(region):
    before = {click["id"] for click in region.clicks()}
    region.deploy("switch", "green")
    wait_until(lambda: {click["id"] for click in region.clicks()} - before)

    assert {click["kind"] for click in region.clicks() if click["id"] not in before} == {"head"}


def test_rollback_goes_back_to_the_other_colour(region):
    assert region.deploy("switch", "green").returncode == 0

    done = region.deploy("rollback")

    assert done.returncode == 0, done.stderr
    assert_blue_serves_alone(region)


def test_the_old_colour_can_be_kept_standing_by(region):
    done = region.deploy("--keep-old", "switch", "green")

    assert done.returncode == 0
    assert runs(region, "blue-1")
    assert active(region) == "green"


def test_switching_to_the_active_colour_changes_nothing(region):
    done = region.deploy("switch", "blue")

    assert done.returncode == 0
    assert_blue_serves_alone(region)


def test_a_dry_run_says_the_steps_and_does_none(region):
    done = region.deploy("--dry-run", "switch", "green")

    assert done.returncode == 0
    steps = done.stdout.splitlines()
    assert all(step.startswith("would ") for step in steps)
    assert "would restart linkrouter-green@1.service" in steps
    assert "would stop linkrouter-blue@2.service" in steps
    assert_blue_serves_alone(region)


def test_status_says_who_serves(region):
    plain, asked = region.deploy("status"), region.deploy("status", "--json")

    said = json.loads(asked.stdout)
    assert plain.returncode == asked.returncode == 0
    assert plain.stdout.startswith("active: blue\n")
    assert said["active"] == said["written"] == "blue"
    assert {row["name"]: row["up"] for row in said["routers"]} == {
        "blue-1": True,
        "blue-2": True,
        "green-1": False,
        "green-2": False,
    }


def test_status_names_an_active_router_that_is_down(region):
    region.stop("blue-2")

    def told():
        done = region.deploy("status")
        return done if "blue-2 is active and down" in done.stdout else None

    assert wait_until(told).returncode == 1


# What stops a switch before it


def test_a_colour_that_never_gets_ready_is_not_switched_to(region):
    what = region.home / "units" / f"{unit_of('green-2')}.json"
    what.write_text(what.read_text().replace('"keys.json"', '"no-such-keys.json"'))

    done = region.deploy("--ready-s", "8", "switch", "green")

    assert done.returncode == 3
    assert "green-2 does not get ready" in complaint(done)
    assert "journalctl -u linkrouter-green@2.service" in complaint(done)
    assert complaint(done).endswith("blue is active")
    assert_blue_serves_alone(region)


def test_a_unit_that_does_not_start_is_not_switched_to(region):
    done = region.deploy("--service-manager", "false", "switch", "green")

    assert done.returncode == 3
    assert "'false restart linkrouter-green@1.service' failed" in complaint(done)
    assert_blue_serves_alone(region)


def test_a_service_manager_that_is_not_there_is_named(region):
    done = region.deploy("--service-manager", "no-such-program", "switch", "green")

    assert done.returncode == 3
    assert "'no-such-program' cannot be run" in complaint(done)


def test_routers_that_refuse_a_canary_are_not_switched_to(region):
    path = Keyring.create().sign("https://example.com/")  # of another installation
    canaries = region.home / "foreign-canaries"
    canaries.write_text(f"https://{HOST}{path} https://example.com/\n")

    done = region.deploy("--canaries", canaries, "switch", "green")

    assert done.returncode == 3
    assert "green-1 answers canary link 1 with 404 instead of 302" in complaint(done)
    assert_blue_serves_alone(region)


def test_routers_that_lead_a_canary_elsewhere_are_not_switched_to(region):
    path, _ = region.link()
    canaries = region.home / "moved-canaries"
    canaries.write_text(f"https://{HOST}{path} https://example.com/moved\n")

    done = region.deploy("--canaries", canaries, "switch", "green")

    assert "green-1 answers canary link 1 with 302 to another place" in complaint(done)
    assert_blue_serves_alone(region)


@pytest.mark.parametrize(
    "content", [None, "", "only-one-word\n", "a b\n"], ids=["missing", "empty", "short", "no link"]
)
def test_without_canaries_nothing_is_begun(region, content):
    canaries = region.home / "odd-canaries"
    canaries.unlink(missing_ok=True)
    if content is not None:
        canaries.write_text(content)

    done = region.deploy("--canaries", canaries, "switch", "green")

    assert done.returncode == 3
    assert "deploy/README.md" in complaint(done)
    assert_blue_serves_alone(region)


def test_a_socket_that_refuses_stops_everything_at_once(region, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))  # nobody listens

    done = region.deploy("--socket", tmp_path / "dead.sock", "switch", "green")

    assert done.returncode == 3
    assert "haproxy does not answer" in complaint(done)
    assert "Connection refused" in complaint(done)
    assert_blue_serves_alone(region)


def test_a_colour_file_that_cannot_be_written_leaves_both_as_they_were(region):
    (region.home / "colour.map").unlink()
    (region.home / "colour.map").mkdir()

    done = region.deploy("switch", "green")

    (region.home / "colour.map").rmdir()
    (region.home / "colour.map").write_text("colour blue\n")
    assert done.returncode == 3
    assert "cannot be written" in complaint(done)
    assert_blue_serves_alone(region)


def test_two_switches_at_once_are_one(region):
    first = subprocess.Popen(
        region.deploy_command("--watch-s", "10", "switch", "green"), stderr=subprocess.PIPE, text=True
    )
    assert any(line.startswith("watch ") for line in first.stderr)

    second = region.deploy("rollback")
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=HANG_S)

    assert second.returncode == 3
    assert "another linkrouter-deploy is at work" in complaint(second)


# What stops a switch after it


def test_a_certificate_that_is_not_trusted_is_found_before_traffic_moves(region):
    make_certificate(region.home, "other.example.com")

    done = region.deploy("--ca", region.home / "other.example.com.crt", "switch", "green")

    assert done.returncode == 3
    assert f"does not answer for {HOST}" in complaint(done)
    assert "CERTIFICATE_VERIFY_FAILED" in complaint(done)
    assert "no traffic was moved" in complaint(done)
    assert "active colour" not in done.stderr
    assert_blue_serves_alone(region)


def test_the_certificate_that_the_installation_has_signed_itself_is_trusted(region):
    command = region.deploy_command("switch", "green")
    at = command.index("--ca")
    shutil.copy(region.home / f"{HOST}.crt", region.home / "self-signed.crt")

    done = subprocess.run(command[:at] + command[at + 2 :], capture_output=True, text=True)
    status = region.deploy("status")
    (region.home / "self-signed.crt").unlink()

    assert done.returncode == 0, done.stderr
    assert "the certificate is self-signed" in status.stdout
    assert active(region) == "green"


def test_a_router_that_dies_while_it_is_watched_is_rolled_back(region):
    def kill_when_active():
        wait_until(lambda: active(region) == "green")
        region.signal("green-2", signal.SIGKILL)

    killer = threading.Thread(target=kill_when_active)
    killer.start()
    done = region.deploy("--watch-s", "20", "switch", "green")
    killer.join()

    assert done.returncode == 3
    assert "green-2 went down" in complaint(done) or "green-2 needed" in complaint(done)
    assert_blue_serves_alone(region)


def test_an_interrupted_watch_is_rolled_back(region):
    switch = subprocess.Popen(
        region.deploy_command("--watch-s", "20", "switch", "green"), stderr=subprocess.PIPE, text=True
    )
    assert any(line.startswith("watch ") for line in switch.stderr)

    switch.send_signal(signal.SIGTERM)
    _, said = switch.communicate(timeout=HANG_S)

    assert switch.returncode == 3
    assert "interrupted; blue is active" in said
    assert_blue_serves_alone(region)


def test_a_switch_that_was_killed_is_seen_and_finished_by_another(region):
    switch = subprocess.Popen(
        region.deploy_command("--watch-s", "20", "switch", "green"), stderr=subprocess.PIPE, text=True
    )
    assert any(line.startswith("watch ") for line in switch.stderr)
    switch.kill()
    switch.communicate(timeout=HANG_S)

    status = region.deploy("status")
    again = region.deploy("switch", "green")

    assert "blue stands by; if it should not: 'linkrouter-deploy switch green'" in status.stdout
    assert again.returncode == 0
    assert active(region) == "green"
    assert not runs(region, "blue-1")


def test_a_map_and_a_file_that_differ_are_a_finding_and_the_next_switch_mends_them(region):
    (region.home / "colour.map").write_text("colour green\n")

    status = region.deploy("status")
    again = region.deploy("switch", "blue")

    assert status.returncode == 1
    assert "colour.map says green: run 'linkrouter-deploy switch blue'" in status.stdout
    assert again.returncode == 0
    assert_blue_serves_alone(region)


def test_a_reload_keeps_the_colour(region):
    region.deploy("switch", "green")

    region.reload_haproxy()

    assert active(region) == "green"


def test_a_wrong_command_line_is_usage(region):
    assert region.deploy("switch", "mauve").returncode == 2

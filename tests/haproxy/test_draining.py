"""Draining: recipients are sent elsewhere, nobody is refused, and the centre has every click before it says so."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
from haproxy.machine import CENTRE
from haproxy.reach import deploy_over, let_reach
from haproxy.talk import ask
from processes import wait_until

QUICK = ("--quiet-s", "0.6")


@pytest.fixture(scope="module")
def pair(make_machine):
    """Two machines, of which the first reaches the other."""
    machines = [make_machine(router_options={"LINKROUTER_DRAIN_MS": "0"}) for _ in range(2)]
    for machine in machines:
        (machine.home / "router.env").write_text(f"LINKROUTER_CLICK_STORE=sqlite:///{machine.home}/spool\n")
        machine.begin()
    first, other = machines
    let_reach(first, other, "other\nlocal\n")
    return first, other


@pytest.fixture
def machine(pair):
    """The first of them, in traffic whatever the test before did."""
    first, _ = pair
    yield first
    first.deploy("undrain")
    assert in_traffic(first)


def in_traffic(machine):
    return ask(machine, "/robots.txt").status == 200 and "drained" not in (machine.home / "colour.map").read_text()


def complaint(done):
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def drain_all(machine, *options):
    return deploy_over(machine, *options, "drain", "--all")


@contextlib.contextmanager
def away(centre) -> Iterator[None]:
    """The centre of a machine is stopped, with one click that it does not have."""
    centre.stop(CENTRE)
    path, _ = centre.link()
    try:
        assert ask(centre, path).status == 302
        yield
    finally:
        centre.start(CENTRE)


@contextlib.contextmanager
def recipients(machine) -> Iterator[set[int]]:
    """Somebody follows links all the time; the statuses of the answers."""
    seen: set[int] = set()
    done = threading.Event()

    def follow():
        while not done.wait(0.1):
            seen.add(ask(machine, machine.link()[0]).status)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def test_a_drained_machine_fails_the_check_redirects_and_has_no_click_left(machine):
    path, _ = machine.link()
    before = len(machine.clicks())
    assert ask(machine, path).status == 302

    done = machine.deploy(*QUICK, "drain")
    clicks = len(machine.clicks())
    status = machine.deploy("status")
    machine.reload_haproxy()
    machine.wait_up("blue-1")
    check, late = ask(machine, "/robots.txt").status, ask(machine, machine.link()[0]).status
    back = machine.deploy("undrain")

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "this machine is out of traffic, and the centre has all its clicks"
    assert clicks == before + 1
    assert status.returncode == 1
    assert "'linkrouter-deploy undrain'" in status.stdout
    assert (check, late) == (503, 302)
    assert back.returncode == 0, back.stderr
    assert (machine.home / "colour.map").read_text() == "colour blue\n"


def test_a_switch_leaves_a_drained_machine_drained(machine):
    assert machine.deploy(*QUICK, "drain").returncode == 0

    done = machine.deploy("--keep-old", "switch", "green")
    written = (machine.home / "colour.map").read_text()
    back = machine.deploy("--keep-old", "switch", "blue")

    assert done.returncode == back.returncode == 0, done.stderr + back.stderr
    assert written == "colour green\ndrained yes\n"
    assert ask(machine, "/robots.txt").status == 503


def test_a_click_that_the_centre_does_not_get_fails_the_drain(machine):
    with away(machine):
        done = machine.deploy(*QUICK, "--empty-s", "1", "drain")

    assert "1 clicks wait in the spool after 1 s" in complaint(done)
    assert complaint(done).endswith("this machine is in traffic again")
    assert in_traffic(machine)
    assert machine.deploy(*QUICK, "drain").returncode == 0


def test_recipients_who_do_not_leave_fail_the_drain_and_get_their_redirects(machine):
    with recipients(machine) as seen:
        done = machine.deploy("--quiet-s", "2", "--leave-s", "3", "drain")

    assert "recipients still come (" in complaint(done)
    assert seen == {302}
    assert in_traffic(machine)


def test_a_haproxy_that_cannot_tell_the_check_is_found_before_anything_waits(machine):
    config = machine.config.read_text()
    machine.config.write_text("".join(line for line in config.splitlines(True) if "str(drained)" not in line))
    machine.reload_haproxy()
    machine.wait_up("blue-1")

    done = machine.deploy(*QUICK, "drain")
    machine.config.write_text(config)
    machine.reload_haproxy()
    machine.wait_up("blue-1")

    assert "answers /robots.txt with 200 instead of 503; its haproxy.cfg has no line for" in complaint(done)
    assert "no link was followed" not in done.stderr


def test_all_machines_are_drained_one_after_the_other_and_none_behind_the_first_that_fails(pair, machine):
    _, other = pair
    with away(other):
        failed = drain_all(machine, *QUICK, "--empty-s", "1")
    wait_until(lambda: ask(other, "/robots.txt").status == 200)
    done = drain_all(machine, *QUICK)

    assert "other did not succeed (exit 3, see above); done: none; not begun: local" in complaint(failed)
    assert failed.stderr.count("answer health checks (/robots.txt) with 503") == 1
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.endswith(":") or "this machine is" in line]
    out, back = "this machine is out of traffic, and the centre has all its clicks", "this machine is in traffic"
    assert said == ["other:", out, back, "local:", out, back]
    assert in_traffic(other)

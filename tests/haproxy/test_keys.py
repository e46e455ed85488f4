"""Keys over several machines: rotation, revocation and reload, against real routers of both colours."""

import json
import signal
import subprocess
import sys

import pytest
from haproxy.machine import HOST, ROUTERS, unit_of
from haproxy.reach import deploy_over, let_reach
from haproxy.talk import ask
from processes import fetch, wait_until

from haproxy import starter
from linkrouter import __version__
from linkrouter.link import Keyring


@pytest.fixture(scope="module")
def pair(make_machine):
    """Two machines, of which the first reaches the other; of the first, green stands by, as after a boot."""
    first = make_machine(router_options={"LINKROUTER_DRAIN_MS": "0"})
    other = make_machine(router_options={"LINKROUTER_DRAIN_MS": "0"}, keyring=first.keyring)
    (other.home / "ingest-token").write_bytes((first.home / "ingest-token").read_bytes())
    for machine in (first, other):
        machine.begin()
    for name in ("green-1", "green-2"):
        first.start(name)
        first.wait_up(name)
    let_reach(first, other, "# all regions\nlocal\nother\n")
    return first, other


@pytest.fixture
def machines(pair):
    """The two with one keyring of one key, whatever the test before did."""
    first, other = pair
    (first.home / "machines").write_text("local\nother\n")
    ring = Keyring.create()
    for machine in pair:
        machine._write_units()
        ring.save(machine.home / "keys.json")
        machine.keyring = ring
        path, destination = machine.link()
        (machine.home / "canaries").write_text(f"https://{HOST}{path} {destination}\n")
        machine.start("blue-1")
        machine.start("blue-2")
        machine.wait_up("blue-1")
        machine.wait_up("blue-2")
        done = machine.deploy("reload")
        assert done.returncode == 0, done.stderr
    return first, other


def complaint(done):
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def states(machine):
    return {key.id: key.state for key in Keyring.load(machine.home / "keys.json").keys}


def running(machine):
    return [name for name in ROUTERS if starter.find_pid(machine.home, unit_of(name)) is not None]


def statuses(machine, path):
    """Ask every router of *machine* itself, of both colours."""
    return {fetch(f"http://127.0.0.1:{machine.ports[name]}{path}", method="HEAD")[0] for name in running(machine)}


def test_a_rotated_key_works_on_every_router_of_every_machine_when_it_signs(machines):
    first, other = machines
    old = first.keyring.sign("https://example.com/")

    done = deploy_over(first, "rotate")

    new = Keyring.load(first.home / "keys.json").sign("https://example.com/")
    assert done.returncode == 0, done.stderr
    assert running(first) == list(ROUTERS)
    assert states(first) == states(other) == {1: "verify", 2: "sign"}
    for machine in machines:
        assert statuses(machine, old) == statuses(machine, new) == {302}
    assert "every router says that it verifies key 2" in done.stderr
    assert "now give" in done.stderr.splitlines()[-1]


def test_a_router_that_does_not_take_the_key_keeps_it_from_signing(machines):
    first, other = machines
    starter.stop(other.home, unit_of("blue-2"))
    what = other.home / "units" / f"{unit_of('blue-2')}.json"
    what.write_text(what.read_text().replace('"keys.json"', '"stale.json"'))
    first.keyring.save(other.home / "stale.json")
    other.start("blue-2")
    other.wait_up("blue-2")

    done = deploy_over(first, "rotate")
    other._write_units()
    starter.restart(other.home, unit_of("blue-2"))

    assert "other: blue-2 uses keys 1:sign instead of 1:sign 2:verify" in complaint(done)
    assert "key 2 is not handed out" in complaint(done)
    assert states(first) == {1: "sign", 2: "verify"}


def test_a_rotation_that_was_cut_off_goes_on_with_its_key(machines):
    first, other = machines
    (first.home / "machines").write_text("local\nnowhere\n")
    before = deploy_over(first, "rotate")
    subprocess.run([sys.executable, "-m", "linkrouter", "keys", "add", first.home / "keys.json"], check=True)
    (first.home / "machines").write_text("local\nother\n")

    done = deploy_over(first, "rotate")

    assert "nowhere: " in complaint(before)
    assert done.returncode == 0, done.stderr
    assert states(first) == states(other) == {1: "verify", 2: "sign"}


def test_a_machine_with_a_key_of_its_own_is_not_overwritten(machines):
    first, other = machines
    other.keyring.rotate().save(other.home / "keys.json")

    done = deploy_over(first, "rotate")

    assert "other has a key 2 that is not the one here" in complaint(done)
    assert states(first) == {1: "sign"}


def test_a_revoked_key_is_a_404_on_every_router_of_both_colours(machines):
    first, other = machines
    old = first.keyring.sign("https://example.com/")
    assert deploy_over(first, "rotate").returncode == 0

    done = deploy_over(first, "revoke", "1")

    assert done.returncode == 0, done.stderr
    assert states(first) == states(other) == {1: "revoked", 2: "sign"}
    for machine in machines:
        assert statuses(machine, old) == {404}
    assert first.deploy("--keep-old", "switch", "blue").returncode == 0  # the canary of the revoked key is left out


def test_the_signing_key_is_not_revoked(machines):
    first, _ = machines

    done = deploy_over(first, "revoke", "1")

    assert "rotate first" in complaint(done)
    assert states(first) == {1: "sign"}


def test_a_machine_that_cannot_be_told_keeps_no_other_from_revoking(machines):
    first, other = machines
    old = first.keyring.sign("https://example.com/")
    assert deploy_over(first, "rotate").returncode == 0
    (first.home / "machines").write_text("nowhere\nlocal\nother\n")

    done = deploy_over(first, "revoke", "1")

    assert "nowhere: " in complaint(done)
    assert "run 'linkrouter-deploy revoke 1' again" in complaint(done)
    assert statuses(first, old) == statuses(other, old) == {404}


def test_a_switch_gives_a_colour_that_stood_by_the_keyring_of_the_moment(machines):
    first, _ = machines
    first.keyring.rotate().save(first.home / "keys.json")  # and nobody reloads
    new = Keyring.load(first.home / "keys.json").sign("https://example.com/")

    done = first.deploy("--keep-old", "switch", "green")
    path = ask(first, new).status
    back = first.deploy("--keep-old", "switch", "blue")

    assert done.returncode == back.returncode == 0, done.stderr
    assert path == 302
    assert statuses(first, new) == {302}


def test_a_colour_with_an_old_keyring_is_not_switched_to(machines):
    _, other = machines
    for name in ("green-1", "green-2"):
        what = other.home / "units" / f"{unit_of(name)}.json"
        what.write_text(what.read_text().replace('"keys.json"', '"old.json"'))
    other.keyring.save(other.home / "old.json")
    other.keyring.rotate().save(other.home / "keys.json")

    done = other.deploy("switch", "green")

    assert "green-1 answers a fresh link of key 2 with 404 instead of 302" in complaint(done)
    assert complaint(done).endswith("blue is active")


def test_status_names_a_router_with_other_keys_than_the_file(machines):
    _, other = machines
    other.keyring.rotate().save(other.home / "keys.json")

    stale = other.deploy("status")
    reloaded = other.deploy("reload")
    fresh = other.deploy("status", "--json")

    assert stale.returncode == 1
    assert "blue-1 uses keys 1:sign, the file has 1:verify 2:sign: run 'linkrouter-deploy reload'" in stale.stdout
    assert reloaded.returncode == 0, reloaded.stderr
    assert "green-1: is stopped" in reloaded.stderr
    said = json.loads(fresh.stdout)
    assert said["keys"] == "1:verify 2:sign"
    assert {row["keys"] for row in said["routers"] if row["up"]} == {"1:verify 2:sign"}


def test_status_of_all_machines_is_one_table_with_what_differs(machines):
    first, other = machines
    alike = deploy_over(first, "status", "--all")
    other.keyring.rotate().save(other.home / "keys.json")
    assert other.deploy("reload").returncode == 0
    (first.home / "machines").write_text("local\nother\nnowhere\n")

    done, asked = deploy_over(first, "status", "--all"), deploy_over(first, "status", "--all", "--json")

    head, *rows = alike.stdout.splitlines()
    assert alike.returncode == 0
    assert head.split() == ["machine", "active", "routers", "keys", "version"]
    assert [row.split()[:2] for row in rows] == [["local", "blue"], ["other", "blue"]]
    assert all(row.endswith(f"1:sign  {__version__}") for row in rows)
    assert done.returncode == asked.returncode == 1
    assert "machines have different keys (local: 1:sign, other: 1:verify 2:sign): run 'linkrouter-deploy push'" in (
        done.stdout
    )
    said = json.loads(asked.stdout)
    assert set(said["machines"]) == {"local", "other"}
    assert set(said["silent"]) == {"nowhere"}


def test_a_switch_of_all_machines_stops_at_the_first_failed_canary(machines):
    first, other = machines
    canaries = other.home / "canaries"
    sound = canaries.read_text()
    canaries.write_text(f"https://{HOST}/2s/forged https://example.com/\n")
    (first.home / "machines").write_text("other\nlocal\n")

    failed = deploy_over(first, "switch", "--all", "green")
    after = [json.loads(machine.deploy("status", "--json").stdout)["active"] for machine in machines]
    canaries.write_text(sound)
    done = deploy_over(first, "--keep-old", "switch", "--all", "green")
    then = [json.loads(machine.deploy("status", "--json").stdout)["active"] for machine in machines]
    back = deploy_over(first, "--keep-old", "switch", "--all", "blue")

    assert "other did not succeed (exit 3, see above); done: none; not begun: local" in complaint(failed)
    assert after == ["blue", "blue"]
    assert done.returncode == back.returncode == 0, done.stderr
    assert then == ["green", "green"]


def test_a_restart_of_the_active_colour_leaves_one_router_serving(machines):
    _, other = machines
    before = {name: starter.find_pid(other.home, unit_of(name)) for name in ("blue-1", "blue-2")}
    path, _ = other.link()
    command = other.deploy_command("switch", "blue")

    switch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    seen = set()
    while switch.poll() is None:
        seen.add(ask(other, path).status)
    said = switch.communicate()[1]

    after = {name: starter.find_pid(other.home, unit_of(name)) for name in ("blue-1", "blue-2")}
    assert switch.returncode == 0, said
    assert seen == {302}
    assert not set(before.values()) & set(after.values())


@pytest.mark.parametrize("content", ["", "two words\n", "-oProxyCommand=x\n"], ids=["empty", "two words", "an option"])
def test_an_inventory_without_sense_is_refused(machines, content):
    first, _ = machines
    (first.home / "machines").write_text(content)

    assert "one machine a line" in complaint(deploy_over(first, "rotate"))
    assert states(first) == {1: "sign"}


def test_a_killed_router_comes_back_with_the_keyring_of_the_moment(machines):
    first, _ = machines
    first.signal("blue-1", signal.SIGKILL)
    wait_until(lambda: "blue-1" not in running(first))

    done = deploy_over(first, "rotate")
    first.revive("blue-1")

    new = Keyring.load(first.home / "keys.json").sign("https://example.com/")
    assert done.returncode == 0, done.stderr
    assert statuses(first, new) == {302}

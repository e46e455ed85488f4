"""Take-backs on real processes: from central to every worker, and on without central."""

import itertools
import json
import os
import signal
import time
from pathlib import Path

import pytest
from processes import fetch, free_port, wait_until

from linkrouter.link import Keyring
from linkrouter.link.takeback import match_link, sign_take_back

OLD, NEW = "https://example.com/wrong", "https://example.com/right"
INTERVAL = ("--takebacks-interval-s", "0.2")
SECONDS = itertools.count(int(time.time()))  # of two rules in one second, chance would decide
CONNECTIONS = 16  # so many that each worker gets some


def ring_of(home):
    return Keyring.load(home.path / "keys.json")


def make_link(home, link_id=b"sent link"):
    return ring_of(home).sign(OLD, link_id=link_id)


def post_rule(home, action, link_id=b"sent link", forge=False, **options):
    """Sign a rule and hand it in; give its id."""
    ring = ring_of(home)
    to = ring.sign(NEW) if action == "replace" else ""
    rule = sign_take_back(ring, match=match_link(link_id), action=action, made_at=next(SECONDS), to=to, **options)
    fields = rule._asdict() | ({"tag": "A" * 22} if forge else {})
    post(home, [fields])
    return rule.id


def post(home, rules):
    token = (home.path / "api-token").read_text()
    status, _, body = fetch(
        f"http://127.0.0.1:{home.central_port}/v1/take-backs",
        method="POST",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        body=json.dumps({"rules": rules}).encode(),
    )
    assert status == 200, body


def answers(port, path):
    """Give what several connections get for *path*: status and Location."""
    found = set()
    for _ in range(CONNECTIONS):
        status, headers, _ = fetch(f"http://127.0.0.1:{port}{path}", timeout=30)
        found.add((status, headers.get("Location")))
    return found


def wait_for(port, path, *answer):
    wait_until(lambda: answers(port, path) == {answer}, timeout_s=30)


def metrics(admin_port):
    text = fetch(f"http://127.0.0.1:{admin_port}/metrics")[2].decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def lease_holder(home):
    """Give the id of the process that may write the list."""
    inode = f":{(home.path / 'take-backs.list.lock').stat().st_ino}"
    [holder] = [
        int(words[4])
        for words in map(str.split, Path("/proc/locks").read_text().splitlines())
        if words[1] == "FLOCK" and words[5].endswith(inode)
    ]
    return holder


def stop(home, process):
    process.terminate()
    process.wait(20)
    home.processes.remove(process)


def test_a_rule_reaches_every_worker_and_stays_while_central_is_away(home):
    path, port = make_link(home), free_port()
    central = home.start_central()
    router = home.start_router(port, "--workers", "2", "--router-id", "ams", *INTERVAL)
    wait_for(port, path, 302, OLD)

    rule_id = post_rule(home, "replace")
    wait_for(port, path, 302, NEW)
    wait_until(lambda: home.ask_central("/v1/take-backs/status")["rules"][0]["routers"] == 1)
    wait_until(lambda: home.ask_central("/v1/take-backs/status")["rules"][0]["clicks"] >= CONNECTIONS)
    clicks = home.ask_central("/v1/clicks?limit=1000")["clicks"]
    stop(home, central)
    assert answers(port, path) == {(302, NEW)}
    stop(home, router)
    router = home.start_router(port, "--workers", "2", "--router-id", "ams", *INTERVAL)
    assert answers(port, path) == {(302, NEW)}
    home.start_central()
    post_rule(home, "lift")
    wait_for(port, path, 302, OLD)

    assert {click["takeback"] for click in clicks} == {None, rule_id}
    assert OLD not in home.log()
    assert NEW not in home.log()


def test_a_forged_rule_and_a_rule_for_another_tenant_change_nothing_and_are_counted(home):
    path, port = make_link(home), free_port()
    home.start_central()
    router = home.start_router(port, *INTERVAL)

    post_rule(home, "stop", forge=True)
    post_rule(home, "stop", tenant=7)
    post_rule(home, "stop", link_id=b"another one")
    wait_until(lambda: metrics(router.admin_port)["linkrouter_takebacks_in_force"] == 2)

    seen = metrics(router.admin_port)
    assert answers(port, path) == {(302, OLD)}
    assert seen["linkrouter_takebacks_refused"] == 1
    assert seen["linkrouter_takebacks_age_seconds"] < 60


def test_a_damaged_list_is_set_aside_and_fetched_anew(home):
    path, port = make_link(home), free_port()
    home.start_central()
    router = home.start_router(port, *INTERVAL)
    for number in range(3):
        post_rule(home, "stop", link_id=f"other {number}".encode())
        wait_until(lambda number=number: metrics(router.admin_port)["linkrouter_takebacks_in_force"] == number + 1)
    post_rule(home, "stop")
    wait_for(port, path, 410, None)
    stop(home, router)
    file = home.path / "take-backs.list"
    damaged = bytearray(file.read_bytes())
    damaged[30] ^= 1
    file.write_bytes(damaged)

    router = home.start_router(port, *INTERVAL)

    assert answers(port, path) == {(410, None)}  # of what could be read
    wait_until(lambda: metrics(router.admin_port)["linkrouter_takebacks_in_force"] == 4)
    assert (home.path / "take-backs.list.damaged").read_bytes() == damaged
    assert '"takebacks.damaged"' in home.log()


def test_a_router_killed_between_writing_and_applying_has_the_rule_when_it_starts(home):
    path, port = make_link(home), free_port()
    home.start_central()
    router = home.start_router(port, "--takebacks-interval-s", "0.1")
    post_rule(home, "stop")
    wait_until(lambda: (home.path / "take-backs.list").stat().st_size > 0)
    router.send_signal(signal.SIGKILL)
    router.wait(10)

    home.start_router(port, "--takebacks-interval-s", "3600")

    assert answers(port, path) == {(410, None)}


def test_the_worker_that_fetches_is_replaced_when_it_is_killed(home):
    path, port = make_link(home), free_port()
    home.start_central()
    router = home.start_router(port, "--workers", "2", *INTERVAL)
    wait_until((home.path / "take-backs.list").exists)
    os.kill(lease_holder(home), signal.SIGKILL)

    post_rule(home, "stop")

    wait_for(port, path, 410, None)
    assert router.poll() is None


def test_a_revoked_key_takes_its_rules_with_it(home):
    path, port = make_link(home), free_port()
    home.start_central()
    router = home.start_router(port, *INTERVAL)
    post_rule(home, "stop")
    wait_for(port, path, 410, None)
    home.run("keys", "rotate", "keys.json")
    newer = make_link(home)
    post_rule(home, "replace", link_id=b"sent link", key_id=2)
    wait_until(lambda: metrics(router.admin_port)["linkrouter_takebacks_refused"] == 1)  # it does not know key 2 yet
    assert answers(port, path) == {(410, None)}

    router.send_signal(signal.SIGHUP)
    wait_for(port, path, 302, NEW)
    home.run("keys", "revoke", "keys.json", "1")
    router.send_signal(signal.SIGHUP)

    wait_for(port, path, 404, None)
    assert answers(port, newer) == {(302, NEW)}
    wait_until(lambda: metrics(router.admin_port)["linkrouter_takebacks_refused"] == 1)


def test_a_router_whose_list_cannot_be_written_redirects_as_before_and_says_so(home):
    path, port = make_link(home), free_port()
    home.start_central()
    home.start_router(port, "--takebacks-file", str(home.path / "no folder" / "list"), *INTERVAL)

    post_rule(home, "stop")

    wait_until(lambda: '"takebacks.not_kept"' in home.log())
    assert answers(port, path) == {(302, OLD)}


def test_a_central_that_was_set_up_anew_is_read_from_its_start(home):
    path, port = make_link(home), free_port()
    central = home.start_central()
    router = home.start_router(port, *INTERVAL)
    post_rule(home, "stop", link_id=b"one")
    post_rule(home, "stop", link_id=b"two")
    wait_until(lambda: metrics(router.admin_port)["linkrouter_takebacks_in_force"] == 2)
    stop(home, central)

    home.start_central("--database", "sqlite:///another.db")
    post_rule(home, "stop")

    wait_for(port, path, 410, None)
    assert metrics(router.admin_port)["linkrouter_takebacks_in_force"] == 3


@pytest.mark.parametrize("setting", ["--takebacks-interval-s=0", "--takebacks-interval-s=soon"])
def test_a_bad_setting_is_one_line(home, setting):
    done = home.run("router", "--keys", "keys.json", setting, check=False)

    assert done.returncode == 3
    assert done.stderr.decode().startswith("linkrouter: TAKEBACKS_INTERVAL_S must be")
    assert done.stderr.count(b"\n") == 1

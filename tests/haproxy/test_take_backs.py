"""A mail was sent, and a link in it is wrong: taken back on four routers behind HAProxy, and given back."""

import json
import re
import subprocess
import sys
import time

from haproxy.machine import CENTRE, HOST, ROUTERS
from haproxy.talk import ask
from processes import HANG_S, fetch, room, wait_until

WRONG, RIGHT = "https://example.com/mistaken", "https://example.com/mended"
IN_FORCE_S = 30  # is promised,
DEFAULT_S = 15  # with so long between two looks; here,
INTERVAL_S = 2  # to save time


def run(machine, *arguments, stdin=b""):
    done = subprocess.run(
        [sys.executable, "-m", "linkrouter", *arguments], cwd=machine.home, input=stdin, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def take_back(machine, action, *options):
    central = f"http://{machine.address}:{machine.ports['centre']}"
    where = ("--keys", "keys.json", "--central", central, "--token-file", "api-token")
    return json.loads(run(machine, "takeback", action, *where, *options))


def answers(machine, path):
    """Give what each router says, and what HAProxy says: status and Location."""
    found = {}
    for name in ROUTERS:
        status, headers, _ = fetch(f"http://127.0.0.1:{machine.ports[name]}{path}", timeout=30)
        found[name] = (status, headers.get("Location"))
    through = ask(machine, path)
    return found | {"HAProxy": (through.status, through.headers.get("location"))}


def wait_for(machine, path, *answer):
    wait_until(lambda: set(answers(machine, path).values()) == {answer}, timeout_s=HANG_S)


def test_a_wrong_link_of_a_sent_mail_is_replaced_on_all_four_routers_and_given_back(make_machine):
    machine = make_machine(router_options={"LINKROUTER_TAKEBACKS_INTERVAL_S": str(INTERVAL_S)})
    machine.begin()
    for name in ROUTERS:
        if name.startswith("green"):
            machine.start(name)
            machine.wait_up(name)
    mail = run(
        machine,
        *("encode", "--keys", "keys.json", "--base-url", f"https://{HOST}", "--type", "html"),
        stdin=f'<a href="{WRONG}">offer</a>'.encode(),
    ).decode()
    path = re.search(rf'href="https://{re.escape(HOST)}([^"]+)"', mail)[1]
    wait_for(machine, path, 302, WRONG)

    rule = take_back(machine, "replace", "--url", WRONG, "--to", RIGHT)
    began_at = time.monotonic()
    wait_for(machine, path, 302, RIGHT)
    took_s = time.monotonic() - began_at
    state = wait_until(
        lambda: (found := machine.ask_centre("/v1/take-backs/status"))["rules"][0]["routers"] == len(ROUTERS) and found,
        timeout_s=HANG_S,
    )
    machine.stop(CENTRE)
    away = answers(machine, path)
    machine.stop("green-1")
    machine.start("green-1")
    machine.wait_up("green-1")
    restarted = answers(machine, path)
    machine.start(CENTRE)
    wait_until(lambda: machine.ask_centre("/v1/take-backs/status"))
    take_back(machine, "lift", "--url", WRONG)
    wait_for(machine, path, 302, WRONG)
    take_back(machine, "stop", "--origin", WRONG)
    wait_for(machine, path, 410, None)

    assert took_s < (IN_FORCE_S - DEFAULT_S + INTERVAL_S) * room()
    assert {reader["router"] for reader in state["routers"]} == set(ROUTERS)
    assert set(away.values()) == set(restarted.values()) == {(302, RIGHT)}
    clicks = wait_until(lambda: [one for one in machine.clicks() if one["takeback"] == rule["id"]])
    assert {one["link_id"] for one in clicks} == {path.split("/")[-2]}
    assert not re.search("mistaken|mended|" + re.escape(path[:30]), machine.log())

"""A flood of take-backs: 250,000 rules reach a router that serves, and stay there."""

import json
import resource
import time
from pathlib import Path

import pytest
from processes import fetch, free_port, room, wait_until

from linkrouter.link import Keyring
from linkrouter.link.takeback import match_link, sign_take_back

RULES, BATCH = 250_000, 1000
MORE_BYTES = 80 * 1000**2  # resident
PAUSE_S, LOAD_S = 0.02, 3.0  # of a machine that does nothing else
WRONG, RIGHT = "https://example.com/wrong", "https://example.com/a-page-with-a-path-of-usual-length?campaign=winter"


def resident_bytes(process):
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def in_force(router):
    text = fetch(f"http://127.0.0.1:{router.admin_port}/metrics")[2].decode()
    return int(
        float(next(line for line in text.splitlines() if line.startswith("linkrouter_takebacks_in_")).split()[1])
    )


def post_rules(home, ring, first):
    to = ring.sign(RIGHT)
    rules = [
        sign_take_back(ring, match=match_link(number.to_bytes(9, "big")), action="replace", to=to, made_at=1)._asdict()
        for number in range(first, first + BATCH)
    ]
    token = (home.path / "api-token").read_text()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{home.central_port}/v1/take-backs"
    assert fetch(url, method="POST", headers=headers, body=json.dumps({"rules": rules}).encode(), timeout=60)[0] == 200


def start_in_s(home, port, *options):
    """Start a router and give it with the seconds until it was ready."""
    began_at = time.monotonic()
    router = home.start_router(port, *options, wait=False)
    wait_until(lambda: home.answers(port, "/-/ready"), timeout_s=60)
    return router, time.monotonic() - began_at


@pytest.mark.faults
def test_a_flood_of_rules_is_taken_while_redirects_go_on(home):
    ring, port = Keyring.load(home.path / "keys.json"), free_port()
    plain, turned = ring.sign(WRONG), ring.sign(WRONG, link_id=(RULES - 1).to_bytes(9, "big"))
    home.start_central()
    for first in range(0, RULES, BATCH):
        post_rules(home, ring, first)
    router = home.start_router(port)
    before, pauses = resident_bytes(router), []

    while in_force(router) < RULES:
        asked_at = time.monotonic()
        status, headers, _ = fetch(f"http://127.0.0.1:{port}{plain}", timeout=30)
        pauses.append(time.monotonic() - asked_at)
        assert (status, headers["Location"]) == (302, WRONG)
    grown = resident_bytes(router) - before
    assert fetch(f"http://127.0.0.1:{port}{turned}")[1]["Location"] == RIGHT
    router.terminate()
    router.wait(20)
    home.processes.remove(router)
    router, with_rules_s = start_in_s(home, port)
    assert fetch(f"http://127.0.0.1:{port}{turned}")[1]["Location"] == RIGHT
    assert in_force(router) == RULES
    _, without_s = start_in_s(home, free_port(), "--takebacks-file", str(home.path / "empty"))

    pauses.sort()
    print(
        f"{grown / 1e6:.0f} MB more, {with_rules_s - without_s:.1f} s more at the start, longest answers", pauses[-5:]
    )
    assert grown < MORE_BYTES
    assert with_rules_s - without_s < LOAD_S * room()
    assert pauses[-max(1, len(pauses) // 1000)] < 5 * PAUSE_S * room()

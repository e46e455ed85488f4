"""A centre that is away, slow, refuses or forgets to answer: everything waits and arrives once."""

import json
import signal
import time

import pytest
from faults import proxy as way
from faults.proxy import Proxy
from faults.scene import ALIVE_S
from processes import room, wait_until

SILENT_S = ALIVE_S + 10.0  # a post to a centre that says nothing is given up after ten seconds
QUICK_S = 2.0  # on a busy machine

# name: (what the proxy does, how long, and how soon after it a new click must be at the centre)
WAYS = {
    "commits and loses the reply": (way.lose_the_reply, 1.0, ALIVE_S),
    "answers 500": (way.refuse("500 Internal Server Error"), 15.0, ALIVE_S),
    "answers rubbish": (way.answer_rubbish, 4.0, ALIVE_S),
    "cuts the connection": (way.cut, 4.0, ALIVE_S),
    "answers 200 with a page of somebody else": (way.answer_for_somebody_else, 4.0, ALIVE_S),
    "answers without end": (way.answer_too_much, 4.0, ALIVE_S),
    "accepts and never answers": (way.hold, 15.0, SILENT_S),
    "answers a byte at a time": (way.drip, 15.0, SILENT_S),
    "takes a second for each answer": (way.delay, 8.0, ALIVE_S),
    "answers 429 with Retry-After: 5": (way.refuse("429 Too Many Requests", "Retry-After: 5"), 8.0, ALIVE_S),
    "answers 413 to bodies over 2,000 bytes": (way.refuse_large(2000), 8.0, ALIVE_S),
}


@pytest.fixture
def proxy(scene):
    """A proxy between the scene's routers and its centre."""
    made = Proxy(scene.home.central_port)
    made.start()
    scene.centre_port = made.port
    yield made
    made.stop()


def misbehave(scene, proxy, behaviour, seconds, alive_s):
    """Let the proxy misbehave under load; give the longest that an answer took meanwhile."""
    began, behaved = proxy.requests, proxy.behave
    began_at = time.monotonic()
    proxy.behave = behaviour
    scene.pass_s(seconds)
    wait_until(lambda: proxy.requests > began)
    proxy.behave = behaved
    scene.wait_for_life(time.monotonic(), alive_s)
    return max(one.answered_at - one.sent_at for one in scene.load.requests if one.sent_at > began_at)


@pytest.mark.parametrize(
    "name",
    [name if name == "commits and loses the reply" else pytest.param(name, marks=pytest.mark.faults) for name in WAYS],
)
def test_a_centre_that_misbehaves_costs_nothing(scene, report, proxy, name):
    behaviour, seconds, alive_s = WAYS[name]
    scene.start()

    slowest_s = misbehave(scene, proxy, behaviour, seconds, alive_s)

    report(f"the centre {name}", f"proxy before the centre, {seconds:.0f} s", alive_s=alive_s)
    assert slowest_s < QUICK_S * room()  # no redirect waits for the centre
    if behaviour is way.lose_the_reply:
        assert scene.metrics()["sync_clicks", "duplicate"] > 0  # it was sent again, and not stored again


@pytest.mark.faults
def test_one_poisoned_click_becomes_a_dead_letter_and_all_others_arrive(scene, report, proxy):
    scene.start()
    proxy.behave = way.refuse("500 Internal Server Error")
    scene.pass_s(1)
    poison = scene.load.requests[-20]
    wait_until(lambda: poison.is_answered)

    proxy.behave = way.refuse_click(poison.id)
    wait_until(lambda: scene.spool().dead_letters, 60)
    scene.wait_for_life(time.monotonic())

    letter = json.loads((scene.home.path / "spool" / "dead-letters.jsonl").read_text())
    assert letter["click"]["id"] == poison.id
    report("the centre refuses one click (422)", "proxy before the centre", dead_letters={poison.id})


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [3.0, 30.0])
def test_a_centre_that_is_away_costs_nothing(scene, report, seconds):
    scene.start()

    scene.central.kill()
    scene.central.wait()
    scene.pass_s(seconds)
    scene.start_central()
    scene.wait_for_life(time.monotonic())

    report("the centre is killed and away", f"SIGKILL, {seconds:.0f} s")


@pytest.mark.faults
def test_a_centre_killed_again_and_again_stores_everything_once(scene, report):
    scene.start()

    for _ in range(10):
        scene.pass_s(1)
        scene.central.kill()
        scene.central.wait()
        scene.start_central()
    scene.wait_for_life(time.monotonic())

    report("the centre is killed", "SIGKILL each second, started again at once", 10)


@pytest.mark.faults
def test_a_frozen_centre_costs_nothing(scene, report):
    scene.start()

    with scene.frozen(scene.central):
        scene.pass_s(12)
    scene.wait_for_life(time.monotonic(), SILENT_S)

    report("the centre is frozen", "SIGSTOP for 12 s", alive_s=SILENT_S)


@pytest.mark.faults
def test_a_token_the_centre_does_not_know_keeps_everything_until_it_does(scene, report):
    scene.start()
    tokens = scene.home.path / "ingest-token"
    known = tokens.read_text()

    tokens.write_text("another-token-of-somebody-else\n")
    scene.central.send_signal(signal.SIGHUP)
    wait_until(lambda: "sync.refused" in scene.home.log())
    scene.pass_s(2)
    tokens.write_text(known)
    scene.central.send_signal(signal.SIGHUP)
    scene.wait_for_life(time.monotonic())

    report("the centre does not know the token (401)", "SIGHUP with another token")

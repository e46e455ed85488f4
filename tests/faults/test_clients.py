"""Clients that stall, idle, pour in and send rubbish: the others notice nothing."""

import contextlib
import resource
import socket
import time

import pytest
from faults.load import CANARY
from processes import room
from router.bad_requests import bad_paths, bad_requests, request

from linkrouter.link import Keyring

QUICK_S = 2.0  # no good client waits longer because of the others, on a busy machine


@contextlib.contextmanager
def many(port, count, first=b""):
    """Hold *count* connections open that have sent *first*."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(count)]
        for client in clients:
            client.sendall(first)
        yield clients


def slowest_since(scene, moment):
    return max(one.answered_at - one.sent_at for one in scene.load.requests[:] if one.sent_at > moment)


@pytest.mark.parametrize(
    ("count", "first", "what"),
    [
        (500, b"GET / HTTP/1.1\r\nHost: a\r\nX-", "never finish their request"),
        pytest.param(5000, b"", "are idle", marks=pytest.mark.faults),
        pytest.param(2000, b"GET / HTTP/1.1\r\nHost: a\r\nX-", "never finish their request", marks=pytest.mark.faults),
    ],
    ids=["500 slowloris", "5000 idle", "2000 slowloris"],
)
def test_clients_that_hold_connections_cost_the_others_nothing(scene, report, count, first, what):
    if count + 200 > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        pytest.skip("the limit of open files is too low for so many connections")
    scene.start()
    began_at = time.monotonic()

    with many(scene.port, count, first):
        scene.pass_s(2)
        for client_round in range(10):  # slowloris sends a byte now and then
            scene.pass_s(0.1 if client_round else 0.2)
    scene.wait_for_life(time.monotonic())

    report(f"{count} clients {what}", "raw sockets, for 3 s", count)
    assert slowest_since(scene, began_at) < QUICK_S * room()


@pytest.mark.faults
def test_clients_that_do_not_read_cost_the_others_nothing(scene, report):
    scene.start()
    pipelined = request("/2s/example.com/AQ/AA/no-such-link-at-a") * 400
    began_at = time.monotonic()

    with many(scene.port, 50) as clients:
        for client in clients:
            client.setblocking(False)
        sent = 0
        for _ in range(30):
            for client in clients:
                with contextlib.suppress(BlockingIOError):
                    sent += client.send(pipelined)
            scene.pass_s(0.1)
    scene.wait_for_life(time.monotonic())

    report("50 clients send and never read", f"{sent >> 20} MB of pipelined requests", 50)
    assert slowest_since(scene, began_at) < QUICK_S * room()


@pytest.mark.faults
def test_requests_that_are_wrong_in_every_way_cost_the_others_nothing(scene, report):
    scene.start()
    ring = Keyring.load(scene.home.path / "keys.json")
    rubbish = [request(path, f"User-Agent: {CANARY}") for _, path in bad_paths(ring)]
    rubbish += [raw for _, raw in bad_requests(ring) if ring.sign("https://a.example").encode()[:4] not in raw]

    for raw in rubbish:
        with socket.create_connection(("127.0.0.1", scene.port), 5) as client, contextlib.suppress(OSError):
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    scene.wait_for_life(time.monotonic())

    report("requests are wrong in every way", "raw sockets", len(rubbish))
    assert scene.metrics().get(("requests", "failed"), 0) == 0

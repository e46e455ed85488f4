"""Nothing but a genuine link redirects, nothing makes a 5xx, and nothing of a request is ever written anywhere."""

import json
import logging
import re
import socket

import pytest
from processes import HANG_S, fetch, free_port, room, wait_until
from router.bad_requests import MARK, bad_paths, bad_requests, request

from linkrouter.link import Keyring

CLOSE = "Connection: close"


async def test_every_wrong_path_gets_the_one_404(start_router):
    router = await start_router()
    answers = {}

    for why, path in bad_paths(router.ring):
        answer = await router.talk(request(path, CLOSE))
        answers.setdefault(re.sub(rb"\r\nDate: [^\r]+", b"", answer), []).append(why)

    assert len(answers) <= 2, {answer[:60]: whys[:3] for answer, whys in answers.items()}
    for answer, whys in answers.items():
        assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), whys
        assert b"Location" not in answer
    assert router.clicks == []


async def test_no_odd_request_gets_a_5xx_or_leads_elsewhere(start_router):
    router = await start_router()

    for why, raw in bad_requests(router.ring):
        answer = await router.talk(raw + request("/robots.txt", CLOSE))
        status = answer[:13]
        assert re.match(rb"HTTP/1.1 [234]", status) or answer == b"", why
        locations = set(re.findall(rb"\r\nLocation: ([^\r]+)", answer))
        assert locations <= {f"https://{MARK.lower()}.example/a".encode()}, why
        assert MARK.encode() not in answer, why


@pytest.mark.parametrize("direct", ["on", "off"])
def test_no_canary_is_written_anywhere(home, direct):
    ring = Keyring.load(home.path / "keys.json")
    port = free_port()
    process = home.start_router(port, "--direct-answers", direct)  # and no centre: sync has something to complain about
    headers = {"User-Agent": f"Agent {MARK}", "X-Forwarded-For": "198.51.100.77"}

    for _, path in bad_paths(ring):
        send(port, request(path, CLOSE, f"User-Agent: {MARK}"))
    for _, raw in bad_requests(ring):
        send(port, raw)
    good = ring.sign(f"https://example.com/{MARK}?{MARK}#{MARK}")
    assert fetch(f"http://127.0.0.1:{port}{good}?{MARK}", headers=headers)[0] == 302
    status = wait_until(lambda: spooled(home))
    assert status["pending"] > 0
    metrics = fetch(f"http://127.0.0.1:{process.admin_port}/metrics")[2].decode()
    process.terminate()
    assert process.wait(10 * room()) == 0

    written = home.log() + metrics + "".join(str(path) for path in home.path.rglob("*"))
    for secret in (MARK, MARK.lower(), "198.51.100.77", "example.com", good.rpartition("/")[2]):
        assert secret not in written
    for line in home.log().splitlines():
        json.loads(line)
    spool = b"".join(path.read_bytes() for path in (home.path / "spool").rglob("*") if path.is_file())
    assert b"example.com" not in spool  # routers store no link
    assert f"Agent {MARK}".encode() in spool  # and what they store is the click


def send(port, raw):
    """Send *raw* and read what comes; a router that hangs up is as good as an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as client:
        try:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        except OSError:
            pass


def spooled(home):
    status = json.loads(home.run("spool", "status", "sqlite:///spool", "--json").stdout)
    return status if status["pending"] else None


def test_what_libraries_log_keeps_none_of_its_text(capsys):
    import sys

    from linkrouter.log import log, start_logging

    root = logging.getLogger()
    before, level, hook = root.handlers[:], root.level, sys.excepthook
    try:
        start_logging(sys.stderr)
        try:
            int(MARK)
        except ValueError:
            logging.getLogger("aiohttp.server").exception("bad request %r", MARK)
        logging.getLogger("asyncio").error("Task exception was never retrieved: %s", MARK)
        log("task.failed", task=f"https://{MARK}/", number=3)
        sys.excepthook(ValueError, ValueError(MARK), None)
    finally:
        root.handlers[:], sys.excepthook = before, hook
        root.setLevel(level)
        logging.getLogger("linkrouter").setLevel(logging.NOTSET)
        logging.captureWarnings(False)

    written = capsys.readouterr().err
    assert MARK not in written
    lines = [json.loads(line) for line in written.splitlines()]
    assert lines[0]["exception"] == "ValueError"
    assert lines[0]["logger"] == "aiohttp.server"
    assert lines[2] | {"time": ""} == {
        "time": "",
        "level": "error",
        "event": "task.failed",
        "task": "?",
        "number": 3,
    }
    assert lines[3]["exception"] == "ValueError"

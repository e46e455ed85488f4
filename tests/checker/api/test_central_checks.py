"""The centre with checks, as a process: what it does at its end, without the extra, and what its log shows."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from processes import HANG_S, fetch, room, wait_until

CANARY = "canary7f3a"
WITHOUT_THE_EXTRA = """
import importlib.machinery, sys

class Without(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in ("aiodns", "h2", "publicsuffixlist", "rich", "sniffio"):
            return None
        return super().find_spec(name, path, target)

sys.meta_path[:] = [Without if one is importlib.machinery.PathFinder else one for one in sys.meta_path]
from linkrouter.cli import main
sys.argv[0] = "linkrouter"
main()
"""


@contextmanager
def hanging_site():
    """Serve a site that takes requests and does not answer until the end."""
    ending = threading.Event()

    class Hanging(BaseHTTPRequestHandler):
        def do_HEAD(self):
            ending.wait(20)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ending.set()
        server.shutdown()
        server.server_close()


def begin(home, body):
    token = (home.path / "api-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    origin = f"http://127.0.0.1:{home.central_port}"
    answer = fetch(f"{origin}/v1/checks", method="POST", headers=headers, body=json.dumps(body).encode())
    return origin, headers, answer


def test_a_centre_that_stops_ends_its_checks_and_tells_who_listens(home):
    process = home.start_central("--allow-network", "127.0.0.0/8")
    with hanging_site() as site:
        origin, headers, (_, answered, _) = begin(home, {"urls": ["#top", f"{site}/{CANARY}"]})
        request = urllib.request.Request(f"{origin}{answered['Location']}/events", headers=headers)
        with urllib.request.urlopen(request, timeout=HANG_S) as stream:
            while not stream.readline().startswith(b"data:"):
                pass
            process.send_signal(signal.SIGTERM)
            rest = stream.read().decode()
        code = process.wait(15 * room())

    assert code == 0
    end = json.loads(rest.partition("event: done\ndata: ")[2])
    assert (end["state"], end["may_send"]) == ("failed", False)
    assert CANARY not in home.log()


def test_the_log_of_a_check_names_no_link(home):
    home.start_central()
    for body in ({"urls": [f"http://{CANARY}.invalid/{CANARY}"]}, {"html": CANARY, "text": CANARY}, {CANARY: CANARY}):
        begin(home, body)
    fetch(f"http://127.0.0.1:{home.central_port}/check/{CANARY}")

    home.end()

    assert "central.stopped" in home.log()
    assert CANARY not in home.log()


def test_without_the_extra_the_centre_starts_and_says_what_is_missing(home):
    with open(home.path / "log", "ab") as log:
        arguments = ("--ingest-token-file", "ingest-token", "--api-token-file", "api-token")
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                WITHOUT_THE_EXTRA,
                "central",
                "--listen",
                f"127.0.0.1:{home.central_port}",
                "--admin-listen",
                "127.0.0.1:0",
                *arguments,
            ],
            cwd=home.path,
            stdout=log,
            stderr=log,
            env=os.environ | {"LINKROUTER_REPUTATION": "dbl"},
        )
    home.processes.append(process)
    wait_until(lambda: home.answers(home.central_port, "/-/ready"))

    origin, headers, (status, answered, body) = begin(home, {"urls": []})
    status_of_events, _, _ = fetch(f"{origin}/v1/checks/x/events", headers=headers)
    status_of_page, _, _ = fetch(f"{origin}/check")

    assert (status, status_of_events, status_of_page) == (501, 501, 200)
    assert answered["Content-Type"] == "application/problem+json"
    assert "linkrouter[check]" in json.loads(body)["detail"]
    assert not (home.path / "checks.db").exists()

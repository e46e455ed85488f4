"""Watching what was sent, on real processes: central, a router, a web server that changes its mind, and a real list."""

import contextlib
import http.server
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from checker.reputation.lists import rbldnsd
from processes import fetch, free_port, wait_until

from linkrouter.link import Keyring

HOUR_S = 0.1  # as long as an hour takes for the central that is started here
PROGRAM = """
import sys, uvloop
from linkrouter.log import start_logging
from linkrouter.processes.central import run_central
from linkrouter.settings import CentralSettings, read_settings
start_logging()
settings = read_settings(CentralSettings, dict(word.split("=", 1) for word in sys.argv[2:]))
uvloop.run(run_central(settings, hour_s=float(sys.argv[1])))
"""
CONTROLS = ["test.surbl.org :127.0.0.254:"]


class Site:
    """A web server that answers `status`, with `location`; `asked` has every path it was asked for."""

    def __init__(self, host="127.0.0.1"):
        self.status, self.location, self.asked = 200, "", []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(site.status)
                if site.location:
                    self.send_header("Location", site.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                site.asked.append(self.path)

            do_HEAD = do_GET  # noqa: N815 - the name that the standard library calls

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.origin = f"http://{host}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def start_watching(home, **settings):
    """Start a central whose hours are short, which may look at the loopback."""
    given = {
        "listen": f"127.0.0.1:{home.central_port}",
        "admin_listen": "127.0.0.1:0",
        "ingest_token_file": "ingest-token",
        "api_token_file": "api-token",
        "watch_days": "14",
        "watch_requests_per_hour": "36000",
        "allow_network": "127.0.0.0/8",
    } | settings
    words = [f"{name}={text}" for name, text in given.items()]
    with open(home.path / "log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(HOUR_S), *words], cwd=home.path, stdout=log, stderr=log
        )
    home.processes.append(process)
    wait_until(lambda: home.answers(home.central_port, "/-/ready"))
    return process


def send(home, *urls):
    """Tell central of a mail with *urls*; give their tracked links."""
    ring = Keyring.load(home.path / "keys.json")
    ids = [bytes(8) + bytes([number]) for number in range(len(urls))]
    paths = [ring.sign(url, link_id=link_id) for url, link_id in zip(urls, ids, strict=True)]
    links = [
        {"link_id": ring.open(path).link_id, "url": url, "part": "html", "position": number}
        for number, (path, url) in enumerate(zip(paths, urls, strict=True))
    ]
    sent_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    token = (home.path / "api-token").read_text()
    status, _, said = fetch(
        f"http://127.0.0.1:{home.central_port}/v1/messages",
        method="POST",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        body=json.dumps({"message_id": "mail-1", "sent_at": sent_at, "links": links}).encode(),
    )
    assert status == 200, said
    return paths


def events(home):
    return home.ask_central("/v1/watched/events")["events"]


def run_as_shown(home, command):
    """Run *command* in a shell, as somebody who copied it would."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], cwd=home.path, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_destination_that_starts_to_answer_404_makes_an_event_and_its_command_stops_the_link(home):
    with contextlib.closing(Site()) as site:
        url, sign_off = f"{site.origin}/it's?a=b&c=$(id)", f"{site.origin}/unsubscribe?u=1"
        one_time = f"{site.origin}/reset-password?u=1"
        central = start_watching(home)
        path, *_ = send(home, url, sign_off, one_time)
        wait_until(lambda: len(site.asked) > 1)  # HEAD and GET: it is fine
        site.status = 404
        [event] = wait_until(lambda: events(home), 30)
        [shown] = home.ask_central("/v1/watched")["links"]
        router_port = free_port()
        home.start_router(router_port, "--takebacks-interval-s", "0.2")
        before = fetch(f"http://127.0.0.1:{router_port}{path}")[0]
        run_as_shown(home, event["command"])
        wait_until(lambda: fetch(f"http://127.0.0.1:{router_port}{path}")[0] == 410, 30)
        site.status = 200
        wait_until(lambda: len(events(home)) == 2, 60)
        central.terminate()
        central.wait(20)

    assert (event["type"], event["url"], event["reason"], event["messages"]) == ("link.broken", url, "not found", 1)
    assert (shown["state"], shown["command"], before) == ("broken", event["command"], 302)
    assert shlex.split(event["command"])[5:7] == ["--url", url]
    assert {re.split("[?]", asked)[0] for asked in site.asked} == {"/it's"}
    assert site.origin not in home.log()
    assert "it's" not in home.log()
    assert (home.path / "keys.json").read_text() not in home.log()


def test_a_hijacked_destination_on_a_list_is_stopped_where_that_was_allowed(home):
    lists = rbldnsd(multi_surbl_test=[*CONTROLS, "2.0.0.127 :127.0.0.8:"])
    with contextlib.closing(Site()) as site, contextlib.closing(Site("127.0.0.2")) as thief, lists as (host, port):
        start_watching(
            home,
            reputation="surbl",
            dns_server=f"{host}:{port}",
            surbl_zone="multi.surbl.test",
            takeback_keys="keys.json",
        )
        hijacked, other = send(home, f"{site.origin}/offer", f"{thief.origin}/another")
        router_port = free_port()
        home.start_router(router_port, "--takebacks-interval-s", "0.2")
        wait_until(lambda: len(site.asked) > 1 and thief.asked)
        assert fetch(f"http://127.0.0.1:{router_port}{hijacked}")[0] == 302
        site.status, site.location = 302, f"{thief.origin}/phish"
        wait_until(lambda: fetch(f"http://127.0.0.1:{router_port}{hijacked}")[0] == 410, 60)
        [event] = wait_until(lambda: [one for one in events(home) if one["stopped_by"]], 10)
        status = home.ask_central("/v1/take-backs/status")
        untouched = fetch(f"http://127.0.0.1:{router_port}{other}")[0]

    [rule] = status["rules"]
    assert (event["type"], event["url"], event["reason"]) == ("link.flagged", f"{site.origin}/offer", "listed")
    assert (rule["rule"]["id"], rule["rule"]["action"], rule["added_by"]) == (event["id"], "stop", "central")
    assert rule["rule"]["match"].startswith("destination:")
    assert untouched == 302  # it was never fine, so it has not changed
    assert site.origin not in home.log()
    assert thief.origin not in home.log()


def test_what_was_seen_outlives_kills_and_makes_one_event(home):
    with contextlib.closing(Site()) as site:
        central = start_watching(home)
        send(home, f"{site.origin}/page")
        wait_until(lambda: len(site.asked) > 1)  # HEAD and GET: it is fine
        site.status = 410
        for _ in range(3):
            seen = len(site.asked)
            wait_until(lambda seen=seen: len(site.asked) > seen or events(home), 60)
            central.send_signal(signal.SIGKILL)
            central.wait()
            central = start_watching(home)
        wait_until(lambda: events(home), 60)
        seen = len(site.asked)
        wait_until(lambda: len(site.asked) > seen, 60)

        assert [event["type"] for event in events(home)] == ["link.broken"]


def test_nothing_is_looked_at_when_watching_is_off(home):
    with contextlib.closing(Site()) as site:
        start_watching(home, watch_days="0")
        send(home, f"{site.origin}/page")
        wait_until(lambda: home.ask_central("/v1/watched") == {"days": 0, "watched": 0, "due": 0, "links": []})

        assert site.asked == []


def test_a_keyring_that_cannot_sign_is_one_line_with_the_cure(home):
    started = home.run(
        *("central", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--ingest-token-file", "ingest-token"),
        *("--api-token-file", "api-token", "--takeback-keys", "none.json"),
        check=False,
    )

    assert started.returncode in (2, 3)
    assert started.stderr.count(b"\n") == 1
    assert b"none.json" in started.stderr

"""Central is killed while it delivers: no event is lost, and what comes twice has its own id."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from processes import fetch, wait_until

KILLS, CLICKS, BATCH = 4, 2000, 500


class Notes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.headers["webhook-id"], body["data"]["id"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Notes)
    server.daemon_threads = True
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def post(home, path, body, token):
    headers = {"Authorization": f"Bearer {(home.path / token).read_text().strip()}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{home.central_port}{path}"
    status, _, answer = fetch(url, method="POST", headers=headers, body=json.dumps(body).encode(), timeout=30)
    assert status in (200, 201), answer
    return json.loads(answer)


@pytest.mark.slow
def test_a_central_that_is_killed_while_it_delivers_loses_no_event(home, receiver, click):
    options = ("--allow-network", "127.0.0.0/8", "--settle-s", "0.1")
    central = home.start_central(*options)
    url = f"http://127.0.0.1:{receiver.server_address[1]}/hook"
    settled = post(home, "/v1/webhooks", {"url": url, "filters": {"robots": "include"}}, "api-token")
    ids = [f"click-{number}" for number in range(CLICKS)]
    for first in range(0, CLICKS, BATCH):
        clicks = [click(one) for one in ids[first : first + BATCH]]
        post(home, "/v1/clicks", {"router": "r", "clicks": clicks}, "ingest-token")

    for kill in range(KILLS):
        wait_until(lambda goal=(kill + 1) * CLICKS // (KILLS + 2): len(receiver.seen) >= goal, 60)
        central.kill()
        central.wait()
        central = home.start_central(*options)

    wait_until(lambda: len({one for one, _ in receiver.seen}) == CLICKS, 60)
    wait_until(lambda: not home.ask_central(f"/v1/webhooks/{settled['id']}/deliveries?state=pending")["deliveries"])
    assert all(header == clicked for header, clicked in receiver.seen)
    assert {clicked for _, clicked in receiver.seen} == set(ids)
    assert max(Counter(clicked for _, clicked in receiver.seen).values()) <= KILLS + 1

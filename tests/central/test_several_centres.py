"""Two centres over one PostgreSQL: real processes, of which one leads until it is killed."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from central.labelled import ask_all, assert_figures_are_the_sum_of_labels
from processes import fetch, free_port, wait_until

from linkrouter.central.store.opening import open_central_store
from linkrouter.link.codec import encode_base64url, varint

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"


class Pair:
    """Two centres, which settle clicks at once."""

    def __init__(self, home, url):
        self.home, self.url = home, url
        self.ports, self.admins = [free_port(), free_port()], [free_port(), free_port()]
        self.front = free_port()  # where HAProxy stands before both
        self.processes = [None, None]

    def start(self, number):
        self.processes[number] = self.home.start_central(
            *("--database", self.url, "--settle-s", "0.1", "--listen", f"127.0.0.1:{self.ports[number]}"),
            *("--admin-listen", f"127.0.0.1:{self.admins[number]}"),
            wait=False,
        )
        wait_until(lambda: self.home.answers(self.ports[number], "/-/ready"), 30)

    def leads(self, number):
        _, _, body = fetch(f"http://127.0.0.1:{self.admins[number]}/metrics")
        return b"\nlinkrouter_central_leads 1" in body

    def post(self, number, path, body, token):
        headers = {"Authorization": f"Bearer {self.token(token)}", "Content-Type": "application/json"}
        address = f"http://127.0.0.1:{self.front if number is None else self.ports[number]}{path}"
        status, _, answer = fetch(address, method="POST", headers=headers, body=json.dumps(body).encode(), timeout=60)
        assert status == 200, answer
        return json.loads(answer)

    def ask(self, number, path):
        headers = {"Authorization": f"Bearer {self.token('api-token')}"}
        _, _, answer = fetch(f"http://127.0.0.1:{self.ports[number]}{path}", headers=headers, timeout=60)
        return json.loads(answer)

    def token(self, name):
        return (self.home.path / name).read_text().strip()


@pytest.fixture
def pair(home, postgres_url):
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("haproxy is not installed; run: apt-get install haproxy")
    made = Pair(home, postgres_url)
    for number in (0, 1):
        made.start(number)
    text = (Path(__file__).parents[2] / "haproxy/centres.cfg").read_text()
    ours = {'":443,:::443"': f'"127.0.0.1:{made.front}"', ' ssl crt "${CERTIFICATE}" alpn h2,http/1.1': ""}
    ours |= {f"10.0.0.{number}:8090": f"127.0.0.1:{port}" for number, port in enumerate(made.ports, 1)}
    for theirs, our in ours.items():
        assert theirs in text
        text = text.replace(theirs, our)
    file = home.path / "centres.cfg"
    file.write_text(text)
    front = subprocess.Popen([program, "-q", "-f", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield made
    front.kill()
    front.wait()


def batch(number, size=100):
    """Give a batch that shares half of its clicks with the next."""
    first = number * size // 2
    return [
        {
            "id": f"click-{n}",
            "link_id": encode_base64url((n % 97).to_bytes(8, "big") + varint(n % 5)),
            "tenant": 0,
            "part": "html",
            "clicked_at": f"2026-11-21T17:{n // 60 % 60:02}:{n % 60:02}Z",
            "ip": f"203.0.113.{n % 250}",
            "user_agent": CHROME,
            "kind": "click",
        }
        for n in range(first, first + size)
    ]


def mail(number):
    ids = [encode_base64url(number.to_bytes(8, "big") + varint(n)) for n in range(5)]
    links = [
        {"link_id": i, "url": f"https://example.com/{n}", "part": "html", "position": n} for n, i in enumerate(ids)
    ]
    return {"message_id": f"m{number}@example.com", "sent_at": "2026-11-21T17:00:00Z", "links": links}


def is_labelled(pair, number, count):
    told = pair.ask(number, "/v1/stats/clicks?robots=include")
    return told["total"] == count and not told["unsettled"]


async def check_figures(url, count):
    store = open_central_store(url)
    await store.open()
    try:
        await assert_figures_are_the_sum_of_labels(store)
        kept = await ask_all(store, "SELECT count(*) FROM clicks", "SELECT count(*) FROM labels")
        assert kept == [[(count,)], [(count,)]]
    finally:
        await store.close()


def test_two_centres_take_the_same_batches_and_one_follows_the_other(pair):
    bodies = [("/v1/clicks", {"router": "ams", "clicks": batch(n)}, "ingest-token") for n in range(30)]
    bodies += [("/v1/messages", mail(n), "api-token") for n in range(60)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda body: [pair.post(number, *body) for number in (1, 0)], bodies * 2))

    count = 31 * 50
    stored = [answer["stored"] for answered in answers for answer in answered]
    assert sum(stored) == count + 60
    leader = wait_until(lambda: next((n + 1 for n in (0, 1) if pair.leads(n)), 0), 30) - 1
    assert not pair.leads(1 - leader)
    wait_until(lambda: is_labelled(pair, 1 - leader, count), 60)

    # Whoever listens at the other centre hears what the leader labels, and then what it labels itself.
    token = pair.token("api-token")
    address = f"http://127.0.0.1:{pair.ports[1 - leader]}/v1/clicks/live"
    asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=60) as stream:
        assert stream.readline().startswith(b":")
        pair.post(leader, "/v1/clicks", {"router": "ams", "clicks": batch(2000, 3)}, "ingest-token")
        heard = {heard_next(stream) for _ in range(3)}
        pair.processes[leader].send_signal(signal.SIGKILL)
        pair.processes[leader].wait()
        pair.post(None, "/v1/clicks", {"router": "ams", "clicks": batch(2000, 3)}, "ingest-token")  # HAProxy goes on
        pair.post(1 - leader, "/v1/clicks", {"router": "ams", "clicks": batch(3000, 3)}, "ingest-token")
        heard |= {heard_next(stream) for _ in range(3)}

    assert pair.leads(1 - leader)
    assert heard == {one["id"] for one in batch(2000, 3) + batch(3000, 3)}
    pair.start(leader)
    assert not pair.leads(leader)
    pair.processes[1 - leader].terminate()
    assert pair.processes[1 - leader].wait(15) == 0
    wait_until(lambda: pair.leads(leader), 30)
    asyncio.run(check_figures(pair.url, count + 6))


def heard_next(stream):
    """Give the id of the next click of a live stream."""
    while True:
        line = stream.readline()
        if line.startswith(b"data:"):
            return json.loads(line[5:])["id"]

"""Central killed at random points, while it stores, labels and labels again: figures stay a sum over labels."""

import asyncio
import json
import random
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from central.labelled import ask_all, assert_figures_are_the_sum_of_labels
from processes import COMMAND, wait_until

from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.link.codec import encode_base64url, varint

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "curl/8.0",
)
LINKS = 5


class Routers:
    """Sends clicks and manifests again until central has taken them, as routers and senders do."""

    def __init__(self, home, seed: int) -> None:
        self._home, self._random = home, random.Random(seed)
        self.taken: set[str] = set()
        self.refused: set[int] = set()  # statuses
        self._messages = 0
        self._posts: list[tuple[str, str, dict]] = []  # path, token file, body

    def make(self, mails: int) -> None:
        """Make up *mails* and their clicks, to be posted in any order."""
        clicks = []
        for number in range(self._messages, self._messages + mails):
            key = number.to_bytes(8, "big")
            ids = [encode_base64url(key + varint(position)) for position in range(LINKS)]
            links = [
                {"link_id": link_id, "url": f"https://example.com/{n}", "part": "html", "position": n}
                for n, link_id in enumerate(ids)
            ]
            sent = {
                "message_id": f"m{number}",
                "sent_at": "2026-11-21T12:00:00Z",
                "tag": f"t{number % 3}",
                "links": links,
            }
            self._posts.append(("/v1/messages", "api-token", sent))
            clicked = ids if self._random.random() < 0.2 else self._random.sample(ids, self._random.randint(0, 3))
            agent, minute = self._random.choice(AGENTS), self._random.randrange(60)
            for n, link_id in enumerate(clicked):
                at = f"2026-11-21T{self._random.randrange(12, 24)}:{minute:02}:{n:02}Z"
                clicks.append(
                    {
                        "id": f"{number}-{n}",
                        "link_id": link_id,
                        "tenant": 0,
                        "part": "html",
                        "clicked_at": at,
                        "ip": f"203.0.113.{number % 250}",
                        "user_agent": agent,
                        "kind": "click",
                    }
                )
        self._messages += mails
        for first in range(0, len(clicks), 40):
            self._posts.append(("/v1/clicks", "ingest-token", {"router": "r", "clicks": clicks[first : first + 40]}))
        self._random.shuffle(self._posts)

    def post_some(self, until: float) -> None:
        """Post until the time *until*, or until nothing is left; what is not answered with 200 stays."""
        while self._posts and time.monotonic() < until:
            path, token_file, body = self._posts[-1]
            if not self._post(path, token_file, body):
                return
            self._posts.pop()
            self.taken |= {click["id"] for click in body.get("clicks", ())}

    def _post(self, path: str, token_file: str, body: dict) -> bool:
        token = (self._home.path / token_file).read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._home.central_port}{path}"
        try:
            request = urllib.request.Request(url, json.dumps(body).encode(), headers)
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as exc:
            self.refused.add(exc.code)
            return False
        except OSError:
            return False


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.faults)])
def test_figures_are_the_sum_of_labels_after_central_was_killed(home, kills):
    chance, routers = random.Random(kills), Routers(home, seed=kills)
    for kill in range(kills):
        central = home.start_central("--settle-s", "0.1")
        routers.make(60)
        relabelling = relabel(home) if kill % 2 else None
        routers.post_some(time.monotonic() + chance.uniform(0.02, 1.2))
        time.sleep(chance.uniform(0, 0.4))
        for process in (central, relabelling):
            if process is not None:
                process.kill()
                process.wait()

    central = home.start_central("--settle-s", "0.1")
    routers.post_some(time.monotonic() + 60)
    count = len(routers.taken)
    wait_until(lambda: is_labelled(home, count), 60)
    assert relabel(home).wait(120) == 0
    central.terminate()
    assert central.wait(15) == 0

    assert count > kills * 40
    assert routers.refused <= {503}
    asyncio.run(check(home.path / "central.db", routers.taken))


def relabel(home):
    return subprocess.Popen(
        [*COMMAND, "central", "relabel"], cwd=home.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def is_labelled(home, count):
    stats = home.ask_central("/v1/stats/clicks?robots=include")
    return stats["total"] == count and not stats["unsettled"]


async def check(database, taken):
    store = SqliteCentralStore(database)
    await store.open()
    try:
        await assert_figures_are_the_sum_of_labels(store)
        ids, [(labels,)] = await ask_all(store, "SELECT id FROM clicks", "SELECT count(*) FROM labels")
        assert ({click_id for (click_id,) in ids}, labels) == (taken, len(taken))
    finally:
        await store.close()

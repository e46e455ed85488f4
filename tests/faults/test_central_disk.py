"""A full disk under the centre: it says so, routers keep what it does not take, and all is well when there is room."""

import json
import random
import time
from datetime import UTC, datetime

from faults.disk import fill, small_disk
from processes import fetch, free_port, wait_until

CLICKS = 40


def post(home, first, user_agent):
    token = (home.path / "ingest-token").read_text()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    common = {"link_id": "-----w", "tenant": 0, "part": "html", "clicked_at": now, "ip": None, "kind": "click"}
    clicks = [common | {"id": f"id-{first + n:06}", "user_agent": user_agent} for n in range(500)]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{home.central_port}/v1/clicks"
    body = json.dumps({"router": "ams", "clicks": clicks}).encode()
    return fetch(url, method="POST", headers=headers, body=body, timeout=30)


def test_a_full_disk_at_the_centre_is_507_and_drains_by_itself(home):
    with small_disk(home.path / "small", "size=6m") as disk:
        home.start_central("--database", f"sqlite:///{disk}/central.db")
        filler = fill(disk, leave_bytes=1_000_000)
        taken = 0
        while (answer := post(home, taken, "x" * 200 + str(random.random())))[0] == 200:
            taken += 500
        status, headers, body = answer
        assert (status, json.loads(body)["title"]) == (507, "Insufficient Storage")
        assert headers["Retry-After"]
        port = free_port()
        router = home.start_router(port)
        path = home.run("keys", "canary", "keys.json", "localhost").stdout.decode().split()[0]
        for _ in range(CLICKS):
            assert fetch(f"http://127.0.0.1:{port}{path.removeprefix('https://localhost')}")[0] == 302
        wait_until(lambda: b'linkrouter_sync_batches_total{result="failed"} 0.0' not in metrics(router), 30)
        assert home.ask_central("/v1/clicks?limit=1")["clicks"]  # questions go on

        filler.unlink()

        def stored():
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(0))
            return home.ask_central(f"/v1/stats/clicks?robots=include&since={since}")["total"]

        wait_until(lambda: stored() == taken + CLICKS, 90)


def metrics(router):
    return fetch(f"http://127.0.0.1:{router.admin_port}/metrics")[2]

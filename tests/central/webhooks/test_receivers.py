"""What others made for such events takes ours: Standard Webhooks' libraries, and the views of django-anymail."""

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from central.webhooks.conftest import BROWSER, person, until
from processes import HANG_S, free_port

RECEIVERS = Path(__file__).with_name("receivers")
NODE_CLIENTS = Path(os.environ.get("LINKROUTER_NODE_CLIENTS", Path(__file__).parents[3] / "build" / "clients"))


def verified_in_python(cases):
    try:
        from standardwebhooks import Webhook, WebhookVerificationError
    except ImportError:
        pytest.skip("standardwebhooks is not installed; 'make clients' installs it")

    def is_verified(secret, headers, body):
        try:
            Webhook(secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    return [is_verified(*case) for case in cases]


def verified_in_node(cases):
    if not shutil.which("node") or not (NODE_CLIENTS / "node_modules" / "standardwebhooks").is_dir():
        pytest.skip("npm's standardwebhooks is not in build/clients; 'make clients' installs it")
    lines = "".join(json.dumps([secret, headers, body.decode()]) + "\n" for secret, headers, body in cases)
    done = subprocess.run(
        ["node", RECEIVERS / "verify.mjs"], input=lines, capture_output=True, text=True, timeout=60,
        env={**os.environ, "CLIENTS": str(NODE_CLIENTS)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line == "true" for line in done.stdout.split()]


@pytest.mark.slow
@pytest.mark.parametrize("verified", [verified_in_python, verified_in_node], ids=["PyPI", "npm"])
async def test_a_library_of_the_standard_verifies_also_after_a_rotation(sending, receive, click, verified):
    receiver = await receive()
    endpoint = await sending.add(receiver.url)
    await sending.take(person(click, 1))
    await until(lambda: receiver.requests)
    rotated = await sending.post(endpoint, "rotate-secret")
    await sending.take(person(click, 2))
    await until(lambda: len(receiver.requests) == 2)
    before, after = receiver.requests
    other = "whsec_" + "A" * 43 + "="

    found = verified(
        [
            (endpoint["secret"], *before),
            (rotated["secret"], *before),
            (endpoint["secret"], *after),
            (rotated["secret"], *after),
            (other, *after),
            (rotated["secret"], after[0], after[1] + b" "),
        ]
    )

    assert found == [True, False, True, True, False, False]


class Site:
    """A Django site in a process of its own."""

    def __init__(self, port, key):
        self.process = subprocess.Popen(
            [sys.executable, RECEIVERS / "anymail_site.py", str(port), key], stdout=subprocess.PIPE, text=True
        )

    async def event(self):
        async with asyncio.timeout(HANG_S):
            return json.loads(await asyncio.to_thread(self.process.stdout.readline))

    def end(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("anymail") is None, reason="django-anymail is not installed; 'make clients' installs it"
)
@pytest.mark.parametrize("dialect", ["postmark", "mailgun"])
async def test_anymails_view_takes_a_click(sending, click, message, dialect):
    port = free_port()
    url = f"http://reader:password@127.0.0.1:{port}/anymail/{dialect}/tracking/"
    endpoint = await sending.add(url, dialect=dialect)
    await sending.api.post("/v1/messages", json=message())
    site = Site(port, endpoint["secret"])
    try:
        await sending.take(person(click, 1), click("counted", ip=None, user_agent=None))

        event = await site.event()  # what came before the site did is sent again

        assert event["esp"].lower() == dialect
        assert event["event_type"] == "clicked"
        assert (event["recipient"], event["message_id"].strip("<>")) == ("reader@example.net", "mail-1@example.com")
        assert (event["user_agent"], event["click_url"]) == (BROWSER, "https://example.com/-----w")
        assert (event["tags"], event["metadata"]) == (["november"], {"issue": "47"})
        assert event["timestamp"].startswith("2026-11-21 17:33:38")

        async def all_of_them():
            return await sending.deliveries(endpoint, state="delivered")

        [delivery] = await until(all_of_them)
        assert (delivery["event_id"], delivery["status"]) == ("click-1", 200)
        await sending.post(endpoint, "replay", {"ids": ["click-1"]})
        again = await site.event()
        assert again == event  # the id as well, where the dialect has one
        assert (event["event_id"] is None) == (dialect == "postmark")
    finally:
        site.end()

"""A mailing of 1,000 recipients, a fifth of them behind gateways: what central and Postmark's clients say."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest
from central.mailing import Sender
from processes import fetch, free_port, make_home, wait_until

from linkrouter import Keyring

CLIENTS = Path(__file__).with_name("clients")
NODE_CLIENTS = Path(os.environ.get("LINKROUTER_NODE_CLIENTS", Path(__file__).parents[2] / "build" / "clients"))


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """Give what a mailing came to, and the home where central knows of it."""
    home = make_home(tmp_path_factory.mktemp("mailing"))
    try:
        port = free_port()
        home.start_central("--settle-s", "2")
        home.start_router(port)
        mailing = asyncio.run(send(home, port))
        token = (home.path / "api-token").read_text().strip()
        for entry in mailing.manifests:
            done = fetch(
                f"http://127.0.0.1:{home.central_port}/v1/messages",
                method="POST",
                body=json.dumps(entry).encode(),
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
            assert done[0] == 200
        wait_until(lambda: is_settled(home, mailing.people + mailing.reasons.total()), 60)
        yield home, mailing, token
    finally:
        home.end()


async def send(home, port):
    async with aiohttp.ClientSession() as session:
        sender = Sender(Keyring.load(home.path / "keys.json"), f"http://127.0.0.1:{port}", session, seed=1)
        await sender.send()
    return sender.mailing


def is_settled(home, clicks):
    stats = home.ask_central("/v1/stats/clicks?robots=include&tag=offers")
    return stats["total"] == clicks and not stats["unsettled"]


def near(figure):
    return pytest.approx(figure, rel=0.02)


@pytest.mark.slow
def test_people_and_machines_are_told_apart_reason_by_reason(sent):
    home, mailing, _ = sent

    stats = home.ask_central("/v1/stats/clicks?tag=offers")

    assert stats["total"] == near(mailing.people)
    assert stats["unique"] == near(mailing.unique)
    assert Counter(stats["robots"]["by_reason"]) == {reason: near(count) for reason, count in mailing.reasons.items()}
    assert stats["by_part"] == {"html": near(mailing.locations["HTML"]), "text": near(mailing.locations["Text"])}
    rows = home.ask_central("/v1/stats/clicks/by/browser?tag=offers")["rows"]
    assert {row["value"]: row["clicks"] for row in rows if row["clicks"]} == {
        name: near(count) for name, count in mailing.families.items()
    }


def check(answer, mailing):
    """Compare what a client printed with what the generator knows."""
    assert answer["refused"] is True
    assert answer["sent"] == len(mailing.manifests)
    for name in ("clicks", "total"):
        assert answer[name] == near(mailing.people)
    assert answer["unique"] == near(mailing.unique)
    for name, known in (
        ("families", mailing.families),
        ("platforms", mailing.platforms),
        ("locations", mailing.locations),
    ):
        assert answer[name] == {value: near(count) for value, count in known.items()}, name
    if "list" in answer:
        assert answer["list"] == near(mailing.people)
        [(_, clicks)] = mailing.by_message.most_common(1)
        assert answer["one"] == clicks


def ask(command, **environ):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("client", ["npm", "postmarker", "postmark-python", "ruby"])
def test_an_unmodified_client_of_postmark_prints_the_figures(sent, client):
    home, mailing, token = sent
    address = f"127.0.0.1:{home.central_port}"
    [(message_id, _)] = mailing.by_message.most_common(1)
    rest = (token, "offers", message_id)
    if client == "npm":
        if not (NODE_CLIENTS / "node_modules" / "postmark").is_dir() or not shutil.which("node"):
            pytest.skip("npm's postmark is not in build/clients; 'make clients' installs it")
        answer = ask(["node", CLIENTS / "ask.mjs", address, *rest], CLIENTS=str(NODE_CLIENTS))
    elif client == "ruby":
        if (
            not shutil.which("ruby")
            or subprocess.run(["ruby", "-e", "require 'postmark'"], capture_output=True).returncode
        ):
            pytest.skip("ruby-postmark is not installed")
        answer = ask(["ruby", CLIENTS / "ask.rb", "127.0.0.1", str(home.central_port), *rest])
        answer["families"] = {name.title(): count for name, count in answer["families"].items()}
    else:
        if not find_spec("postmarker" if client == "postmarker" else "postmark"):
            pytest.skip(f"{client} is not installed; the extra 'clients' has it")
        answer = ask([sys.executable, CLIENTS / f"ask_{client.replace('-', '_')}.py", address, *rest])

    check(answer, mailing)

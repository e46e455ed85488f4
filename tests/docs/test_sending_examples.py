"""The examples that track links from other languages, against a real encoder service and a real relay."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import fetch, free_port, wait_until

pytest.importorskip("aiosmtpd", reason="the extra smtp is not installed")

from aiosmtpd.controller import Controller

from linkrouter import Keyring

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NODE_CLIENTS = Path(os.environ.get("LINKROUTER_NODE_CLIENTS", Path(__file__).parents[2] / "build" / "clients"))
URL = "https://example.org/seeds/"
HTML = f"<p>Grüße: <a href='{URL}'>Seeds</a>\n</p>\n"
COMMANDS = {
    "curl": (["sh", EXAMPLES / "rewrite.sh"], ["curl", "jq"]),
    "php": (["php", EXAMPLES / "rewrite.php"], ["php"]),
    "ruby": (["ruby", EXAMPLES / "rewrite.rb"], ["ruby"]),
}


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def tracked_in(home, text):
    [path] = re.findall(r"https://click\.example\.com(/2s/[^'\"\s]+)", text)
    return Keyring.load(home.path / "keys.json").verify(path).destination


@pytest.fixture
def mail(home):
    path = home.path / "mail.html"
    path.write_text(HTML, encoding="utf-8")
    return path


@pytest.mark.parametrize("language", COMMANDS)
def test_a_page_is_tracked_over_http(home, mail, language):
    command, programs = COMMANDS[language]
    need(*programs)
    port = free_port()
    home.run("tokens", "add", "sender-token", "--scopes", "messages:write")
    home.start(
        *("encoder", "--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0", "--keys", "keys.json"),
        *("--base-url", "https://click.example.com", "--token-file", "sender-token"),
    )
    wait_until(lambda: fetch(f"http://127.0.0.1:{port}/-/ready")[0] == 200)
    env = os.environ | {"ENCODER": f"http://127.0.0.1:{port}", "TOKEN_FILE": str(home.path / "sender-token")}

    done = subprocess.run([*command, mail], capture_output=True, timeout=60, env=env)

    assert done.returncode == 0, done.stderr
    page = done.stdout.decode("utf-8")
    assert tracked_in(home, page) == URL
    assert re.sub(r"https://click[^']+", URL, page) == HTML
    assert [link["url"] for link in json.loads(done.stderr)["links"]] == [URL]
    assert URL not in home.log()


def test_nodemailer_sends_through_the_relay(home, mail):
    need("node")
    if not (NODE_CLIENTS / "node_modules" / "nodemailer").is_dir():
        pytest.skip("nodemailer is not in build/clients; 'make clients' installs it")

    class Mailbox:
        mails: list = []  # noqa: RUF012 – of this test alone

        async def handle_DATA(self, server, session, envelope):
            self.mails.append(envelope.original_content.decode())
            return "250 2.0.0 taken"

    next_hop = Controller(Mailbox(), hostname="127.0.0.1", port=free_port())
    next_hop.start()
    port = free_port()
    home.start_central()
    home.start(
        *("relay", "--listen", f"127.0.0.1:{port}", "--next-hop", f"127.0.0.1:{next_hop.port}"),
        *("--keys", "keys.json", "--base-url", "https://click.example.com", "--admin-listen", "127.0.0.1:0"),
        *("--central-url", f"http://127.0.0.1:{home.central_port}", "--central-token-file", "api-token"),
    )
    wait_until(lambda: '"relay.started"' in home.log())

    send = ["node", EXAMPLES / "send.mjs", f"127.0.0.1:{port}", "a@example.com", "b@example.org", mail]
    done = subprocess.run(send, capture_output=True, timeout=60, cwd=NODE_CLIENTS)
    next_hop.stop()

    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().strip() == "250 2.0.0 taken"
    [content] = Mailbox.mails
    assert "X-PM-" not in content
    assert re.search(r"https://click\.example\.com/2s/", content.replace("=\r\n", ""))
    [message] = wait_until(lambda: home.ask_central("/v1/messages")["messages"])
    assert (message["recipient"], message["tag"]) == ("b@example.org", "welcome")
    assert message["metadata"] == {"order": "1234"}

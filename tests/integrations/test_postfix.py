"""The relay behind Debian's real Postfix, as content filter before OpenDKIM and as smarthost (docs/relay.md)."""

import re
import shutil
import signal
import smtplib
import ssl
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("aiosmtpd", reason="the extra smtp is not installed")
pytest.importorskip("aiosmtplib", reason="the extra smtp is not installed")

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from integrations.postfix import Dkim, Postfix, missing
from processes import HANG_S, free_port, make_home, wait_until

from linkrouter import Keyring

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=str(missing()))]

BASE_URL = "https://click.example.com"


def link_in(keyring, content):
    """Give the one tracked link of a mail, verified."""
    [path] = re.findall(rb"https://click\.example\.com(/2s/[^'\"\s]+)", content)
    return keyring.verify(path.decode())


class Mailbox:
    """Where all mail ends."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos[0], envelope.original_content))
        return "250 2.0.0 ok"


class Scene:
    """Postfix with a queue, the relay as its filter, Postfix with OpenDKIM as next hop, central, and a mailbox."""

    def __init__(self, folder):
        self.home, self.mailbox, self.port = make_home(folder), Mailbox(), free_port()
        self.controller = Controller(self.mailbox, hostname="127.0.0.1", port=free_port(), data_size_limit=None)
        self.controller.start()
        self.dkim = Dkim(folder / "dkim")
        milter = f"inet:127.0.0.1:{self.dkim.port}"
        self.hop = Postfix(folder / "hop", f"[127.0.0.1]:{self.controller.port}", milter=milter)
        self.postfix = Postfix(folder / "queue", "", content_filter=f"linkrouter:[127.0.0.1]:{self.port}")
        self.hop.start()
        self.postfix.start()
        self.central = self.home.start_central()
        self.relay = self.start_relay()
        self.keyring = Keyring.load(folder / "keys.json")

    def start_relay(self):
        self.relay = self.home.start(
            *("relay", "--listen", f"127.0.0.1:{self.port}", "--next-hop", f"127.0.0.1:{self.hop.port}"),
            *("--keys", "keys.json", "--base-url", BASE_URL, "--admin-listen", "127.0.0.1:0", "--next-hop-tls", "off"),
            *("--central-url", f"http://127.0.0.1:{self.home.central_port}", "--central-token-file", "api-token"),
        )
        return self.relay

    def send(self, first, count, *recipients):
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=HANG_S) as client:
            for number in range(first, first + count):
                text = f"From: a@example.com\r\nSubject: {number}\r\nMessage-ID: <{number}@example.com>\r\n"
                text += f"Content-Type: text/html\r\n\r\n<a href='https://example.org/{number}'>f=C3=BCr</a>\r\n.\r\n"
                client.sendmail("a@example.com", recipients or [f"r{number}@example.org"], text.encode())

    def link_in(self, content):
        return link_in(self.keyring, content)

    def was_lost_by_next_hop(self, recipient):
        """Whether the next hop died after it took this mail and before it said so, which nobody can tell."""
        return re.search(rf"to=<{recipient}>.*451 4\.4\.2 ", self.postfix.log())

    def central_knows(self):
        return self.home.ask_central("/v1/messages?limit=1000")["messages"]

    def end(self):
        self.postfix.kill()
        self.hop.kill()
        self.home.end()
        self.dkim.end()
        self.controller.stop()


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(prefix="linkrouter-mail-"))  # Postfix must get through all folders above
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def scene(folder):
    if not shutil.which("opendkim-genkey"):
        pytest.skip("opendkim-tools is not installed")
    made = Scene(folder)
    yield made
    made.end()


def test_every_recipient_gets_a_mail_with_links_of_its_own_and_a_good_signature(scene):
    scene.send(0, 1, "b@example.org", "c@example.org")

    wait_until(lambda: len(scene.mailbox.mails) == 2, 40)
    links = {recipient: scene.link_in(content) for recipient, content in scene.mailbox.mails}
    wait_until(lambda: len(scene.central_knows()) == 2)
    assert {link.destination for link in links.values()} == {"https://example.org/0"}
    assert len({link.link_id for link in links.values()}) == 2
    contents = [content for _, content in scene.mailbox.mails]
    assert scene.dkim.verified(contents) == 2
    assert scene.dkim.verified([content.replace(b"/2s/", b"/2t/") for content in contents]) == 0
    assert {message["recipient"] for message in scene.central_knows()} == {"b@example.org", "c@example.org"}


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.faults)])
def test_nothing_is_lost_or_doubled_while_relay_next_hop_and_central_are_killed(scene, count):
    def sent(share):
        wait_until(lambda: len(scene.mailbox.mails) >= count * share, 60)

    scene.send(0, count // 3)
    sent(0.1)
    scene.relay.kill()
    scene.relay.wait()
    scene.send(count // 3, count // 3)
    scene.start_relay()
    sent(0.4)
    scene.central.send_signal(signal.SIGKILL)
    scene.central.wait()
    scene.hop.kill()
    scene.send(count // 3 * 2, count - count // 3 * 2)
    scene.hop.start()
    sent(0.8)
    scene.relay.kill()
    scene.relay.wait()
    scene.start_relay()
    scene.home.start_central()

    wait_until(lambda: len({recipient for recipient, _ in scene.mailbox.mails}) == count, 120)
    wait_until(lambda: len(scene.central_knows()) >= count, 60)
    sent_on = set(scene.mailbox.mails)  # what one next hop gave the mailbox twice is one mail here
    doubled = {one for one, times in Counter(recipient for recipient, _ in sent_on).items() if times > 1}
    by_relay = {one for one in doubled if not scene.was_lost_by_next_hop(one)}
    assert by_relay == set()
    for recipient, content in sent_on:
        assert scene.link_in(content).destination == f"https://example.org/{recipient[1:].partition('@')[0]}"
    assert scene.dkim.verified([content for _, content in sent_on]) == len(sent_on)
    assert len(scene.central_knows()) == count
    assert len(doubled) <= 10  # at most one for each connection, at the one kill of the next hop
    assert "example.org" not in scene.home.log()


class Provider:
    """A mail server of somebody else, which wants TLS, a name and a password."""

    def __init__(self, folder):
        self.mailbox, self.certificate = Mailbox(), folder / "provider.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-subj", "/CN=provider.example", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
                *("-keyout", folder / "provider.key", "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self.certificate, folder / "provider.key")
        wants = {"tls_context": tls, "require_starttls": True, "auth_required": True, "authenticator": self.know}
        self.controller = Controller(self.mailbox, hostname="127.0.0.1", port=free_port(), **wants)
        self.controller.start()

    def know(self, server, session, envelope, mechanism, given):
        return AuthResult(success=(given.login, given.password) == (b"shop", b"pa55word"))


def test_a_smarthost_hands_on_to_a_provider_and_postfix_keeps_what_comes_meanwhile(folder):
    provider, home, port = Provider(folder), make_home(folder), free_port()
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text("pa55word")
    keyring = Keyring.load(folder / "keys.json")
    postfix = Postfix(folder / "queue", f"[127.0.0.1]:{port}", default_destination_recipient_limit="1")
    postfix.start()
    try:
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as client:
            text = b"From: a@example.com\r\nMessage-ID: <1@example.com>\r\n\r\nhttps://example.org/1\r\n"
            client.sendmail("a@example.com", ["b@example.org", "c@example.org"], text)
        wait_until(lambda: "Connection refused" in postfix.log())
        home.start(
            *("relay", "--listen", f"127.0.0.1:{port}", "--keys", "keys.json", "--base-url", BASE_URL),
            *("--next-hop", f"127.0.0.1:{provider.controller.port}", "--next-hop-tls", "starttls"),
            *("--next-hop-ca", str(provider.certificate), "--next-hop-user", "shop"),
            *("--next-hop-password-file", "password", "--admin-listen", "127.0.0.1:0"),
        )
        wait_until(lambda: len(provider.mailbox.mails) == 2, 60)
    finally:
        postfix.kill()
        home.end()
        provider.controller.stop()

    links = {recipient: link_in(keyring, content) for recipient, content in provider.mailbox.mails}
    assert {recipient: link.destination for recipient, link in links.items()} == dict.fromkeys(
        ["b@example.org", "c@example.org"], "https://example.org/1"
    )
    assert len({link.link_id for link in links.values()}) == 2

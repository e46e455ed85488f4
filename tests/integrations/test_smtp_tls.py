"""TLS on both sides of the relay: STARTTLS, AUTH behind it, certificates, and what is sent in front of it."""

import asyncio
import smtplib
import ssl
import subprocess
from base64 import b64encode

import pytest
from processes import HANG_S

pytest.importorskip("aiosmtpd", reason="the extra smtp is not installed")
pytest.importorskip("aiosmtplib", reason="the extra smtp is not installed")

from aiosmtpd.smtp import AuthResult
from integrations.hop import Talk, running_hop, running_relay

MAIL = b"Subject: seeds\r\n\r\nhttps://example.org/seeds/\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 with its key, and contexts for both sides."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=hop.example", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", server


def find(name, password):
    return 0 if (name, password) == ("shop", "s3cret") else None


async def test_a_client_logs_in_behind_starttls_and_not_before(certificate, tmp_path):
    cert, server = certificate

    def send(port):
        with smtplib.SMTP("127.0.0.1", port, timeout=HANG_S) as client:
            client.ehlo()
            before = client.has_extn("auth"), client.docmd("AUTH", "PLAIN " + b64encode(b"\0shop\0s3cret").decode())[0]
            client.starttls(context=ssl.create_default_context(cafile=cert))
            client.login("shop", "s3cret")
            client.sendmail("a@example.com", ["b@example.org"], MAIL)
            return before

    async with running_hop() as hop, running_relay(hop.port, tmp_path, tls=server, find_sender=find) as relay:
        before = await asyncio.to_thread(send, relay.port)

    assert before == (False, 538)
    assert len(hop.taken) == 1


async def test_commands_behind_starttls_are_refused_and_never_run(certificate, tmp_path):
    async with running_hop() as hop, running_relay(hop.port, tmp_path, tls=certificate[1]) as relay:
        talk = await Talk.to(relay.port)
        talk.writer.write(b"STARTTLS\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.org>\r\n")
        answer = await talk.read()
        rest = await talk.reader.read()
        talk.close()

    assert answer.startswith("554 5.5.1 ")
    assert rest == b""
    assert hop.connections == 0


@pytest.mark.parametrize("mode", ["starttls", "auto"])
async def test_the_next_hop_gets_tls_and_the_password(certificate, tmp_path, mode):
    cert, server = certificate
    given = []

    def authenticate(_, session, envelope, mechanism, data):
        given.append((data.login, data.password, session.ssl is not None))
        return AuthResult(success=True)

    offers = {"tls_context": server, "require_starttls": True, "authenticator": authenticate, "auth_required": True}
    hop_options = {"tls": mode, "ca_file": str(cert), "login": ("relay", "pa55word")}
    async with running_hop(**offers) as hop, running_relay(hop.port, tmp_path, hop=hop_options) as relay:
        talk = await Talk.to(relay.port)
        answers = [await talk.send(MAIL, "b@example.org") for _ in range(2)]
        talk.close()

    assert [answer[:3] for answer in answers] == ["250", "250"]
    assert given == [(b"relay", b"pa55word", True)]


async def test_a_next_hop_whose_certificate_is_nobodys_gets_nothing_when_tls_is_wanted(certificate, tmp_path):
    async with (
        running_hop(tls_context=certificate[1]) as hop,
        running_relay(hop.port, tmp_path, hop={"tls": "starttls"}) as relay,
    ):
        talk = await Talk.to(relay.port)
        answer = await talk.say("MAIL FROM:<a@example.com>")
        talk.close()

    assert answer.startswith("451 4.4.1 ")
    assert hop.taken == []


async def test_a_next_hop_without_tls_gets_nothing_when_tls_is_wanted(tmp_path):
    async with running_hop() as hop, running_relay(hop.port, tmp_path, hop={"tls": "starttls"}) as relay:
        talk = await Talk.to(relay.port)
        answer = await talk.say("MAIL FROM:<a@example.com>")
        talk.close()

    assert answer.startswith("451 4.4.1 ")

"""TLS as browsers do it: names, old servers, and intermediate certificates that were forgotten."""

import asyncio
import os
import socket
import ssl
from contextlib import suppress
from ipaddress import ip_address

import pytest
from aiohttp import web
from checker.servers import Certificates, fetching, raw, site, status

from linkrouter.link import canonical_url


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def here(_):
    """Resolve every name to this machine."""
    return (ip_address("127.0.0.1"),)


async def fetch_named(certificates, server, host):
    async with (
        site(status(200), tls=server) as (origin, _),
        fetching(tls=certificates.client(), resolve_host=here) as fetch,
    ):
        return await fetch(f"https://{host}:{origin.rpartition(':')[2]}/")


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["DNS:*.itch.example"], "dj_link.itch.example"),
        (["DNS:*.itch.example"], "_dmarc.itch.example"),
        (["DNS:a_b.itch.example"], "a_b.itch.example"),
        (["DNS:x.example", "DNS:*.itch.example"], "dj_link.itch.example"),
        (["DNS:*.itch.example"], "dj-link.itch.example"),
        (["DNS:itch.example"], "itch.example."),
        (["DNS:xn--ls8h.example"], "xn--ls8h.example"),
        (["DNS:*.xn--i-7iq.example"], "www.xn--i-7iq.example"),
    ],
)
async def test_a_name_that_browsers_find_in_a_certificate_is_found(certificates, names, host):
    fetched = await fetch_named(certificates, certificates.signed(*names), host)

    assert (fetched.verdict, fetched.reason) == ("fine", "answers")


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["DNS:*.itch.example"], "dj_link.other.example"),
        (["DNS:*.itch.example"], "a.dj_link.itch.example"),
        (["DNS:itch.example"], "dj_link.itch.example"),
        (["DNS:*.example"], "dj_link.itch.example"),
    ],
)
async def test_a_certificate_for_another_host_stays_one(certificates, names, host):
    fetched = await fetch_named(certificates, certificates.signed(*names), host)

    assert (fetched.verdict, fetched.reason) == ("broken", "certificate for another host")


async def test_a_subject_is_no_name_since_browsers_stopped_reading_it(certificates):
    fetched = await fetch_named(certificates, certificates.signed(common="itch.example"), "itch.example")

    assert fetched.reason == "certificate for another host"


async def test_a_server_that_wants_a_certificate_of_its_reader_needs_a_login(certificates):
    server = certificates.signed("IP:127.0.0.1")
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(certificates.client())

    def refuse(listener):
        accepted, _ = listener.accept()
        with server.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as tls:
            with suppress(ssl.SSLError):
                tls.do_handshake()
            os.read(tls.fileno(), 65536)  # the request, so that closing does not reset what was said

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        refusing = asyncio.create_task(asyncio.to_thread(refuse, listener))
        async with fetching(tls=certificates.client()) as fetch:
            fetched = await fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        await refusing

    assert fetched.reason == "needs a login"


async def test_an_underscore_forgives_nothing_else(certificates):
    expired = await fetch_named(certificates, certificates.signed("DNS:*.itch.example", days="-1"), "a_b.itch.example")

    assert expired.reason == "certificate expired"


@pytest.mark.parametrize("host", ["xn--i-7iq.example", "xn--ls8h.example", "☃.example", "♥️.example", "I❤️.example"])
async def test_a_name_that_only_older_rules_allow_is_asked_for(host):
    hosts = []

    async def handler(request):
        hosts.append(request.headers["Host"])
        return web.Response()

    async with site(handler) as (origin, _), fetching(resolve_host=here) as fetch:
        url = canonical_url(f"http://{host}:{origin.rpartition(':')[2]}/")
        fetched = await fetch(url)

    assert fetched.verdict == "fine"
    assert set(hosts) == {url.removeprefix("http://")}


@pytest.mark.parametrize("cipher", ["ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256", "AES256-SHA"])
async def test_an_older_cipher_that_browsers_take_is_taken(certificates, cipher):
    server = certificates.signed("IP:127.0.0.1")
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers(cipher)

    async with site(status(200), tls=server) as (origin, _), fetching(tls=certificates.client()) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"


async def test_a_server_that_knows_nothing_of_secure_renegotiation_is_fine(certificates, tmp_path):
    tlslite = pytest.importorskip("tlslite", reason="tlslite-ng is not installed: no server without RFC 5746")
    certificates.signed("IP:127.0.0.1")
    chain, key = certificates.files("s")
    parsed = tlslite.X509CertChain()
    parsed.parsePemList(chain)
    settings = tlslite.HandshakeSettings()
    settings.maxVersion = (3, 3)
    private = tlslite.parsePEMKey(key, private=True)

    def serve(listener):
        for _ in range(2):
            accepted, _ = listener.accept()
            connection = tlslite.TLSConnection(accepted)
            connection.handshakeServer(certChain=parsed, privateKey=private, settings=settings)
            connection.recv(4096)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(serve, listener))
        async with fetching(tls=certificates.client()) as fetch:
            fetched = await fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        await serving

    assert fetched.verdict == "fine"


async def test_session_keys_are_not_written_down(certificates, monkeypatch, tmp_path):
    server = certificates.signed("IP:127.0.0.1")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

    async with site(status(200), tls=server) as (origin, _), fetching(tls=certificates.client()) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert not (tmp_path / "keys").exists()


# Intermediate certificates


def serving(bodies):
    """Give a handler that answers each path with its bytes."""

    async def handler(request):
        body = bodies.get(request.path)
        return web.Response(status=404) if body is None else web.Response(body=body)

    return handler


async def fetch_without_chain(certificates, server):
    async with site(status(200), tls=server) as (origin, _), fetching(tls=certificates.client()) as fetch:
        return [await fetch(f"{origin}/{number}") for number in range(2)]


@pytest.mark.parametrize("form", ["DER", "PEM"])
async def test_a_forgotten_intermediate_is_looked_for(certificates, form):
    bodies = {}
    async with site(serving(bodies)) as (aia, seen):
        der = certificates.intermediate("middle")
        bodies["/middle"] = der if form == "DER" else ssl.DER_cert_to_PEM_cert(der).encode()
        server = certificates.signed("IP:127.0.0.1", issuer="middle", aia=f"{aia}/middle")
        found = await fetch_without_chain(certificates, server)

    assert {(each.verdict, each.reason) for each in found} == {("fine", "answers")}
    assert seen == [("GET", "/middle")]


async def test_two_forgotten_intermediates_are_looked_for(certificates):
    bodies = {}
    async with site(serving(bodies)) as (aia, _):
        bodies["/upper"] = certificates.intermediate("upper")
        bodies["/lower"] = certificates.intermediate("lower", issuer="upper", aia=f"{aia}/upper")
        server = certificates.signed("IP:127.0.0.1", issuer="lower", aia=f"{aia}/lower")
        found = await fetch_without_chain(certificates, server)

    assert {each.verdict for each in found} == {"fine"}


@pytest.mark.parametrize("body", [None, b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\nrubbish", b"0" * 60_000])
async def test_an_intermediate_that_cannot_be_had_is_unverifiable(certificates, body):
    async with site(serving({"/middle": body})) as (aia, _):
        certificates.intermediate("middle")
        server = certificates.signed("IP:127.0.0.1", issuer="middle", aia=f"{aia}/middle")
        found = await fetch_without_chain(certificates, server)

    assert {(each.verdict, each.reason) for each in found} == {("unverifiable", "certificate chain incomplete")}


async def test_an_authority_that_a_certificate_brings_itself_is_not_trusted(certificates):
    bodies = {}
    async with site(serving(bodies)) as (aia, _):
        bodies["/evil"] = certificates.intermediate("evil", issuer="evil")
        server = certificates.signed("IP:127.0.0.1", issuer="evil", aia=f"{aia}/evil")
        found = await fetch_without_chain(certificates, server)

    assert {(each.verdict, each.reason) for each in found} == {("broken", "certificate issuer unknown")}


@pytest.mark.parametrize("address", ["http://10.0.0.1/x", "http://[::1]/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
async def test_an_address_of_a_certificate_is_judged_as_every_other(certificates, address):
    certificates.intermediate("middle")
    server = certificates.signed("IP:127.0.0.1", issuer="middle", aia=address)

    found = await fetch_without_chain(certificates, server)

    expected = "certificate chain incomplete" if address.startswith("http:") else "certificate issuer unknown"
    assert {each.reason for each in found} == {expected}


async def test_an_address_that_hangs_does_not_hold_the_link(certificates):
    async def talk(reader, _):
        await reader.read()

    async with raw(talk) as (aia, _):
        certificates.intermediate("middle")
        server = certificates.signed("IP:127.0.0.1", issuer="middle", aia=f"{aia}/x")
        async with (
            site(status(200), tls=server) as (origin, _),
            fetching(tls=certificates.client(), link_timeout_s=1.0) as fetch,
        ):
            fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "unverifiable"

"""One request to an endpoint: where it may go, and what the answer may do."""

import asyncio
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network

import pytest
from aiohttp import web
from checker.servers import Certificates, answering, raw, site, status

from linkrouter.central.webhooks.posting import Poster, find_target
from linkrouter.central.webhooks.schedule import Answer
from linkrouter.dial.trust import trusting_context

LOOPBACK = (ip_network("127.0.0.0/8"),)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def posting(allowed=LOOPBACK, *, addresses=("127.0.0.1",), **options):
    """Give a function from a URL to the answer; every name has *addresses*."""

    async def resolved(_):
        return tuple(map(ip_address, addresses))

    poster = Poster(allowed, **{"resolve_host": resolved, "timeout_s": 5.0} | options)
    try:
        yield lambda url: poster.post(url, [("webhook-id", "1")], b"{}")
    finally:
        poster.close()


async def test_tls_is_spoken_with_the_name_and_the_certificate_must_hold(tmp_path):
    certificates = Certificates(tmp_path)
    trusting = trusting_context(certificates.client())
    async with site(status(204), tls=certificates.signed("DNS:hooks.example")) as (origin, seen):
        port = origin.rpartition(":")[2]
        async with posting(tls=trusting) as post:
            good = [await post(f"https://hooks.example:{port}/in?key=1") for _ in range(2)]
            other_name = await post(f"https://other.example:{port}/")
        async with posting() as post:
            stranger = await post(f"https://hooks.example:{port}/")

    assert good == [Answer(204)] * 2
    assert other_name == stranger == Answer(None, "certificate not valid")
    assert seen == [("POST", "/in?key=1")] * 2


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://hooks.example/", ["93.184.216.34"]),  # plain HTTP leaves the opened network
        ("http://hooks.example/", ["127.0.0.1", "93.184.216.34"]),
        ("https://hooks.example/", ["93.184.216.34", "10.0.0.1"]),
        ("https://hooks.example/", ["169.254.169.254"]),
        ("https://hooks.example/", ["::ffff:10.0.0.1"]),
    ],
)
async def test_a_name_with_an_address_that_is_not_for_it_is_not_connected_to(url, addresses):
    async with posting(addresses=addresses) as post:
        assert await post(url) == Answer(None, "address not public")


async def test_plain_http_needs_an_opened_network_and_other_ports_as_well():
    async with site(status(204)) as (origin, seen), posting(()) as post:
        plain = await post(origin + "/")
        other_port = await post(origin.replace("http:", "https:") + "/")

    assert plain == other_port == Answer(None, "address not public")
    assert seen == []


def test_what_a_url_says_before_its_host_is_sent_and_not_shown():
    target = find_target("https://näme:p%40ss@Hooks.Example:443/a b?q#f")

    assert ("Host", "hooks.example") in target.headers
    assert ("Authorization", "Basic bsOkbWU6cEBzcw==") in target.headers
    assert target.path == "/a%20b?q"
    assert "p@ss" not in repr(target)
    assert "Basic" not in repr(target)


async def test_no_proxy_of_the_environment_is_used(monkeypatch):
    async with site(status(204)) as (origin, seen), site(status(204)) as (proxy, asked):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        async with posting() as post:
            answer = await post(origin + "/")

    assert (answer.status, len(seen), asked) == (204, 1, [])


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + TAKEN, Answer(200)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut", Answer(200)),  # the status was said
        (b"HTTP/1.1 503 Away\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", Answer(503, None, 7.0)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Answer(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", Answer(200)),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Answer(None, "not HTTP")),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", Answer(None, "not HTTP")),
        (b"", Answer(None, "not HTTP")),
    ],
    ids=["interim", "cut", "retry", "chunked", "bad chunk", "ssh", "long head", "nothing"],
)
async def test_whatever_comes_is_an_answer_or_has_a_word(data, answer):
    async with raw(answering(data)) as (origin, _), posting() as post:
        assert await post(origin + "/") == answer


async def test_an_endless_body_is_cut_and_a_silent_endpoint_given_up():
    async def flood(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async def silence(_, __):
        await asyncio.sleep(10)

    async with raw(flood) as (origin, _), posting() as post:
        assert await post(origin + "/") == Answer(200)
    async with raw(silence) as (origin, _), posting(timeout_s=0.2) as post:
        assert await post(origin + "/") == Answer(None, "no answer in time")


async def test_a_refused_connection_has_its_word():
    async with site(status(204)) as (origin, _):
        pass
    async with posting() as post:
        assert await post(origin + "/") == Answer(None, "connection refused")


async def test_a_connection_is_used_again_and_one_that_was_closed_meanwhile_is_replaced():
    connections = set()

    async def note(request):
        connections.add(request.transport)
        return web.Response()

    async with site(note) as (origin, seen), posting() as post:
        await post(origin + "/")
        await post(origin + "/")
        assert len(connections) == 1
        for transport in connections:
            transport.abort()
        answer = await post(origin + "/")

    assert answer == Answer(200)
    assert (len(seen), len(connections)) == (3, 2)

"""Connections: which are made, and what hostile servers and bad certificates make of them."""

import asyncio
import gzip
import socket
from ipaddress import ip_address

import pytest
from aiohttp import web
from checker.servers import Certificates, answering, fetching, h2_site, raw, site, status

from linkrouter.checker.fetch.limits import HostLimits


def methods(fetched):
    return [(hop.method, hop.status) for hop in fetched.hops]


async def test_a_host_that_does_not_exist_is_broken_and_a_failing_name_server_is_not():
    async def resolve_host(host):
        raise socket.gaierror(socket.EAI_NONAME if host == "absent.example" else socket.EAI_AGAIN, "x")

    async with fetching(resolve_host=resolve_host) as fetch:
        absent, failing = await fetch("http://absent.example/"), await fetch("http://failing.example/")

    assert (absent.verdict, absent.reason) == ("broken", "host does not exist")
    assert (failing.verdict, failing.reason) == ("unverifiable", "name lookup failed")


async def test_a_refused_connection_is_broken():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        async with fetching() as fetch:
            fetched = await fetch(f"http://127.0.0.1:{port}/")

    assert (fetched.verdict, fetched.reason) == ("broken", "connection refused")


@pytest.mark.parametrize(
    "answers", [("127.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("169.254.169.254",), ("::ffff:127.0.0.1",)]
)
async def test_a_name_with_one_address_that_is_not_public_is_not_connected_to(answers):
    async def resolve_host(_):
        return tuple(map(ip_address, answers))

    async with fetching(allowed=(), local=False, resolve_host=resolve_host) as fetch:
        fetched = await fetch("http://rebound.example/")

    assert (fetched.verdict, fetched.reason) == ("broken", "address not public")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_no_request_reaches_a_private_address_that_is_not_allowed(host):
    async with site(status(200)) as (origin, seen), fetching(allowed=(), local=False) as fetch:
        port = origin.rpartition(":")[2]
        fetched = await fetch(f"http://{host}:{port}/")

    assert fetched.reason == "address not public"
    assert seen == []


async def test_another_port_of_a_public_host_is_not_tried():
    async def resolve_host(_):
        return (ip_address("8.8.8.8"),)

    async with fetching(allowed=(), local=False, resolve_host=resolve_host) as fetch:
        fetched = await fetch("http://public.example:8081/")

    assert (fetched.verdict, fetched.reason) == ("unverifiable", "port not checked")


async def test_the_next_address_is_tried_when_the_first_refuses():
    async def resolve_host(_):
        return (ip_address("127.0.0.99"), ip_address("127.0.0.1"))

    async with site(status(200)) as (origin, _), fetching(resolve_host=resolve_host) as fetch:
        fetched = await fetch(f"http://two.example:{origin.rpartition(':')[2]}/")

    assert fetched.verdict == "fine"


async def test_a_host_that_hangs_is_timed_out_and_asked_once_by_each_method():
    async def talk(reader, _):
        await reader.read()

    async with raw(talk) as (origin, seen), fetching(link_timeout_s=0.3) as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("unverifiable", "timed out")
    assert seen == ["HEAD / HTTP/1.1", "GET / HTTP/1.1"]


async def test_a_host_that_drips_is_timed_out():
    async def talk(_, writer):
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw(talk) as (origin, _), fetching(link_timeout_s=0.4) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == "timed out"


async def test_a_body_that_drips_does_not_hide_the_status():
    async def talk(_, writer):
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9999\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw(talk) as (origin, _), fetching(link_timeout_s=1.0) as fetch:
        fetched = await fetch(f"{origin}/")

    assert methods(fetched) == [("HEAD", 404), ("GET", 404)]
    assert fetched.reason == "not found"


async def test_a_gzip_bomb_is_neither_unpacked_nor_read_to_its_end():
    bomb = gzip.compress(bytes(50_000_000))
    sent = 0

    async def talk(reader, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"%x\r\n%s\r\n" % (len(bomb), bomb))
            await writer.drain()
            sent += len(bomb)

    async with raw(talk) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == "forbidden"
    assert sent < 20_000_000


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
        (b"\x00\xff\x15\x03\x01\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-", "protocol error"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n", "protocol error"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "protocol error"),
        (b"HTTP/1.1 99999 X\r\n\r\n", "not HTTP"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_garbage_after_a_good_connection_is_never_broken(answer, reason):
    async with raw(answering(answer)) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("unverifiable", reason)


async def test_a_host_that_hangs_up_on_everything_is_broken():
    async with raw(answering(b"")) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("broken", "connection reset")


async def test_a_reset_of_head_is_tried_once_with_get():
    async def talk(_, writer):
        writer.transport.abort()

    async with raw(talk) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/x")

    assert fetched.reason == "connection reset"
    assert seen == ["HEAD /x HTTP/1.1", "GET /x HTTP/1.1"]


async def test_a_fetch_never_outlives_its_deadline():
    async def handler(_):
        return web.Response(status=429, headers={"Retry-After": "0"})

    async def sleep(_):
        await asyncio.Event().wait()

    async with (
        site(handler) as (origin, _),
        fetching(limits=HostLimits(sleep=sleep), within_s=0.3, sleep=sleep) as fetch,
    ):
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "unverifiable"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def test_a_good_certificate_is_fine(certificates):
    server = certificates.signed("IP:127.0.0.1")

    async with site(status(200), tls=server) as (origin, _), fetching(tls=certificates.client()) as fetch:
        fetched = await fetch(f"{origin}/")
        again = await fetch(f"{origin}/again")

    assert (fetched.verdict, again.verdict) == ("fine", "fine")


async def test_http2_is_spoken_where_the_server_offers_it(certificates):
    server, client = certificates.signed("IP:127.0.0.1"), certificates.client()

    async with h2_site(server) as (origin, seen), fetching(tls=client) as fetch:
        fetched = await asyncio.gather(*(fetch(f"{origin}/a%2Fb?{number}") for number in range(5)))

    assert {each.verdict for each in fetched} == {"fine"}
    assert sorted(seen) == [(method, f"/a%2Fb?{number}") for method in ("GET", "HEAD") for number in range(5)]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda made: made.signed("IP:127.0.0.1", days="-1"), "certificate expired"),
        (lambda made: made.signed("DNS:other.example"), "certificate for another host"),
        (lambda made: made.self_signed(), "certificate self-signed"),
    ],
    ids=["expired", "another host", "self-signed"],
)
async def test_a_bad_certificate_is_broken_and_says_which_way(certificates, make, reason):
    async with (
        site(status(200), tls=make(certificates)) as (origin, seen),
        fetching(tls=certificates.client()) as fetch,
    ):
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("broken", reason)
    assert seen == []


async def test_a_certificate_of_an_unknown_authority_is_broken(certificates):
    async with site(status(200), tls=certificates.signed("IP:127.0.0.1")) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == "certificate issuer unknown"


async def test_a_port_that_does_not_speak_tls_says_so():
    async with site(status(200)) as (origin, _), fetching() as fetch:
        fetched = await fetch(origin.replace("http:", "https:") + "/")

    assert (fetched.verdict, fetched.reason) == ("broken", "TLS failed")

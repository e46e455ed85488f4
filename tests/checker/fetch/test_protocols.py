"""HTTP as browsers read it: answers that are odd, HTTP/2 that fails, connections that are used again."""

import asyncio
import time
from contextlib import suppress

import pytest
from checker.servers import LOOPBACK, Certificates, answer_h2, answering, fetching, h2_site, raw
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from processes import room

from linkrouter.checker.fetch.client import HttpClient

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
ODD = {
    "a line that is no header": b"HTTP/1.1 200 OK\r\nget-ban-to/forum.php: no data\r\nContent-Length: 5\r\n\r\nhello",
    "a line without a colon": b"HTTP/1.1 200 OK\r\nrubbish\r\nContent-Length: 5\r\n\r\nhello",
    "a second status line": b"HTTP/1.0 200 OK\r\nServer: x\r\nHTTP/1.0 404 Not Found\r\n\r\nhello",
    "a blank before the status line": b" HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "lines before the status line": b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "four bytes before the status line": b"\xef\xbb\xbf\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a blank before the first header": b"HTTP/1.1 200 OK\r\n Server: x\r\nContent-Length: 5\r\n\r\nhello",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 5\r\n\r\nhello",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
    "no reason and a blank": b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello",
    "two blanks": b"HTTP/1.1  200  OK\r\nContent-Length: 5\r\n\r\nhello",
    "small letters": b"http/1.1 200 ok\r\ncontent-length: 5\r\n\r\nhello",
    "no version": b"HTTP 200 OK\r\n\r\nhello",
    "another version": b"HTTP/3.7 200 OK\r\n\r\nhello",
    "ICY": b"ICY 200 OK\r\nicy-name: radio\r\n\r\nhello",
    "folded": b"HTTP/1.1 200 OK\r\nX-Long: a\r\n b\r\n\tc\r\nContent-Length: 5\r\n\r\nhello",
    "Latin-1": b"HTTP/1.1 200 D\xe9j\xe0\r\nX-Caf\xe9: \xe9\r\nContent-Length: 5\r\n\r\nhello",
    "a null byte": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 5\r\n\r\nhello",
    "line feeds alone": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "no headers": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
    "a length that lies": b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nhello",
    "a length that is too short": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello",
    "chunks with blanks": CHUNKED + b"\r\n5 \r\nhello\r\n0\r\n\r\n",
    "chunks with extensions": CHUNKED + b"\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "chunks that are none": CHUNKED + b"\r\nhello\r\n",
    "chunks and a length": CHUNKED + b"Content-Length: 9\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
    "a body for HEAD, too": OK,
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
@pytest.mark.parametrize("cut", [None, 1], ids=["at once", "byte by byte"])
async def test_an_answer_that_browsers_read_is_read(answer, cut):
    async def talk(_, writer):
        for at in range(0, len(answer), cut or len(answer)):
            writer.write(answer[at : at + (cut or len(answer))])
            await writer.drain()
            await asyncio.sleep(0)

    async with raw(talk) as (origin, seen), fetching(link_timeout_s=5.0) as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("fine", "answers")
    assert [each.split()[0] for each in seen] == ["HEAD", "GET"]


async def test_a_redirect_with_blanks_and_folds_is_followed():
    answer = b"HTTP/1.1 302\r\nLocation :\r\n  /there\r\n\r\n"

    async def talk(reader, writer):
        await answering(OK if " /there " in seen[-1] else answer)(reader, writer)

    async with raw(talk) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.hops[-1].url) == ("fine", f"{origin}/there")


async def test_an_answer_that_the_end_cuts_off_keeps_its_status():
    answer = b"HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhel"

    async with raw(answering(answer)) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == "not found"


# Connections that are used again


async def keep_answering(reader, writer, answers, requests):
    """Answer each request of a connection with the next of *answers*, then close."""
    for answer in answers:
        writer.write(answer)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        requests.append(head.split(b" ")[0])


async def test_head_and_get_share_a_connection():
    requests = []
    head = OK.partition(b"hello")[0]

    async def talk(reader, writer):
        await keep_answering(reader, writer, [head, OK, head], requests)

    async with raw(talk) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/1")

    assert fetched.verdict == "fine"
    assert (len(seen), requests) == (1, [b"GET"])


@pytest.mark.parametrize("then", [[], [b"rubbish of the answer before"]], ids=["closed", "rubbish"])
async def test_a_kept_connection_that_fails_is_replaced(then):
    head = OK.partition(b"hello")[0]

    async def talk(reader, writer):
        if seen[-1].startswith("HEAD"):
            await keep_answering(reader, writer, [head, *then], [])
        else:
            await answering(OK)(reader, writer)

    async with raw(talk) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, [hop.status for hop in fetched.hops]) == ("fine", [200])
    assert [each.split()[0] for each in seen] == ["HEAD", "GET"]


# HTTP/2


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def over_h2(certificates):
    async def fetch_over(react, *paths, http1=None, **options):
        server = certificates.signed("IP:127.0.0.1")
        async with (
            h2_site(server, react, http1=http1) as (origin, seen),
            fetching(tls=certificates.client(), **options) as fetch,
        ):
            found = await asyncio.gather(*(fetch(f"{origin}{path}") for path in paths or ("/",)))
        return found, seen

    return fetch_over


async def test_what_a_server_that_goes_away_did_not_process_is_asked_again(over_h2):
    def react(connection, event, requests):
        if len(requests) <= 2:
            answer_h2(connection, event, requests)
        if len(requests) == 2:
            connection.close_connection(last_stream_id=event.stream_id)
            return "close"
        return None

    found, _ = await over_h2(react, *(f"/{number}" for number in range(8)))

    assert {each.verdict for each in found} == {"fine"}


async def test_what_a_server_has_begun_before_it_goes_is_waited_for(over_h2):
    goaway = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00"

    def react(connection, event, requests):
        early = connection.data_to_send() + goaway
        answer_h2(connection, event, requests)
        return early + connection.data_to_send()

    found, seen = await over_h2(react, "/a", "/b")

    assert {each.verdict for each in found} == {"fine"}
    assert len(seen) <= 6


async def test_a_server_that_goes_away_at_once_is_left(over_h2):
    def react(connection, event, requests):
        connection.close_connection(last_stream_id=0)
        return "close"

    found, seen = await over_h2(react)

    assert found[0].verdict in ("unverifiable", "broken")
    assert len(seen) < 10


async def test_a_refused_stream_is_asked_again(over_h2):
    refused = []

    def react(connection, event, requests):
        if not refused:
            refused.append(event)
            connection.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            answer_h2(connection, event, requests)

    found, seen = await over_h2(react)

    assert found[0].verdict == "fine"
    assert [method for method, _ in seen] == ["HEAD", "HEAD", "GET"]


@pytest.mark.parametrize("code", [ErrorCodes.HTTP_1_1_REQUIRED, ErrorCodes.PROTOCOL_ERROR, ErrorCodes.INTERNAL_ERROR])
@pytest.mark.parametrize("what", ["stream", "connection"])
async def test_what_fails_over_http2_is_asked_over_http1(over_h2, code, what):
    def react(connection, event, requests):
        if what == "stream":
            connection.reset_stream(event.stream_id, code)
            return None
        connection.close_connection(code, last_stream_id=event.stream_id)
        return "close"

    found, _ = await over_h2(react, "/a", "/b", http1=OK)

    assert {each.verdict for each in found} == {"fine"}


@pytest.mark.parametrize("http1", [None, b"", b"HTTP/1.1 200 OK\r\nCont"])
async def test_a_server_that_resets_every_stream_is_unverifiable(over_h2, http1):
    def react(connection, event, requests):
        connection.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)

    found, _ = await over_h2(react, http1=http1, link_timeout_s=2.0)

    assert (found[0].verdict, found[0].reason) == ("unverifiable", "protocol error")


async def test_a_stream_that_fails_for_head_alone_is_fine(over_h2):
    def react(connection, event, requests):
        if event.method == "HEAD":
            connection.reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
        else:
            answer_h2(connection, event, requests)

    found, _ = await over_h2(react)

    assert found[0].verdict == "fine"


@pytest.mark.parametrize("rubbish", [b"\xff" * 64, b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["bytes", "HTTP/1.1"])
async def test_rubbish_among_the_frames_is_unverifiable(over_h2, rubbish):
    found, _ = await over_h2(lambda *_: rubbish, link_timeout_s=2.0)

    assert found[0].verdict == "unverifiable"


async def test_frames_without_end_are_left(over_h2):
    ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)

    found, seen = await over_h2(lambda *_: ping * 5000, link_timeout_s=3.0)

    assert found[0].verdict == "unverifiable"
    assert len(seen) <= 6


async def test_a_server_that_floods_and_reads_nothing_does_not_hold_the_link(certificates):
    server = certificates.signed("IP:127.0.0.1")
    server.set_alpn_protocols(["h2"])
    settings, ping = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)

    async def flood(reader, writer):
        writer.transport.pause_reading()
        with suppress(OSError):
            writer.write(settings)
            while True:
                writer.write(ping * 500)
                await writer.drain()

    listening = await asyncio.start_server(flood, "127.0.0.1", 0, ssl=server)
    async with listening, fetching(tls=certificates.client(), link_timeout_s=2.0) as fetch:
        began = time.monotonic()
        fetched = await fetch(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")
        took = time.monotonic() - began

    assert fetched.verdict == "unverifiable"
    assert took < 10.0 * room()


async def test_a_body_beyond_what_is_read_is_cancelled_and_the_connection_goes_on(over_h2):
    def react(connection, event, requests):
        connection.send_headers(event.stream_id, [(":status", "404")], end_stream=event.method == "HEAD")
        if event.method == "GET":
            for _ in range(4):
                connection.send_data(event.stream_id, bytes(16_384))

    found, seen = await over_h2(react, *(f"/{number}" for number in range(6)), link_timeout_s=3.0)

    assert {each.reason for each in found} == {"not found"}
    assert len(seen) == 12


async def test_a_server_that_allows_one_stream_at_a_time_is_asked_so(over_h2):
    def react(connection, event, requests):
        connection.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        answer_h2(connection, event, requests)

    found, _ = await over_h2(react, *(f"/{number}" for number in range(5)))

    assert {each.verdict for each in found} == {"fine"}


async def test_a_connection_that_fell_silent_is_not_used_again(over_h2):
    connections = []

    def react(connection, event, requests):
        if id(connection) not in connections:
            connections.append(id(connection))
        if len(connections) > 1:  # the first one never answers
            answer_h2(connection, event, requests)

    found, _ = await over_h2(react, link_timeout_s=2.0)

    assert found[0].verdict == "fine"


async def test_links_of_one_host_share_a_connection(over_h2):
    connections = set()

    def react(connection, event, requests):
        connections.add(id(connection))
        answer_h2(connection, event, requests)

    found, _ = await over_h2(react, *(f"/{number}" for number in range(8)))

    assert {each.verdict for each in found} == {"fine"}
    assert len(connections) == 1


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_who_asks_for_a_whole_page_gets_it_up_to_a_limit(certificates, version):
    server = certificates.signed("IP:127.0.0.1")
    if version == "HTTP/2":
        served = h2_site(server, lambda connection, event, _: send_large(connection, event))
    else:
        served = raw(answering(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(300_000)))
    async with served as (origin, _):
        client = HttpClient(LOOPBACK, ca_file=certificates.client())
        small = await client.request("GET", origin, "/", 5.0)
        large = await client.request("GET", origin, "/", 5.0, max_bytes=120_000)
        await client.close()

    whole = 300_000 if version == "HTTP/1.1" else 65_535  # what this server of HTTP/2 may send at once
    assert len(small.body) == min(whole, 64 * 1024)
    assert len(large.body) == min(whole, 120_000)


def send_large(connection, event):
    connection.send_headers(event.stream_id, [(":status", "200")])
    for _ in range(3):
        connection.send_data(event.stream_id, bytes(16_384))
    connection.send_data(event.stream_id, bytes(16_383), end_stream=True)

"""The traffic port, over real sockets: both ways through it, and everything a client can do wrong."""

import asyncio
import contextlib
import gc
import re
import socket
from dataclasses import replace

import pytest
from aiohttp.web_protocol import RequestHandler
from processes import HANG_S
from router.rules import take_back

from linkrouter.link import Keyring
from linkrouter.router.aiohttp_parts import find_missing_parts

LAST = b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
AGENT = b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"


def get(path, *headers, method="GET", version="1.1"):
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"{method} {path} HTTP/{version}\r\nHost: click.example\r\n{lines}\r\n".encode("utf-8", "surrogateescape")


def without_date(answer: bytes) -> bytes:
    return re.sub(rb"\r\nDate: [^\r]+", b"", answer)


CONVERSATIONS = {
    "a click": lambda path: [get(path)],
    "a click with a query appended": lambda path: [get(path + "?fbclid=1#x")],
    "HEAD": lambda path: [get(path, method="HEAD")],
    "a forged tag": lambda path: [get(path[:-1] + ("A" if path[-1] != "A" else "E"))],
    "HEAD of nothing": lambda path: [get("/favicon.ico", method="HEAD")],
    "readiness": lambda path: [get("/-/ready")],
    "POST": lambda path: [get(path, "Content-Length: 3", method="POST") + b"a=1"],
    "POST without a body": lambda path: [get(path, "Content-Length: 0", method="POST")],
    "OPTIONS *": lambda path: [get("*", method="OPTIONS")],
    "TRACE": lambda path: [get(path, method="TRACE")],
    "CONNECT": lambda path: [get("example.com:443", method="CONNECT")],
    "GET with a body": lambda path: [get(path, "Content-Length: 5") + b"hello"],
    "GET with a chunked body": lambda path: [get(path, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n"],
    "GET with an unfinished body": lambda path: [get(path, "Content-Length: 50") + b"hello"],
    "Expect": lambda path: [get(path, "Expect: 100-continue")],
    "an upgrade": lambda path: [get(path, "Upgrade: websocket", "Connection: Upgrade")],
    "h2c": lambda path: [get(path, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAA")],
    "Range": lambda path: [get(path, "Range: bytes=0-1")],
    "HTTP/1.0": lambda path: [get(path, version="1.0")],
    "HTTP/1.0 keep-alive": lambda path: [get(path, "Connection: keep-alive", version="1.0")],
    "HTTP/9.9": lambda path: [get(path, version="9.9")],
    "close": lambda path: [get(path, "Connection: close")],
    "absolute form": lambda path: [get("http://click.example" + path)],
    "absolute form of another host": lambda path: [get("http://evil.example" + path)],
    "a path of 8,000": lambda path: [get("/2s/" + "a" * 8000)],
    "a line too long": lambda path: [get("/2s/" + "a" * 9000)],
    "a header too long": lambda path: [get(path, "X: " + "a" * 9000)],
    "too many headers": lambda path: [get(path, *[f"X-{number}: 1" for number in range(200)])],
    "odd header values": lambda path: [get(path, "User-Agent: \udcff\udcfe \t x", "X-Forwarded-For: ,,", "DNT: 0")],
    "obsolete folding": lambda path: [get(path, "X-A: 1\r\n folded")],
    "no Host": lambda path: [b"GET " + path.encode() + b" HTTP/1.1\r\n\r\n"],
    "two Hosts": lambda path: [get(path, "Host: other.example")],
    "bare line feeds": lambda path: [b"GET " + path.encode() + b" HTTP/1.1\nHost: x\n\n"],
    "both lengths": lambda path: [get(path, "Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n"],
    "a smuggled encoding": lambda path: [get(path, "Transfer-Encoding: \x0bchunked")],
    "TLS to the plain port": lambda path: [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 80],
    "a proxy header": lambda path: [b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get(path)],
    "non-ASCII path": lambda path: [get("/2s/ex\udcffmple")],
    "NUL in the path": lambda path: [get("/2s/ex\0mple")],
    "an encoded NUL": lambda path: [get("/2s/%00/AQ/-----w/s9pPdQ161ySR8bc")],
    "pipelined": lambda path: [get(path) * 100],
    "pipelined with a POST between": lambda path: [get(path) * 3 + get(path, method="POST") + get(path) * 3],
    "pipelined with an error at the end": lambda path: [get(path) * 3 + b"nonsense\r\n\r\n"],
    "two pieces": lambda path: [get(path)[:20], get(path)[20:]],
}
# After these the connection stays open, so that the client has to end it.
STAYS_OPEN = {
    "a click",
    "a click with a query appended",
    "HEAD",
    "a forged tag",
    "HEAD of nothing",
    "readiness",
    "POST without a body",
    "OPTIONS *",
    "TRACE",
    "Expect",
    "an upgrade",
    "h2c",
    "Range",
    "absolute form",
    "absolute form of another host",
    "a path of 8,000",
    "odd header values",
    "an encoded NUL",
    "pipelined",
    "pipelined with a POST between",
    "two pieces",
}


@pytest.mark.parametrize("action", [None, "replace", "stop"])
@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_both_ways_give_the_same_bytes_and_clicks(start_router, name, action):
    direct, ordinary = await start_router(), await start_router(direct_answers=False)
    path = direct.ring.sign("https://example.com/a?b=c#d", link_id=b"taken back")
    ordinary.responder.open_link = direct.ring.open
    if action is not None:
        take_back(direct, direct.ring, action, b"taken back")
        ordinary.responder.find_rule = direct.responder.find_rule

    pieces = CONVERSATIONS[name](path) + ([LAST] if name in STAYS_OPEN else [])

    answers = [without_date(await router.talk(*pieces)) for router in (direct, ordinary)]

    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 5" not in answers[0]
    clicks = [[click._replace(id="", clicked_at=0) for click in router.clicks] for router in (direct, ordinary)]
    assert clicks[0] == clicks[1]
    followed = b"HTTP/1.1 410 Gone" if action == "stop" else b"HTTP/1.1 302 Found"
    assert answers[0].count(followed) == len(clicks[0])
    assert {click.takeback is None for click in clicks[0]} <= {action is None}


async def test_a_request_split_at_every_byte_is_answered_alike(start_router):
    router = await start_router()
    request = get(router.ring.sign("https://example.com/"), AGENT.decode().strip())

    answers = {without_date(await router.talk(request[:cut], request[cut:], LAST)) for cut in range(1, len(request))}

    assert len(answers) == 1
    assert len(router.clicks) == len(request) - 1


async def test_redirect_has_exactly_the_promised_headers(start_router):
    router = await start_router()
    destination = "https://example.com/r?u=https%3A%2F%2Fexample.org&x=%7e#f"

    head = (await router.talk(get(router.ring.sign(destination)), LAST)).split(b"\r\n\r\n")[0]

    status, *headers = head.split(b"\r\n")
    assert status == b"HTTP/1.1 302 Found"
    assert sorted(header for header in headers if not header.startswith(b"Date: ")) == [
        b"Cache-Control: private, no-store",
        b"Content-Length: 0",
        b"Location: " + destination.encode(),
        b"Referrer-Policy: no-referrer",
        b"X-Robots-Tag: noindex, nofollow",
    ]


async def test_not_ready_is_503_and_links_still_work(start_router):
    router = await start_router(ready=False)

    answer = await router.talk(get("/-/ready"), get(router.ring.sign("https://example.com/a")), LAST)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nLocation: https://example.com/a\r\n" in answer


async def test_a_draining_router_is_not_ready_and_closes_after_its_answer(start_router):
    router = await start_router()
    router.server.drain()

    ready = await router.talk(get("/-/ready"))
    redirect = await router.talk(get(router.ring.sign("https://example.com/a")))

    assert ready.startswith(b"HTTP/1.1 503 ")
    assert b"HTTP/1.1 302 Found" in redirect
    assert b"\r\nConnection: close\r\n" in redirect


async def test_a_link_of_a_key_that_is_missing_here_is_told_from_one_that_is_wrong(start_router):
    router = await start_router()
    newer = router.ring.rotate().sign("https://example.com/a")
    paths = {newer: "unknown_key", newer.replace("/2s/", "/3s/"): "not_found", newer[:-1] + "~": "unknown_key"}
    paths[router.ring.sign("https://example.com/a")[:-1] + "~"] = "not_found"

    for path, outcome in paths.items():
        before = router.metrics.counter("linkrouter_requests")[outcome]
        assert (await router.talk(get(path, "Connection: close"))).startswith(b"HTTP/1.1 404 ")
        assert router.metrics.counter("linkrouter_requests")[outcome] == before + 1
    revoked = Keyring([replace(key, state="revoked") for key in router.ring.keys])
    router.responder.open_link = revoked.open
    await router.talk(get(router.ring.sign("https://example.com/a"), "Connection: close"))

    assert router.metrics.counter("linkrouter_requests")["not_found"] == 3


async def test_keys_change_under_load_without_a_refused_link(start_router):
    router = await start_router()
    old = router.ring
    new = old.rotate()
    answers = []

    async def click(path):
        answers.append(await router.talk(get(path, "Connection: close")))

    async with asyncio.TaskGroup() as clients:
        for number in range(40):
            clients.create_task(click((new if number > 20 else old).sign("https://example.com/a")))
            if number == 20:
                router.responder.open_link = new.open

    assert all(answer.startswith(b"HTTP/1.1 302 ") for answer in answers)


@pytest.mark.parametrize("direct_answers", [True, False], ids=["direct", "ordinary"])
async def test_a_client_that_does_not_read_stops_being_served(start_router, direct_answers):
    router = await start_router(direct_answers=direct_answers)
    request = get(router.ring.sign("https://example.com/" + "a" * 3000))
    _, writer = await asyncio.open_connection("127.0.0.1", router.server.port, limit=1024)
    sent = 0

    async def push():
        nonlocal sent
        while sent < 40_000:
            writer.write(request * 20)
            await writer.drain()
            sent += 20

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await push()
    writer.transport.abort()

    assert len(router.clicks) < 40_000  # it stopped reading instead of buffering answers without bound


@pytest.mark.parametrize("direct_answers", [True, False], ids=["direct", "ordinary"])
async def test_a_client_that_closes_its_half_is_answered(start_router, direct_answers):
    router = await start_router(direct_answers=direct_answers)
    path = router.ring.sign("https://example.com/a")

    answers = await router.talk(get(path) + get(path, method="POST") + get(path), close_half=True)

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"302", b"405", b"302"]
    assert len(router.clicks) == 2


@pytest.mark.parametrize("direct_answers", [True, False], ids=["direct", "ordinary"])
async def test_a_client_that_closes_its_half_within_a_request_is_let_go(start_router, direct_answers):
    router = await start_router(direct_answers=direct_answers)

    assert await router.talk(b"GET / HTTP/1.1\r\nHo", close_half=True) == b""


@pytest.mark.parametrize("direct_answers", [True, False], ids=["direct", "ordinary"])
@pytest.mark.parametrize(
    "request_bytes",
    [b"GET /-/ready HTTP/1.0\r\n\r\n", b"GET / HT", b"nonsense\r\n\r\n", b""],
    ids=["answered", "half a request", "malformed", "silent"],
)
async def test_nothing_of_a_closed_connection_is_kept(start_router, direct_answers, request_bytes):
    router = await start_router(direct_answers=direct_answers)

    for _ in range(50):
        await router.talk(request_bytes, close_half=True)
    for _ in range(5):  # the loop lets go of what has just ended
        await asyncio.sleep(0)
    gc.collect()

    kept = [found for found in gc.get_objects() if issubclass(type(found), RequestHandler)]
    assert len(kept) < 5


async def test_an_idle_connection_is_closed_in_the_end(start_router, monkeypatch):
    monkeypatch.setattr("linkrouter.router.connection.KEEPALIVE_S", 0.1)
    router = await start_router()
    request = get(router.ring.sign("https://example.com/a"))

    silent, answered = await asyncio.gather(router.talk(), router.talk(request))

    assert silent == b""
    assert answered.startswith(b"HTTP/1.1 302 ")
    assert b"Connection: close" not in answered


async def test_a_connection_in_use_is_not_closed(start_router, monkeypatch):
    monkeypatch.setattr("linkrouter.router.connection.KEEPALIVE_S", 0.02)
    router = await start_router()
    request = get(router.ring.sign("https://example.com/a"))
    reader, writer = await asyncio.open_connection("127.0.0.1", router.server.port)
    loop, answered = asyncio.get_running_loop(), 0

    until = loop.time() + 0.2
    while loop.time() < until:
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        answered += answer.startswith(b"HTTP/1.1 302 ")
    writer.close()

    assert answered > 10  # whatever was asked was answered, or the read would have failed


class QuickClient(asyncio.Transport):
    """The quickest client there can be: each answer has the next request right behind it."""

    def __init__(self, connection, requests):
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.connection, self.requests, self.answers = connection, list(requests), []

    def write(self, data):
        self.answers.append(data)
        if self.requests:
            asyncio.get_running_loop().call_soon(self.connection.data_received, self.requests.pop(0))

    def is_closing(self):
        return False

    def close(self):
        pass


async def test_a_connection_comes_back_to_direct_answers(start_router):
    """Once its task has answered what only it can, quick as the client may be; aiohttp counts what its task gets."""
    router = await start_router()
    plain = get(router.ring.sign("https://example.com/a"))
    for_the_task = plain.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    server = router.server._runner.server
    connection = server()
    client = QuickClient(connection, [for_the_task, *[plain] * 20])

    connection.connection_made(client)
    connection.data_received(plain)
    async with asyncio.timeout(HANG_S):
        while len(client.answers) < 22:
            await asyncio.sleep(0)

    assert server.requests_count == 1
    assert all(answer.startswith(b"HTTP/1.1 302 ") for answer in client.answers)
    connection.connection_lost(None)


async def test_an_idle_connection_that_ends_leaves_nothing_behind(start_router):
    router = await start_router()
    readers = [await asyncio.open_connection("127.0.0.1", router.server.port) for _ in range(20)]
    for _, writer in readers:
        writer.close()

    answer = await router.talk(get(router.ring.sign("https://example.com/a")), LAST)

    assert answer.startswith(b"HTTP/1.1 302 ")


async def test_stopping_finishes_what_is_in_flight(start_router):
    router = await start_router()
    path = router.ring.sign("https://example.com/a")
    clients = [asyncio.create_task(router.talk(get(path))) for _ in range(20)]
    while len(router.clicks) < 20:
        await asyncio.sleep(0.01)

    await router.server.stop()

    for answer in await asyncio.gather(*clients):
        assert answer.startswith(b"HTTP/1.1 302 ")


async def test_a_fault_of_ours_is_a_constant_500_and_the_router_lives_on(start_router):
    router = await start_router()

    def broken(path):
        raise RuntimeError(path)

    good, router.responder.open_link = router.responder.open_link, broken
    answer = await router.talk(get("/2s/CANARY"))
    router.responder.open_link = good
    after = await router.talk(get("/-/ready"), LAST)

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"CANARY" not in answer
    assert after.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("records_first", "seen"), [(False, 3), (True, 0)], ids=["before", "after"])
async def test_a_recipient_has_the_answers_before_or_after_the_clicks_are_recorded(start_router, records_first, seen):
    received = []

    def record(clicks):
        with contextlib.suppress(BlockingIOError):
            received.append(0)
            received[-1] = client.recv(65536, socket.MSG_PEEK).count(b" 302 ")
        received.append(len(clicks))

    router = await start_router(record=record)
    router.responder.records_first = records_first
    path = router.ring.sign("https://example.com/")

    with socket.create_connection(("127.0.0.1", router.server.port)) as client:
        client.setblocking(False)
        client.send(get(path) * 3)
        async with asyncio.timeout(HANG_S):
            while len(received) < 2:
                await asyncio.sleep(0.005)

    assert received == [seen, 3]


async def test_an_aiohttp_without_the_private_parts_answers_the_ordinary_way(start_router, monkeypatch, caplog):
    monkeypatch.setattr("linkrouter.router.aiohttp_parts.HANDLER_PARTS", ("_buffer_paused", "_of_another_release"))
    caplog.set_level("WARNING", "linkrouter")
    router = await start_router()
    path = router.ring.sign("https://example.com/a")

    answers = await router.talk(get(path), get(path, method="POST"), LAST)

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"302", b"405", b"200"]
    assert len(router.clicks) == 1
    assert [record.getMessage() for record in caplog.records] == ["router.ordinary"]


def test_this_aiohttp_has_every_private_part():
    assert find_missing_parts() == ()


def test_names_the_private_parts_that_an_aiohttp_lacks():
    class OtherHandler(RequestHandler):
        _waiter = property()

    class OtherParser:
        pass

    assert find_missing_parts(OtherHandler, OtherParser) == ("message_consumed",)
    assert find_missing_parts(OtherParser)[0] == "_buffer_paused"

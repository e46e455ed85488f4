"""What recipients, and those who mean harm, get from HAProxy; and that nothing of it is written down."""

import http.client
import socket

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived, StreamEnded, StreamReset
from haproxy.machine import HOST, make_certificate
from haproxy.talk import SOURCE, ask, ask_h2, connect, parse, say
from processes import HANG_S, wait_until

from linkrouter.link.codec import encode_base64url

HSTS = "max-age=63072000"
MARK = "CANARY"


def click_of(machine, number):
    """Wait for the click of the link with *number* and give it."""
    link_id = encode_base64url(number.to_bytes(8, "big"))
    found = wait_until(lambda: [click for click in machine.clicks() if click["link_id"] == link_id])
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("ask_one", [ask, ask_h2], ids=["HTTP/1.1", "HTTP/2"])
def test_a_link_is_redirected_with_hsts_and_its_exact_destination(machine, ask_one):
    path, destination = machine.link()

    answer = ask_one(machine, path)

    assert answer.status == 302
    assert answer.headers["location"] == destination
    assert answer.headers["strict-transport-security"] == HSTS
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("ask_one", [ask, ask_h2], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("query", ["", "?utm_source=" + "x" * 300], ids=["bare", "with a query appended"])
def test_the_longest_link_passes_unharmed(machine, ask_one, query):
    destination = "https://example.com/%2F%2f//Aa/"
    destination += "%" * ((8000 - len(machine.keyring.sign(destination))) // 3)  # each is written %25
    path = machine.keyring.sign(destination)

    answer = ask_one(machine, path + query)

    assert 7990 < len(path) <= 8000
    assert answer.status == 302
    assert answer.headers["location"] == destination


def test_a_link_of_8000_characters_reaches_the_router(machine):
    answer = ask(machine, "/2s/" + "a" * 7996)

    assert answer.status == 404
    assert answer.body.startswith(b"<!doctype html>")  # the router's page, not HAProxy's


OWN_ANSWERS = {
    "POST": (lambda machine: ask(machine, f"/2s/{MARK}", method="POST"), 405),
    "POST with a body": (lambda m: ask(m, f"/2s/{MARK}", "Content-Length: 6", method="POST", body=b"CANARY"), 405),
    "TRACE": (lambda machine: ask(machine, f"/2s/{MARK}", method="TRACE"), 405),
    "CONNECT": (lambda machine: ask(machine, f"{HOST}:443", method="CONNECT"), 405),
    "OPTIONS *": (lambda machine: ask(machine, "*", f"X-Custom: {MARK}", method="OPTIONS"), 405),
    "an unknown method": (lambda machine: ask(machine, "/", method=MARK), 405),
    "GET with a body": (lambda machine: ask(machine, f"/{MARK}", "Content-Length: 6", body=b"CANARY"), 413),
    "GET with a chunked body": (
        lambda machine: ask(machine, f"/{MARK}", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        413,
    ),
    "both lengths": (
        lambda machine: ask(machine, f"/{MARK}", "Content-Length: 6", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        413,
    ),
    "a path too long": (lambda machine: ask(machine, "/2s/" + MARK * 1400), 414),
    "POST over HTTP/2": (lambda machine: ask_h2(machine, f"/{MARK}", method="POST"), 405),
    "a path too long over HTTP/2": (lambda machine: ask_h2(machine, "/2s/" + MARK * 1400), 414),
    "readiness": (lambda machine: ask(machine, f"/-/ready?{MARK}"), 404),
    "readiness over HTTP/2": (lambda machine: ask_h2(machine, f"/-/ready?{MARK}"), 404),
    "readiness in absolute form": (lambda machine: ask(machine, f"https://{HOST}/-/ready"), 404),
    "readiness behind two slashes": (lambda machine: ask(machine, "//-/ready"), 404),
    "readiness, encoded": (lambda machine: ask(machine, "/%2d/ready"), 404),
    "metrics": (lambda machine: ask(machine, "/metrics"), 404),
    "a forged link": (lambda machine: ask(machine, f"/2s/{MARK}/AQ/-----w/s9pPdQ161ySR8bc"), 404),
    "a cookie and a referrer": (lambda machine: ask(machine, "/x", f"Cookie: {MARK}", f"Referer: http://{MARK}/"), 404),
    "an upgrade": (lambda machine: ask(machine, f"/{MARK}", "Upgrade: websocket", "Sec-WebSocket-Key: x"), 404),
    "ninety headers": (lambda machine: ask(machine, f"/{MARK}", *(f"X-{n}: {MARK}" for n in range(90))), 404),
}


@pytest.mark.parametrize("name", OWN_ANSWERS)
def test_every_refusal_carries_hsts(machine, name):
    talk, status = OWN_ANSWERS[name]

    answer = talk(machine)

    assert answer.status == status
    assert answer.headers["strict-transport-security"] == HSTS
    assert MARK.encode() not in answer.body
    assert not any(MARK in value for value in answer.headers.values())


NO_HTTP = {
    "a bad header name": f"GET /{MARK} HTTP/1.1\r\nHost: {HOST}\r\nBad {MARK} : 1\r\n\r\n".encode(),
    "two lengths": f"GET /{MARK} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".encode(),
    "a fragment": f"GET /2s/x#{MARK} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(),
    "bytes that are no ASCII": f"GET /{MARK}\xff HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode("latin-1"),
    "NUL": f"GET /{MARK}\0 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(),
    "the absolute form of another host": f"GET http://{MARK}/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(),
    "two hosts": f"GET /{MARK} HTTP/1.1\r\nHost: {HOST}\r\nHost: {MARK}\r\n\r\n".encode(),
    "headers that are too large": f"GET /{MARK} HTTP/1.1\r\nHost: {HOST}\r\nX: {MARK * 3000}\r\n\r\n".encode(),
    "two hundred headers": b"".join(
        [
            f"GET /{MARK} HTTP/1.1\r\nHost: {HOST}\r\n".encode(),
            *(f"X-{n}: {MARK}\r\n".encode() for n in range(200)),
            b"\r\n",
        ]
    ),
    "another protocol": f"{MARK} {MARK}\r\n\r\n".encode(),
    "a smuggled encoding": f"GET /{MARK} HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: \x0bchunked\r\n\r\n".encode(),
    "HTTP/9.9": f"GET /{MARK} HTTP/9.9\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode(),
    "a proxy header": f"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /{MARK} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(),
    "half a request": f"GET /{MARK} HTTP/1.1\r\nHost: {HOST}\r\n".encode(),
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_request_is_closed_and_never_answered_without_hsts(machine, name):
    raw = say(machine, NO_HTTP[name])

    answer = parse(raw)
    assert raw == b"" or answer.headers["strict-transport-security"] == HSTS
    assert answer.status in (0, 400, 404)
    assert MARK.encode() not in raw


@pytest.mark.parametrize("ask_one", [ask, ask_h2], ids=["HTTP/1.1", "HTTP/2"])
def test_forged_headers_reach_no_click(machine, ask_one):
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "Forwarded": "for=203.0.113.9",
        "X-Real-IP": "203.0.113.9",
        "X-Request-Id": f"{MARK}-{MARK}",
        "User-Agent": f"{MARK}/1",
    }
    headers = [f"{name}: {value}" for name, value in forged.items()]
    if ask_one is ask_h2:
        headers = [(name.lower(), value) for name, value in forged.items()]

    path, _ = machine.link()
    number = machine.sign_number
    assert ask_one(machine, path, *headers, *headers[:1]).status == 302

    click = click_of(machine, number)
    assert click["ip"] == SOURCE
    assert MARK not in click["id"]
    assert click["user_agent"] == f"{MARK}/1"


def test_plain_http_is_redirected_for_good_and_unharmed(machine):
    connection = http.client.HTTPConnection(machine.address, machine.ports["http"], timeout=HANG_S)
    connection.request("GET", "/2s/a%2Fb/Aa%2f?x=1", headers={"Host": HOST})
    answer = connection.getresponse()

    assert answer.status == 308
    assert answer.getheader("Location") == f"https://{HOST}/2s/a%2Fb/Aa%2f?x=1"
    connection.close()


@pytest.mark.parametrize("host", ["evil.example", f"{HOST}.evil.example", "127.0.0.1", f"x.{HOST}"])
def test_plain_http_sends_nobody_to_a_name_that_is_not_ours(machine, host):
    connection = http.client.HTTPConnection(machine.address, machine.ports["http"], timeout=HANG_S)
    connection.request("GET", "/2s/a", headers={"Host": host})
    answer = connection.getresponse()

    assert answer.status == 404
    assert answer.getheader("Location") is None
    connection.close()


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}:80"])
def test_plain_http_knows_a_name_however_it_is_spelt(machine, host):
    connection = http.client.HTTPConnection(machine.address, machine.ports["http"], timeout=HANG_S)
    connection.request("GET", "/2s/a", headers={"Host": host})

    assert connection.getresponse().status == 308
    connection.close()


def test_a_body_over_http2_without_a_length_is_refused_and_reaches_no_router(machine):
    path, _ = machine.link()

    answer = ask_h2(machine, path, body=b"CANARY")

    assert answer.status == 413
    assert answer.headers["strict-transport-security"] == HSTS


@pytest.mark.parametrize("end", ["late", "never"])
def test_a_request_over_http2_that_does_not_end_reaches_no_router(machine, end):
    path, _ = machine.link()
    with connect(machine, alpn="h2") as connection:
        h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        h2.initiate_connection()
        h2.send_headers(1, [(":method", "GET"), (":authority", HOST), (":scheme", "https"), (":path", path)])
        connection.sendall(h2.data_to_send())
        if end == "late":
            h2.send_data(1, b"", end_stream=True)
            connection.sendall(h2.data_to_send())
        events = []
        while not any(isinstance(event, StreamEnded | StreamReset) for event in events):
            events += h2.receive_data(connection.recv(65536))
        status = [dict(event.headers)[":status"] for event in events if isinstance(event, ResponseReceived)]

    assert status == (["302"] if end == "late" else [])  # the stream is reset


def test_a_challenge_for_a_certificate_goes_to_the_acme_client(machine):
    with socket.create_server(("127.0.0.1", machine.ports["acme"])) as server:
        connection = http.client.HTTPConnection(machine.address, machine.ports["http"], timeout=HANG_S)
        connection.request("GET", "/.well-known/acme-challenge/abc", headers={"Host": HOST})
        server.settimeout(10)
        client, _ = server.accept()
        with client:
            assert client.recv(65536).startswith(b"GET /.well-known/acme-challenge/abc ")
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")

        assert connection.getresponse().read() == b"abc"
        connection.close()


def test_wrong_links_of_one_source_never_block_its_good_ones(machine):
    path, _ = machine.link()

    seen = {ask(machine, f"/wp-login.php?{number}").status for number in range(120)}
    after = ask(machine, path)

    assert seen == {404, 429}
    assert after.status == 302


def test_each_name_gets_its_own_certificate(machine):
    other = make_certificate(machine.home, "go.example.org")
    with open(machine.home / "crt-list.txt", "a") as names:
        names.write(f"{other}\n")
    machine.reload_haproxy()
    path, _ = machine.link()

    def certificate(name):
        with connect(machine, name=name) as connection:
            return connection.getpeercert(binary_form=True)

    ours, theirs = certificate(HOST), certificate("go.example.org")
    assert ours != theirs
    assert certificate("unknown.example.net") == certificate(None) == ours
    assert ask(machine, path).status == 302


def test_nothing_of_a_request_was_written(machine):
    for talk, _ in OWN_ANSWERS.values():
        talk(machine)
    for name, raw in NO_HTTP.items():
        if name != "half a request":  # that takes 5 s, and its own test has done it to this machine
            say(machine, raw)
    with socket.create_connection((machine.address, machine.ports["https"]), source_address=(SOURCE, 0)) as plain:
        plain.sendall(f"GET /{MARK} HTTP/1.1\r\nHost: {MARK}\r\n\r\n".encode())  # where TLS is spoken
        plain.recv(65536)
    machine.signal("blue-1", 9)
    for _ in range(6):
        ask(machine, f"/2s/{MARK}", f"User-Agent: {MARK}")
    machine.revive("blue-1")

    log = machine.log()

    assert "front=https" in log  # something was logged: errors and retries are
    assert MARK not in log
    assert SOURCE not in log
    assert HOST not in log

"""Clients that say exactly what they are told, over TLS."""

import socket
import ssl
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from haproxy.machine import HOST, Machine
from processes import HANG_S

SOURCE = "127.0.0.77"  # so that the client's address is none that stands in logs for another reason


@dataclass
class Answer:
    """What came back: a status of 0 when nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes


def connect(machine: Machine, *, name: str | None = HOST, alpn: str = "http/1.1", **limits) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    for limit, version in limits.items():
        setattr(context, limit, version)
    address = (machine.address, machine.ports["https"])
    raw = socket.create_connection(address, timeout=HANG_S, source_address=(SOURCE, 0))
    return context.wrap_socket(raw, server_hostname=name)


def ask(machine: Machine, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> Answer:
    """Ask over HTTP/1.1 and close."""
    lines = "".join(f"{line}\r\n" for line in (f"Host: {HOST}", "Connection: close", *headers))
    return parse(say(machine, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body))


def say(machine: Machine, *pieces: bytes) -> bytes:
    """Send *pieces* and give all that comes back until the other side closes."""
    received = b""
    with connect(machine) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while data := connection.recv(65536):
                received += data
        except (ConnectionError, ssl.SSLError):
            pass  # it closed while we were still talking
    return received


def parse(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return Answer(int(lines[0].split()[1]) if raw else 0, headers, body)


def ask_h2(machine: Machine, path: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> Answer:
    """Ask over HTTP/2."""
    answer = Answer(0, {}, b"")
    with connect(machine, alpn="h2") as connection:
        assert connection.selected_alpn_protocol() == "h2"
        h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1", validate_outbound_headers=False))
        h2.initiate_connection()
        pseudo = [(":method", method), (":authority", HOST), (":scheme", "https"), (":path", path)]
        h2.send_headers(1, [*pseudo, *headers], end_stream=not body)
        if body:
            h2.send_data(1, body, end_stream=True)
        connection.sendall(h2.data_to_send())
        while data := connection.recv(65536):
            for event in h2.receive_data(data):
                if isinstance(event, ResponseReceived):
                    answer.headers = dict(event.headers)
                    answer.status = int(answer.headers[":status"])
                elif isinstance(event, DataReceived):
                    answer.body += event.data
                elif isinstance(event, StreamEnded | StreamReset):
                    return answer
            connection.sendall(h2.data_to_send())
    return answer

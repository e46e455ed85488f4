"""One plain HTTP request of the doctor's, and what came back."""

import contextlib
import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

from linkrouter.dial.trust import trusting_context

__all__ = ["Heard", "hear"]

WITHIN_S = 5.0
MAX_HEARD_BYTES = 4 * 1024**2


class Heard(NamedTuple):
    """An answer; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def hear(url: str, token: str = "") -> Heard:
    """Ask for *url*, with *token* if there is one; nothing is followed.

    Raises:
        OSError: nobody answers, or not over TLS that is trusted.
        http.client.HTTPException: what answers does not speak HTTP.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=WITHIN_S, context=trusting_context())
    else:
        connection = http.client.HTTPConnection(host, port, timeout=WITHIN_S)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path or "/", headers=headers)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Heard(answer.status, found, answer.read(MAX_HEARD_BYTES))

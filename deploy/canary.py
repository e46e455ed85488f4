"""Canary links: tracked links that must work for ever, and what a router answers to them.

Promise: a canary is asked for with HEAD, which no statistics count; and a router that redirects a forged link fails as
surely as one that refuses a genuine one.
"""

import contextlib
import http.client
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from haproxy_socket import Stopped

ANSWER_S = 2.0
CURE = "it must hold lines of a tracked link, a space and its destination; see deploy/README.md"


@dataclass(frozen=True, slots=True)
class Canary:
    """A link, and where it leads; with no destination it is forged and leads nowhere."""

    what: str
    host: str
    path: str
    destination: str | None


def read_canaries(path: Path) -> list[Canary]:
    """Read the links of a file, each followed by its forgery.

    Raises:
        Stopped: there is no usable link in it.
    """
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as exc:
        raise Stopped(f"canary file {str(path)!r} cannot be read; {CURE}") from exc
    if not lines or any(len(line) != 2 or not urlsplit(line[0]).hostname for line in lines):
        raise Stopped(f"canary file {str(path)!r} holds no links; {CURE}")
    return [canary for number, line in enumerate(lines, 1) for canary in _with_forgery(number, *line)]


def ask_canaries(canaries: Iterable[Canary], who: str, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
    """Ask *who*, at *address*, for every link, over TLS when *tls* is given.

    Raises:
        Stopped: an answer is late, missing or wrong.
    """
    for canary in canaries:
        wanted = (404, None) if canary.destination is None else (302, canary.destination)
        try:
            got = _head(address, canary, tls)
        except (OSError, http.client.HTTPException) as exc:
            raise Stopped(f"{who} does not answer {canary.what} ({str(exc) or type(exc).__name__})") from exc
        if got != wanted:
            where = " to another place" if got[0] == wanted[0] else ""
            raise Stopped(f"{who} answers {canary.what} with {got[0]}{where} instead of {wanted[0]}")


def is_ready(address: tuple[str, int]) -> bool:
    """Ask the router at *address* whether it takes requests and clicks."""
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_S)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def _with_forgery(number: int, link: str, destination: str) -> tuple[Canary, Canary]:
    url = urlsplit(link)
    forged = url.path[:-1] + ("A" if url.path[-1:] != "A" else "E")
    host = url.hostname or ""
    what = f"canary link {number}"
    return Canary(what, host, url.path, destination), Canary(f"a forgery of {what}", host, forged, None)


def _head(address: tuple[str, int], canary: Canary, tls: ssl.SSLContext | None) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_S)
    with contextlib.closing(connection):
        connection.connect()
        if tls is not None:
            connection.sock = tls.wrap_socket(connection.sock, server_hostname=canary.host)
        connection.request("HEAD", canary.path, headers={"Host": canary.host, "User-Agent": "linkrouter-deploy"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location")

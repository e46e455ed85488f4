"""Canary links: tracked links that must work for ever, and what a router answers to them.

Promise: a canary is asked for with HEAD, which no statistics count; and a router that redirects a forged link fails as
surely as one that refuses a genuine one.
"""

import base64
import binascii
import http.client
import ssl
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from asking import ask
from haproxy_socket import Stopped

CURE = "it must hold lines of a tracked link, a space and its destination; see deploy/README.md"


@dataclass(frozen=True, slots=True)
class Canary:
    """A link, and where it leads; with no destination it is forged and leads nowhere."""

    what: str
    host: str
    path: str
    destination: str | None


def read_canaries(path: Path, revoked: Collection[int] = ()) -> list[Canary]:
    """Read the links of a file, each followed by its forgery, without those of a key that is *revoked*.

    Raises:
        Stopped: there is no usable link in it.
    """
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as exc:
        raise Stopped(f"canary file {str(path)!r} cannot be read; {CURE}") from exc
    if not lines or any(len(line) != 2 or not urlsplit(line[0]).hostname for line in lines):
        raise Stopped(f"canary file {str(path)!r} holds no links; {CURE}")
    return [
        canary
        for number, line in enumerate(lines, 1)
        if _key_id_of(line[0]) not in revoked
        for canary in with_forgery(f"canary link {number}", *line)
    ]


def with_forgery(what: str, link: str, destination: str) -> tuple[Canary, Canary]:
    """Give *link*, called *what* in messages, and a forgery of it."""
    url = urlsplit(link)
    forged = url.path[:-1] + ("A" if url.path[-1:] != "A" else "E")
    host = url.hostname or ""
    return Canary(what, host, url.path, destination), Canary(f"a forgery of {what}", host, forged, None)


def dead_canary(link: str) -> Canary:
    """Give *link*, made with a key that is revoked, as one that no router may follow."""
    url = urlsplit(link)
    return Canary("a link of the revoked key", url.hostname or "", url.path, None)


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


def ask_front(canaries: Iterable[Canary], address: tuple[str, int], tls: ssl.SSLContext) -> None:
    """Ask at *address* for each host of *canaries* over TLS; any answer will do, for it is the active colour's.

    Raises:
        Stopped: the address, its TLS or its certificate would fail recipients, whichever colour is active.
    """
    for canary in {canary.host: canary for canary in canaries}.values():
        try:
            _head(address, canary, tls)
        except (OSError, http.client.HTTPException) as exc:
            raise Stopped(
                f"{address[0]}:{address[1]} does not answer for {canary.host} ({str(exc) or type(exc).__name__}); "
                "no traffic was moved; give --front, or --ca when the certificate is none that this machine trusts"
            ) from exc


def is_ready(address: tuple[str, int]) -> bool:
    """Ask the router at *address* whether it takes requests and clicks."""
    try:
        return ask(address, f"{address[0]}:{address[1]}", "/-/ready", method="GET").status == 200
    except (OSError, http.client.HTTPException):
        return False


def _key_id_of(link: str) -> int | None:
    """Give the key that a link names: the low half of the first byte before its id (wire format, version 2)."""
    try:
        return base64.urlsafe_b64decode(urlsplit(link).path.split("/")[-3][:2] + "==")[0] & 0x0F
    except (IndexError, binascii.Error):
        return None


def _head(address: tuple[str, int], canary: Canary, tls: ssl.SSLContext | None) -> tuple[int, str | None]:
    answer = ask(address, canary.host, canary.path, tls)
    return answer.status, answer.headers.get("location")

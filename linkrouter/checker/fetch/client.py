"""One HTTP request to one vetted address.

Promise: a connection is made only to an address that was judged after it was resolved, and to a name only when every
one of its addresses may be connected to. What comes back is a value: an `HttpAnswer`, or the reason why there is none.
No proxy of the environment, no cookies, no credentials, no redirect followed, no content decoded.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

import httpcore
import httpx

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.dial.addresses import IpNetwork
from linkrouter.dial.dialer import CONNECT_TIMEOUT_S, Dialer, ForbiddenAddress
from linkrouter.dial.resolve import Resolve, resolve

__all__ = [
    "BROWSER_HEADERS",
    "CONNECTION_POOLS",
    "MAX_IDLE_CONNECTIONS",
    "MAX_PAGE_BYTES",
    "RANGE",
    "RANGE_BYTES",
    "USER_AGENT",
    "Failure",
    "HttpClient",
]

MAX_PAGE_BYTES = 64 * 1024
RANGE_BYTES = 16 * 1024
CONNECTION_POOLS = 16  # a pool looks through all its connections for every request
MAX_IDLE_CONNECTIONS = 16  # of one pool

# A browser's: many sites answer anything else with a wall.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
BROWSER_HEADERS = (
    ("User-Agent", USER_AGENT),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.9"),
    ("Accept-Encoding", "identity"),  # so that nothing here has to be unpacked
)

RANGE = (("Range", f"bytes=0-{RANGE_BYTES - 1}"),)

# OpenSSL's X509_V_ERR_… codes; the rest is "certificate invalid".
_CERTIFICATE_FAULTS = {
    9: "certificate not valid yet",
    10: "certificate expired",
    18: "certificate self-signed",
    19: "certificate issuer unknown",
    20: "certificate issuer unknown",
    21: "certificate issuer unknown",
    62: "certificate for another host",
    64: "certificate for another host",
}


class Failure(NamedTuple):
    """Why there is no answer: one of `CHECK_REASONS`, and whether there was a connection to ask over."""

    reason: str
    connected: bool = False


class HttpClient:
    """Pools of vetted connections, to public addresses and to the networks of *allowed*."""

    def __init__(
        self,
        allowed: tuple[IpNetwork, ...] = (),
        *,
        resolve_host: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        context = ssl_context or httpx.create_ssl_context(trust_env=False)
        dialer = Dialer(allowed, resolve_host)
        self._transports = [_transport(context, dialer) for _ in range(CONNECTION_POOLS)]

    async def close(self) -> None:
        """Close every connection."""
        for transport in self._transports:
            await transport.aclose()

    async def request(
        self, method: str, origin: str, target: str, within_s: float, *, ranged: bool = False
    ) -> HttpAnswer | Failure:
        """Ask *origin* (`https://host:port`) for *target*, whose characters are sent as they are.

        Reads no body of HEAD, and at most 64 KB of GET's; *ranged* asks for the first of them alone.
        """
        extensions = {"target": target.encode("ascii"), "timeout": {"connect": CONNECT_TIMEOUT_S}}
        try:
            async with asyncio.timeout(within_s):
                request = httpx.Request(method, origin, headers=BROWSER_HEADERS + RANGE * ranged, extensions=extensions)
                response = await self._transports[hash(origin) % CONNECTION_POOLS].handle_async_request(request)
                try:
                    body = await _read(response, within_s / 2) if method == "GET" else b""
                finally:
                    await response.aclose()
        except Exception as exc:  # whatever a hostile server provokes is one link's verdict, never more
            return _failure(exc)
        return HttpAnswer(response.status_code, _headers(response), body)


def _transport(context: ssl.SSLContext, dialer: Dialer) -> httpx.AsyncHTTPTransport:
    transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
    # httpx has no way to hand a network backend down to its pool, so the pool is put in place of its own.
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=context,
        max_connections=None,  # the limits keeps the number
        max_keepalive_connections=MAX_IDLE_CONNECTIONS,
        keepalive_expiry=5.0,
        http2=True,
        network_backend=dialer,
    )
    return transport


async def _read(response: httpx.Response, within_s: float) -> bytes:
    """Read what comes of the body in time: the status is known already, so a body cut short is still an answer."""
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) >= MAX_PAGE_BYTES:
                    break
    except (TimeoutError, httpx.TransportError):
        pass
    return bytes(body[:MAX_PAGE_BYTES])


def _headers(response: httpx.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.raw:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}\n{text}" if key in headers else text
    return headers


def _failure(exc: BaseException) -> Failure:
    causes = list(_causes(exc))
    for cause in causes:
        if isinstance(cause, ForbiddenAddress):
            return Failure(cause.reason)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure(_CERTIFICATE_FAULTS.get(cause.verify_code, "certificate invalid"))
        if isinstance(cause, ssl.SSLError):
            return Failure("TLS failed")
        if isinstance(cause, socket.gaierror):
            absent = cause.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
            return Failure("host does not exist" if absent else "name lookup failed")
    if any(isinstance(cause, httpx.ConnectTimeout) for cause in causes):
        return Failure("timed out")
    if any(isinstance(cause, TimeoutError | httpx.TimeoutException | httpcore.TimeoutException) for cause in causes):
        return Failure("timed out", connected=True)
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if errno.ECONNREFUSED in numbers:
        return Failure("connection refused")
    if numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}:
        return Failure("network unreachable")
    cut_off = isinstance(exc, httpx.RemoteProtocolError) and "disconnected" in str(exc)
    if cut_off or (isinstance(exc, httpx.NetworkError | OSError)):
        return Failure("connection reset", connected=True)
    return Failure("not HTTP", connected=True)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Give *exc* and everything it came from; a failed connection is wrapped four layers deep."""
    seen: set[int] = set()
    pending = [exc]
    while pending:
        exc = pending.pop(0)
        if exc is None or id(exc) in seen:
            continue
        seen.add(id(exc))
        yield exc
        pending += [exc.__cause__, exc.__context__, *(exc.exceptions if isinstance(exc, BaseExceptionGroup) else ())]

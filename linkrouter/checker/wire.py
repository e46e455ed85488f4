"""One HTTP request to one vetted address.

Promise: a connection is made only to an address that was judged after it was resolved, and to a name only when every
one of its addresses may be connected to. What comes back is a value: an `Answer`, or the reason why there is none.
No proxy of the environment, no cookies, no credentials, no redirect followed, no content decoded.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from linkrouter.checker.addresses import Address, Network, may_connect
from linkrouter.checker.classify import Answer
from linkrouter.checker.resolve import Resolve, resolve

__all__ = ["MAX_BODY_BYTES", "Failure", "Wire"]

CONNECT_TIMEOUT_S = 3.0
MAX_BODY_BYTES = 64 * 1024
MAX_IDLE_CONNECTIONS = 256
MAX_DIALLED = 4  # addresses of one name
VETTED_FOR_S = 30.0  # how long the vetted addresses of a name are used for further connections

# A browser's: many sites answer anything else with a wall.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
HEADERS = (
    ("User-Agent", USER_AGENT),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.9"),
    ("Accept-Encoding", "identity"),  # so that nothing here has to be unpacked
)

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


class Failure(Exception):
    """Why there is no answer: one of `REASONS`. Raised only below httpx; to the rest of the checker it is a value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Dialler(httpcore.AsyncNetworkBackend):
    """Resolves, vets every address, and connects to one. httpcore goes on using the name for TLS and `Host`."""

    def __init__(self, allowed: tuple[Network, ...], resolve_host: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve_host
        self._inner = httpcore.AnyIOBackend()
        self._vetted: dict[tuple[str, int], tuple[float, tuple[Address, ...]]] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect within *timeout* seconds, name lookup included.

        Raises:
            Failure: the name has no address, or one that may not be connected to.
            httpcore.ConnectError: no address accepts.
        """
        async with asyncio.timeout(timeout):
            addresses = await self._vet(host, port)
            for number, address in enumerate(addresses, start=1):
                # A dead IPv6 route must not use up the time of the IPv4 address behind it.
                patience = CONNECT_TIMEOUT_S / 2 if number < len(addresses) else None
                try:
                    return await self._inner.connect_tcp(str(address), port, patience, local_address, socket_options)
                except (httpcore.ConnectError, httpcore.ConnectTimeout):
                    if number == len(addresses):
                        raise
        raise Failure("host does not exist")

    async def _vet(self, host: str, port: int) -> tuple[Address, ...]:
        known = self._vetted.get((host, port))
        if known and time.monotonic() - known[0] < VETTED_FOR_S:
            return known[1]
        addresses = tuple(dict.fromkeys(await self._resolve(host)))
        if not all(may_connect(address, 443, self._allowed) for address in addresses):
            raise Failure("address not public")
        if not all(may_connect(address, port, self._allowed) for address in addresses):
            raise Failure("port not checked")
        addresses = addresses[:MAX_DIALLED]
        if len(self._vetted) > 10_000:
            self._vetted.clear()
        self._vetted[host, port] = (time.monotonic(), addresses)
        return addresses


class Wire:
    """A pool of vetted connections."""

    def __init__(
        self,
        allowed: tuple[Network, ...] = (),
        *,
        resolve_host: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._transport = httpx.AsyncHTTPTransport(trust_env=False)
        # httpx has no way to hand a network backend down to its pool, so the pool is put in place of its own.
        self._transport._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(trust_env=False),
            max_connections=None,  # the pace keeps the number
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=5.0,
            http2=True,
            network_backend=_Dialler(allowed, resolve_host),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def request(self, method: str, origin: str, target: str, within_s: float) -> Answer | Failure:
        """Ask *origin* (`https://host:port`) for *target*, whose characters are sent as they are.

        Reads no body of HEAD, and at most 64 KB of GET's.
        """
        extensions = {"target": target.encode("ascii"), "timeout": {"connect": CONNECT_TIMEOUT_S}}
        try:
            async with asyncio.timeout(within_s):
                request = httpx.Request(method, origin, headers=HEADERS, extensions=extensions)
                response = await self._transport.handle_async_request(request)
                try:
                    body = await _read(response, within_s / 2) if method == "GET" else b""
                finally:
                    await response.aclose()
        except Exception as exc:  # whatever a hostile server provokes is one link's verdict, never more
            return _failure(exc)
        return Answer(response.status_code, _headers(response), body)


async def _read(response: httpx.Response, within_s: float) -> bytes:
    """Read what comes of the body in time: the status is known already, so a body cut short is still an answer."""
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) >= MAX_BODY_BYTES:
                    break
    except (TimeoutError, httpx.TransportError):
        pass
    return bytes(body[:MAX_BODY_BYTES])


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
        if isinstance(cause, Failure):
            return cause
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure(_CERTIFICATE_FAULTS.get(cause.verify_code, "certificate invalid"))
        if isinstance(cause, ssl.SSLError):
            return Failure("TLS failed")
        if isinstance(cause, socket.gaierror):
            absent = cause.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
            return Failure("host does not exist" if absent else "name lookup failed")
    if any(isinstance(cause, TimeoutError | httpx.TimeoutException | httpcore.TimeoutException) for cause in causes):
        return Failure("timed out")
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if errno.ECONNREFUSED in numbers:
        return Failure("connection refused")
    if numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}:
        return Failure("network unreachable")
    cut_off = isinstance(exc, httpx.RemoteProtocolError) and "disconnected" in str(exc)
    if cut_off or (isinstance(exc, httpx.NetworkError | OSError)):
        return Failure("connection reset")
    return Failure("not HTTP")


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

"""One HTTP request to one vetted address.

Promise: a connection is made only to an address that was judged after it was resolved, and to a name only when every
one of its addresses may be connected to. What comes back is a value: an `HttpAnswer`, or the reason why there is none.
No proxy of the environment, no cookies, no credentials, no redirect followed. A request that failed
over a good connection is asked again on one of its own, and over HTTP/1.1.
"""

import asyncio
from typing import NamedTuple

from linkrouter.checker.fetch.certificates import MAX_CERTIFICATE_BYTES
from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.fetch.faults import Failure, NotProcessed, RequestFault, failure_of, fault_of
from linkrouter.checker.fetch.http1 import MAX_PAGE_BYTES, BodyLimit, ask_http1
from linkrouter.checker.fetch.packed import unpacked
from linkrouter.checker.fetch.pool import AnyConnection, Pool
from linkrouter.checker.fetch.tls import Tls
from linkrouter.checker.urls import split_url
from linkrouter.dial.addresses import IpNetwork
from linkrouter.dial.dialer import Connection, Dialer
from linkrouter.dial.resolve import Resolve, resolve

__all__ = ["BROWSER_HEADERS", "RANGE", "RANGE_BYTES", "USER_AGENT", "HttpClient"]

RANGE_BYTES = 16 * 1024

# A browser's: many sites answer anything else with a wall.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
BROWSER_HEADERS = (
    ("User-Agent", USER_AGENT),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.9"),
    ("Accept-Encoding", "identity"),
)
RANGE = (("Range", f"bytes=0-{RANGE_BYTES - 1}"),)


class _Request(NamedTuple):
    method: str
    origin: str
    target: str
    headers: tuple[tuple[str, str], ...]
    answer_within_s: float
    body: BodyLimit

    def for_http1(self) -> bytes:
        host = self.origin.partition("://")[2]
        lines = (f"{self.method} {self.target} HTTP/1.1", f"Host: {host}", "Connection: keep-alive")
        return "\r\n".join((*lines, *(f"{name}: {value}" for name, value in self.headers), "", "")).encode("ascii")

    def for_http2(self) -> list[tuple[str, str]]:
        scheme, _, host = self.origin.partition("://")
        pseudo = [(":authority", host), (":scheme", scheme), (":path", self.target)]
        return pseudo + [(name.lower(), value) for name, value in self.headers]


class HttpClient:
    """Vetted connections, to public addresses and to the networks of *allowed*; *ca_file* is whom TLS trusts."""

    def __init__(
        self,
        allowed: tuple[IpNetwork, ...] = (),
        *,
        resolve_host: Resolve = resolve,
        ca_file: str | None = None,
    ) -> None:
        self._dialer = Dialer(allowed, resolve_host)
        self._tls = Tls(self._fetch_issuer, ca_file)
        self._pool = Pool(self._open)

    async def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    async def request(
        self,
        method: str,
        origin: str,
        target: str,
        within_s: float,
        *,
        answer_s: float = 3600.0,
        ranged: bool = False,
        max_bytes: int = MAX_PAGE_BYTES,
    ) -> HttpAnswer | Failure:
        """Ask *origin* (`https://host:port`) for *target*, whose characters are sent as they are.

        All of it may take *within_s*, and what comes after the connection stands *answer_s*. Reads no body of HEAD, and
        at most *max_bytes* of GET's; *ranged* asks for the first kilobytes alone.
        """
        body = BodyLimit(max_bytes, within_s / 2)
        request = _Request(method, origin, target, BROWSER_HEADERS + RANGE * ranged, answer_s, body)
        progress = _Progress()
        try:
            async with asyncio.timeout(within_s):
                return await self._ask(request, progress)
        except TimeoutError:
            return progress.first_fault or Failure("timed out", connected=progress.connected)
        except Exception as exc:  # whatever a hostile server provokes is one link's verdict, never more
            return progress.first_fault or failure_of(exc)

    async def _ask(self, request: _Request, progress: "_Progress") -> HttpAnswer:
        """Ask over a kept connection, over one of its own, and over HTTP/1.1, as far as the faults give reason to."""
        connection, used = await self._pool.take(request.origin)
        keep = True
        while True:
            spoke_http2 = not isinstance(connection, Connection)
            try:
                return await self._exchange(connection, request, progress, keep=keep)
            except RequestFault as exc:
                again = used or (keep and isinstance(exc, NotProcessed))
                if not again and not spoke_http2:
                    raise
                if not again:
                    progress.first_fault = failure_of(exc)
            connection = await self._open(request.origin, http2=again)
            used = keep = False

    async def _exchange(
        self, connection: AnyConnection, request: _Request, progress: "_Progress", *, keep: bool = True
    ) -> HttpAnswer:
        progress.connected = True
        reusable = False
        try:
            async with asyncio.timeout(request.answer_within_s):
                if isinstance(connection, Connection):
                    answer, reusable = await ask_http1(connection, request.method, request.for_http1(), request.body)
                else:
                    reusable = True
                    answer = await connection.ask(request.method, request.for_http2(), request.body)
        except TimeoutError:
            raise
        except OSError as exc:
            raise fault_of(exc) from exc
        finally:
            if not (reusable and keep):
                connection.close()
            elif isinstance(connection, Connection):
                self._pool.give_back(request.origin, connection)
        return unpacked(answer, request.body.max_bytes)

    async def _open(self, origin: str, *, http2: bool = True) -> AnyConnection:
        """Connect to *origin*, and speak TLS where it says so."""
        scheme, _, host = origin.partition("://")
        name, port = _host_and_port(host, 443 if scheme == "https" else 80)

        async def connect() -> Connection:
            return await self._dialer.connect(name, port)

        if scheme == "http":
            return await connect()
        connection = await self._tls.connect(connect, name, http2=http2)
        if http2 and connection.ssl_object and connection.ssl_object.selected_alpn_protocol() == "h2":
            from linkrouter.checker.fetch.http2 import Http2Connection  # it needs the extra

            shared = Http2Connection(connection)
            await shared.start()
            return shared
        return connection

    async def _fetch_issuer(self, url: str) -> bytes | None:
        """Get a certificate for `Tls`, over plain HTTP and from judged addresses, too."""
        try:
            origin, _, target = split_url(url)
            request = _Request("GET", origin, target, BROWSER_HEADERS, 3.0, BodyLimit(MAX_CERTIFICATE_BYTES, 2.0))
            answer = await self._exchange(await self._open(origin), request, _Progress(), keep=False)
        except Exception:  # no certificate, for whatever reason
            return None
        return answer.body if answer.status == 200 else None


class _Progress:
    """How far a request has come."""

    def __init__(self) -> None:
        self.connected = False
        self.first_fault: Failure | None = None  # what is told, should asking again bring nothing better


def _host_and_port(host: str, default: int) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    return (name, int(port)) if colon and port.isdigit() else (host, default)

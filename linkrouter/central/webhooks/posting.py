"""One HTTP request to an endpoint, over judged addresses.

Promise: only public addresses are reached, and networks that the operator opened; plain HTTP goes to the latter alone.
No redirect is followed, no proxy of the environment used, and of an answer only its status and Retry-After are kept:
whoever may name an endpoint reads nothing through us. An attempt ends within its deadline.
"""

import asyncio
import ipaddress
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import ada_url
import h11

from linkrouter.central.webhooks.schedule import Answer
from linkrouter.dial.addresses import IpAddress, IpNetwork, may_connect
from linkrouter.dial.dialer import CONNECT_TIMEOUT_S, Connection, Dialer, ForbiddenAddress
from linkrouter.dial.resolve import Resolve, resolve
from linkrouter.dial.trust import trusting_context
from linkrouter.retry import find_retry_after

__all__ = ["ATTEMPT_TIMEOUT_S", "Poster", "Target", "find_target"]

ATTEMPT_TIMEOUT_S = 15.0
MAX_HEAD_BYTES = 16 * 1024
MAX_READ_BYTES = 64 * 1024  # of an answer's body, to use the connection again
MAX_IDLE_OF_ENDPOINT = 16  # connections of one endpoint
REUSED_WITHIN_S = 30.0

MAX_TARGETS = 1000  # remembered, since reading a URL takes as long as signing an event

HeaderPairs = list[tuple[str, str]]


class Authority(NamedTuple):
    """What a connection is made to."""

    is_secure: bool
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads, and what is sent along."""

    peer: Authority
    path: str = field(repr=False)
    headers: HeaderPairs = field(repr=False)


@lru_cache(MAX_TARGETS)
def find_target(url: str, allowed: tuple[IpNetwork, ...] = ()) -> Target | None:
    """Read *url*; None when it is no place that may be posted to, as far as that is known without asking for names."""
    try:
        parts = ada_url.URL(url)
    except ValueError:
        return None
    is_secure = parts.protocol == "https:"
    if not is_secure and (parts.protocol != "http:" or not allowed):
        return None
    port = int(parts.port) if parts.port else 443 if is_secure else 80
    try:
        address = ipaddress.ip_address(parts.hostname.strip("[]"))
    except ValueError:
        address = None
    if address is not None and not may_connect(address, port, allowed):
        return None
    headers = [("Host", parts.host), ("User-Agent", "linkrouter"), ("Content-Type", "application/json")]
    if parts.username or parts.password:
        pair = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password)
        headers.append(("Authorization", f"Basic {b64encode(pair).decode()}"))
    return Target(Authority(is_secure, parts.hostname, port), parts.pathname + parts.search, headers)


class Poster:
    """Posts, and keeps connections for the next event."""

    def __init__(
        self,
        allowed: tuple[IpNetwork, ...] = (),
        *,
        resolve_host: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = ATTEMPT_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.allowed = allowed
        self._dialers = {
            True: Dialer(allowed, resolve_host),
            False: Dialer(allowed, _only_within(allowed, resolve_host)),
        }
        self._timeout_s = timeout_s
        self._clock = clock
        self._idle: dict[Authority, list[tuple[float, _Channel]]] = {}
        self._context = tls  # made when it is needed: the system's authorities take milliseconds to read

    async def post(self, url: str, headers: HeaderPairs, body: bytes) -> Answer:
        """Send *body* and give what came of it; whatever goes wrong is an `Answer`, too."""
        target = find_target(url, self.allowed)
        if target is None:
            return Answer(None, "address not public")
        request = h11.Request(
            method="POST",
            target=target.path,
            headers=[*target.headers, ("Content-Length", str(len(body))), *headers],
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(target.peer, request, body)
        except (TimeoutError, OSError, ForbiddenAddress, h11.RemoteProtocolError) as exc:
            return Answer(None, _words(exc))

    def close(self) -> None:
        """Close the connections that are kept."""
        idle, self._idle = self._idle, {}
        for kept in idle.values():
            for _, channel in kept:
                channel.connection.close()

    async def _ask(self, peer: Authority, request: h11.Request, body: bytes) -> Answer:
        channel = self._take_idle(peer)
        if channel is not None:
            try:
                return await self._talk(peer, channel, request, body)
            except (OSError, h11.RemoteProtocolError):
                if channel.has_heard:
                    raise
                # Closed while it was idle: nobody has read the request.
        return await self._talk(peer, _Channel(await self._connect(peer)), request, body)

    async def _talk(self, peer: Authority, channel: "_Channel", request: h11.Request, body: bytes) -> Answer:
        try:
            answer, is_reusable = await channel.ask(request, body)
        except BaseException:
            channel.connection.close()
            raise
        kept = self._idle.setdefault(peer, [])
        if is_reusable and len(kept) < MAX_IDLE_OF_ENDPOINT:
            kept.append((self._clock(), channel))
        else:
            channel.connection.close()
        return answer

    def _take_idle(self, peer: Authority) -> "_Channel | None":
        kept = self._idle.get(peer, [])
        while kept:
            since, channel = kept.pop()
            if self._clock() - since < REUSED_WITHIN_S and not channel.connection.is_over:
                return channel
            channel.connection.close()
        return None

    async def _connect(self, peer: Authority) -> Connection:
        connection = await self._dialers[peer.is_secure].connect(peer.host, peer.port, CONNECT_TIMEOUT_S)
        if peer.is_secure:
            if self._context is None:
                self._context = trusting_context()
            await connection.start_tls(self._context, peer.host.strip("[]"))
        return connection


class _Channel:
    """HTTP/1.1 on one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.has_heard = False  # of the request on its way
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def ask(self, request: h11.Request, body: bytes) -> tuple[Answer, bool]:
        """Give the answer, and whether the connection may be used again."""
        self.has_heard = False
        http = self._http
        pieces = (http.send(request), http.send(h11.Data(body)), http.send(h11.EndOfMessage()))
        await self.connection.write(b"".join(piece for piece in pieces if piece))
        head = await self._next()
        while isinstance(head, h11.InformationalResponse):
            head = await self._next()
        if not isinstance(head, h11.Response):
            raise h11.RemoteProtocolError("no answer")
        is_whole = await self._skip_body()
        after = next((value for name, value in head.headers if name == b"retry-after"), b"")
        retry_after_s = find_retry_after(after.decode("latin-1"), time.time())
        return Answer(head.status_code, None, retry_after_s), is_whole

    async def _skip_body(self) -> bool:
        """Read what is left of the answer, and give whether the connection may be used again."""
        size = 0
        try:
            while True:
                event = await self._next()
                if isinstance(event, h11.Data):
                    size += len(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                if size > MAX_READ_BYTES or not isinstance(event, h11.Data):
                    return False
            self._http.start_next_cycle()
        except (OSError, h11.RemoteProtocolError, h11.LocalProtocolError):
            return False  # the status is an answer all the same
        return True

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self.connection.read()
            self.has_heard = self.has_heard or bool(data)
            self._http.receive_data(data)
        return event


def _only_within(allowed: tuple[IpNetwork, ...], resolve_host: Resolve) -> Resolve:
    async def resolved(host: str) -> tuple[IpAddress, ...]:
        addresses = await resolve_host(host)
        if not all(any(each.version == net.version and each in net for net in allowed) for each in addresses):
            raise ForbiddenAddress("address not public")
        return addresses

    return resolved


def _words(exc: Exception) -> str:
    if isinstance(exc, ForbiddenAddress):
        return exc.reason
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return "certificate not valid"
    if isinstance(exc, ssl.SSLError):
        return "TLS failed"
    if isinstance(exc, socket.gaierror):
        return "host does not exist"
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    return "connection cut" if isinstance(exc, OSError) else "not HTTP"

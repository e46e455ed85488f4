"""Connections to vetted addresses, as httpcore wants them.

Promise: every address of a name is judged after it was resolved, and a name that has one bad address is not connected
to at all. httpcore goes on using the name for TLS and `Host`. The streams are asyncio's own: httpcore's, on anyio,
take twice the time for what a checker needs of them.
"""

import asyncio
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore

from linkrouter.dial.addresses import IpAddress, IpNetwork, may_connect
from linkrouter.dial.resolve import Resolve

__all__ = [
    "CONNECT_TIMEOUT_S",
    "MAX_DIALLED",
    "MAX_VETTED",
    "READ_LIMIT_BYTES",
    "VETTED_FOR_S",
    "Dialer",
    "ForbiddenAddress",
]

CONNECT_TIMEOUT_S = 3.0
MAX_DIALLED = 4  # addresses of one name
VETTED_FOR_S = 30.0  # how long the vetted addresses of a name are used for further connections
MAX_VETTED = 10_000
READ_LIMIT_BYTES = 64 * 1024


class ForbiddenAddress(Exception):
    """A host that is not connected to; `reason` is one of the verdicts' reasons."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Dialer(httpcore.AsyncNetworkBackend):
    """Resolves, vets and connects."""

    def __init__(self, allowed: tuple[IpNetwork, ...], resolve_host: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve_host
        self._vetted: dict[tuple[str, int], tuple[float, tuple[IpAddress, ...]]] = {}

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
            ForbiddenAddress: the name has no address, or one that may not be connected to.
            OSError: no address accepts.
        """
        async with asyncio.timeout(timeout):
            addresses = await self._vet(host, port)
            for address in addresses[:-1]:
                # A dead IPv6 route must not use up the time of the IPv4 address behind it.
                with suppress(OSError):
                    async with asyncio.timeout(CONNECT_TIMEOUT_S / 2):
                        return await _connect(address, port)
            return await _connect(addresses[-1], port)

    async def _vet(self, host: str, port: int) -> tuple[IpAddress, ...]:
        known = self._vetted.get((host, port))
        if known and time.monotonic() - known[0] < VETTED_FOR_S:
            return known[1]
        addresses = tuple(dict.fromkeys(await self._resolve(host)))
        if not addresses:
            raise ForbiddenAddress("host does not exist")
        if not all(may_connect(address, 443, self._allowed) for address in addresses):
            raise ForbiddenAddress("address not public")
        if not all(may_connect(address, port, self._allowed) for address in addresses):
            raise ForbiddenAddress("port not checked")
        if len(self._vetted) >= MAX_VETTED:
            self._vetted.clear()
        self._vetted[host, port] = (time.monotonic(), addresses[:MAX_DIALLED])
        return addresses[:MAX_DIALLED]


async def _connect(address: IpAddress, port: int) -> "_Stream":
    return _Stream(*await asyncio.open_connection(str(address), port, limit=READ_LIMIT_BYTES))


class _Stream(httpcore.AsyncNetworkStream):
    """An asyncio connection. The link's own deadline stands around all of it, so only TLS looks at *timeout*."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            return await self._reader.read(max_bytes)
        except OSError as exc:
            raise httpcore.ReadError("the connection was cut") from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        try:
            self._writer.write(buffer)
            await self._writer.drain()
        except OSError as exc:
            raise httpcore.WriteError("the connection was cut") from exc

    async def aclose(self) -> None:
        # Not waited for: a server that does not answer the end of TLS would hold the link.
        self._writer.transport.abort() if self._is_tls() else self._writer.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except BaseException:
            self._writer.transport.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked of an idle connection: the server has closed it
            return self._reader.at_eof()
        return self._writer.get_extra_info(info)

    def _is_tls(self) -> bool:
        return self._writer.get_extra_info("ssl_object") is not None

"""Connections to vetted addresses.

Promise: every address of a name is judged after it was resolved, and a name that has one bad address is not connected
to at all. Of the good ones each has its chance within the connect limit, by turns of family (RFC 8305): a route that
swallows packets costs a quarter of a second, and not the link. The name goes on being used for TLS and `Host`.
"""

import asyncio
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, zip_longest

from linkrouter.dial.addresses import IpAddress, IpNetwork, may_connect
from linkrouter.dial.resolve import Resolve

__all__ = [
    "ATTEMPT_DELAY_S",
    "CONNECT_TIMEOUT_S",
    "MAX_DIALLED",
    "MAX_VETTED",
    "READ_BYTES",
    "VETTED_FOR_S",
    "Connection",
    "Dialer",
    "ForbiddenAddress",
]

CONNECT_TIMEOUT_S = 3.0
ATTEMPT_DELAY_S = 0.25  # RFC 8305 §8
MAX_DIALLED = 16  # addresses of one name, so that nobody is flooded through us
VETTED_FOR_S = 30.0  # how long the vetted addresses of a name are used for further connections
MAX_VETTED = 10_000
READ_BYTES = 64 * 1024


class ForbiddenAddress(Exception):
    """A host that is not connected to; `reason` is one of the verdicts' reasons."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connection:
    """A connection; reading and writing raise OSError when it was cut. Deadlines are the caller's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """Give what has come, nothing at the end."""
        return await self._reader.read(READ_BYTES)

    async def write(self, data: bytes) -> None:
        """Send *data*, waiting where the other side is slow to take it."""
        self._writer.write(data)
        await self._writer.drain()

    def write_soon(self, data: bytes) -> None:
        """Send *data*, and do not wait; for little of it."""
        self._writer.write(data)

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Speak TLS from here on.

        Raises:
            ssl.SSLError, OSError: it cannot be spoken, or the certificate does not hold; the connection is closed.
        """
        try:
            await self._writer.start_tls(context, server_hostname=server_name)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close at once: a server that does not answer the end of TLS would hold the link."""
        self._writer.transport.abort()

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """What TLS agreed on; None where it is not spoken."""
        found: ssl.SSLObject | None = self._writer.get_extra_info("ssl_object")
        return found

    @property
    def is_over(self) -> bool:
        """Whether the other side has closed it, as far as is known."""
        return self._reader.at_eof() or self._writer.transport.is_closing()


class Dialer:
    """Resolves, vets and connects, to public addresses and to the networks of *allowed*."""

    def __init__(self, allowed: tuple[IpNetwork, ...], resolve_host: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve_host
        self._vetted: dict[tuple[str, int], tuple[float, tuple[IpAddress, ...]]] = {}

    async def connect(self, host: str, port: int, timeout_s: float = CONNECT_TIMEOUT_S) -> Connection:
        """Connect within *timeout_s* seconds, name lookup included.

        Raises:
            ForbiddenAddress: the name has no address, or one that may not be connected to.
            OSError: no address accepts.
            TimeoutError: none does in time.
        """
        async with asyncio.timeout(timeout_s):
            addresses = await self._vet(host, port)
            delay_s = min(ATTEMPT_DELAY_S, timeout_s / 2 / len(addresses))
            address, connection = await _race(addresses, port, delay_s)
        known = self._vetted.get((host, port))
        if known and address != addresses[0]:  # the next connection is spared what stood before it
            self._vetted[host, port] = known[0], (address, *(each for each in known[1] if each != address))
        return connection

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
        dialled = _by_turns(addresses)[:MAX_DIALLED]
        self._vetted[host, port] = (time.monotonic(), dialled)
        return dialled


def _by_turns(addresses: Iterable[IpAddress]) -> tuple[IpAddress, ...]:
    """Give the families in turn, beginning with that of the first address (RFC 8305 §4)."""
    families: dict[int, list[IpAddress]] = {}
    for address in addresses:
        families.setdefault(address.version, []).append(address)
    return tuple(each for each in chain.from_iterable(zip_longest(*families.values())) if each is not None)


async def _race(addresses: Iterable[IpAddress], port: int, delay_s: float) -> tuple[IpAddress, Connection]:
    """Give the connection that stood first, and its address; the next is tried after *delay_s*, or when one fails."""
    waiting = list(addresses)
    running: set[asyncio.Task[tuple[IpAddress, Connection]]] = set()
    failures: list[BaseException] = []
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(_connect(waiting.pop(0), port)))
            done, _ = await asyncio.wait(
                running, timeout=delay_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                running.discard(task)
                failure = task.exception()
                if failure is None:
                    return task.result()
                failures.append(failure)
        raise next((each for each in failures if isinstance(each, ConnectionRefusedError)), failures[-1])
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[tuple[IpAddress, Connection]]) -> None:
    with suppress(BaseException):
        task.result()[1].close()


async def _connect(address: IpAddress, port: int) -> tuple[IpAddress, Connection]:
    return address, Connection(*await asyncio.open_connection(str(address), port, limit=READ_BYTES))

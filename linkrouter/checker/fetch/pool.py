"""Connections that are used again: HTTP/2 ones by many at once, HTTP/1.1 ones by one after another.

Promise: a connection belongs to one origin, and is one that the dialler has judged. Of an origin that speaks HTTP/2 one
connection is opened, however many ask at once. What nobody uses is closed after a few seconds.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

from linkrouter.dial.dialer import Connection

if TYPE_CHECKING:
    from linkrouter.checker.fetch.http2 import Http2Connection  # it needs the extra

__all__ = ["KEPT_IDLE_S", "MAX_IDLE", "MAX_KNOWN", "AnyConnection", "Open", "Pool"]

KEPT_IDLE_S = 4.0
MAX_IDLE = 128
MAX_KNOWN = 10_000

AnyConnection: TypeAlias = "Connection | Http2Connection"
Open: TypeAlias = "Callable[[str], Awaitable[AnyConnection]]"  # from an origin to a new connection


class Pool:
    """Connections by origin, made by *open_connection*."""

    def __init__(self, open_connection: Open) -> None:
        self._open = open_connection
        self._idle: OrderedDict[Connection, tuple[str, float]] = OrderedDict()  # the oldest first
        self._by_origin: dict[str, list[Connection]] = {}
        self._shared: dict[str, Http2Connection] = {}
        self._http1: set[str] = set()  # origins that do not speak HTTP/2
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._sweeping: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close every connection that nobody uses, and the shared ones."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in self._idle:
            connection.close()
        for shared in self._shared.values():
            shared.close()
        self._idle.clear()
        self._by_origin.clear()
        self._shared.clear()

    async def take(self, origin: str) -> tuple[AnyConnection, bool]:
        """Give a connection to *origin*, and whether it was used before; give an HTTP/1.1 one back when it is free."""
        found = self._find(origin)
        if found is not None:
            return found, True
        if origin.startswith("https:") and origin not in self._http1:
            async with self._lock(origin):  # the first to come learns what it speaks
                found = self._find(origin)
                if found is not None:
                    return found, True
                if origin not in self._http1:
                    return await self._open_first(origin), False
        return await self._open(origin), False

    async def _open_first(self, origin: str) -> AnyConnection:
        opened = await self._open(origin)
        if not isinstance(opened, Connection):
            self._shared[origin] = opened
            self._sweep_later()
        else:
            if len(self._http1) >= MAX_KNOWN:
                self._http1.clear()
            self._http1.add(origin)
        return opened

    def _lock(self, origin: str) -> asyncio.Lock:
        lock = self._opening.get(origin)
        if lock is None:
            lock = self._opening[origin] = asyncio.Lock()
        return lock

    def give_back(self, origin: str, connection: Connection) -> None:
        """Keep *connection*, on which the next request may be made."""
        self._idle[connection] = origin, asyncio.get_running_loop().time()
        self._by_origin.setdefault(origin, []).append(connection)
        if len(self._idle) > MAX_IDLE:
            self._drop(next(iter(self._idle))).close()
        self._sweep_later()

    def _find(self, origin: str) -> "AnyConnection | None":
        shared = self._shared.get(origin)
        if shared is not None:
            if not shared.is_over:
                return shared
            del self._shared[origin]
        while origin in self._by_origin:
            connection = self._drop(self._by_origin[origin][-1])
            if not connection.is_over:
                return connection
            connection.close()
        return None

    def _drop(self, connection: Connection) -> Connection:
        origin, _ = self._idle.pop(connection)
        self._by_origin[origin].remove(connection)
        if not self._by_origin[origin]:
            del self._by_origin[origin]
        return connection

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(KEPT_IDLE_S / 2, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for long; an HTTP/2 connection, when it is seen idle twice."""
        self._sweeping = None
        then = asyncio.get_running_loop().time() - KEPT_IDLE_S
        for connection in [each for each, (_, since) in self._idle.items() if since < then]:
            self._drop(connection).close()
        for origin, shared in list(self._shared.items()):
            if shared.is_over or shared.was_idle:
                del self._shared[origin]
                shared.close()
            else:
                shared.was_idle = shared.is_idle
        if self._idle or self._shared:
            self._sweep_later()

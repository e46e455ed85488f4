"""Host names to addresses, as the machine itself resolves them.

Promise: a lookup never outlives its caller's patience. `loop.getaddrinfo` runs in a pool of a handful of threads that
are joined at exit, so a few dead name servers would stall every other lookup and then the end of the process; here
each lookup has a daemon thread of its own, and the one that would be too many fails at once.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable

from linkrouter.dial.addresses import IpAddress

__all__ = ["MAX_LOOKUPS", "Resolve", "resolve"]

Resolve = Callable[[str], Awaitable[tuple[IpAddress, ...]]]

MAX_LOOKUPS = 512  # more are waiting only when name servers do not answer

_slots = threading.BoundedSemaphore(MAX_LOOKUPS)


async def resolve(host: str) -> tuple[IpAddress, ...]:
    """Give every address of *host*, in the order in which the system would try them.

    Raises:
        socket.gaierror: it has none (EAI_NONAME, EAI_NODATA), or the lookup itself failed (any other code).
    """
    try:
        return (ipaddress.ip_address(host.strip("[]")),)
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[IpAddress, ...]] = loop.create_future()
    if not _slots.acquire(blocking=False):
        raise socket.gaierror(socket.EAI_AGAIN, "too many lookups are waiting")
    threading.Thread(target=_look_up, args=(host, loop, found), daemon=True).start()
    return await found


def _look_up(host: str, loop: asyncio.AbstractEventLoop, found: "asyncio.Future[tuple[IpAddress, ...]]") -> None:
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        result: tuple[IpAddress, ...] | Exception = tuple(
            ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in rows
        )
    except (OSError, UnicodeError) as exc:
        result = exc if isinstance(exc, socket.gaierror) else socket.gaierror(socket.EAI_NONAME, "not a host name")
    finally:
        _slots.release()
    try:
        loop.call_soon_threadsafe(_deliver, found, result)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _deliver(found: "asyncio.Future[tuple[IpAddress, ...]]", result: tuple[IpAddress, ...] | Exception) -> None:
    if found.done():
        return
    if isinstance(result, Exception):
        found.set_exception(result)
    else:
        found.set_result(result)

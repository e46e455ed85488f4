"""Host names to addresses, as the machine itself resolves them.

Promise: a lookup never outlives its caller's patience. `loop.getaddrinfo` runs in a pool of a handful of threads that
are joined at exit, so a few dead name servers would stall every other lookup and then the end of the process; here
each lookup has a daemon thread of its own, and the one that would be too many fails at once. A name server that leaves
the question for one family unanswered hides no address of the other.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable

from linkrouter.dial.addresses import IpAddress

__all__ = ["MAX_LOOKUPS", "PATIENCE_S", "Resolve", "resolve"]

Resolve = Callable[[str], Awaitable[tuple[IpAddress, ...]]]

MAX_LOOKUPS = 512  # more are waiting only when name servers do not answer
PATIENCE_S = 1.0  # for both families together, before each is asked for alone

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
    lookups = {_look_up_later(host, socket.AF_UNSPEC)}
    try:
        done, _ = await asyncio.wait(lookups, timeout=PATIENCE_S)
        if not done:
            lookups |= {_look_up_later(host, family) for family in (socket.AF_INET, socket.AF_INET6)}
        return await _first_found(lookups)
    finally:
        for lookup in lookups:
            if not lookup.cancel() and not lookup.cancelled():
                lookup.exception()  # looked at, so that asyncio does not complain


_Found = asyncio.Future[tuple[IpAddress, ...]]


async def _first_found(lookups: "set[_Found]") -> tuple[IpAddress, ...]:
    """Give what the first lookup finds, or raise why the last found nothing."""
    waiting = lookups
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for lookup in done:
            if lookup.exception() is None or not waiting:
                return lookup.result()


def _look_up_later(host: str, family: int) -> "_Found":
    loop = asyncio.get_running_loop()
    found: _Found = loop.create_future()
    if _slots.acquire(blocking=False):
        threading.Thread(target=_look_up, args=(host, family, loop, found), daemon=True).start()
    else:
        found.set_exception(socket.gaierror(socket.EAI_AGAIN, "too many lookups are waiting"))
    return found


def _look_up(host: str, family: int, loop: asyncio.AbstractEventLoop, found: "_Found") -> None:
    try:
        rows = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
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


def _deliver(found: "_Found", result: tuple[IpAddress, ...] | Exception) -> None:
    if found.done():
        return
    if isinstance(result, Exception):
        found.set_exception(result)
    else:
        found.set_result(result)

"""Signs of life for systemd (`Type=notify`, `WatchdogSec=`): ready, alive, stopping.

Promise: a service is ready when it listens and not before, and alive while its event loop turns: the signs come from a
timer of that loop, so one that hangs is killed and started again. Without systemd nothing happens.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

from linkrouter.settings import find_service_manager

__all__ = ["signs_of_life"]

SEND_S = 1.0  # systemd reads at once; a loop must not wait for it


@contextlib.contextmanager
def signs_of_life(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Tell the service manager that the service is ready, at the end that it stops, and meanwhile that it lives."""
    manager = find_service_manager()
    if manager is None:
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(SEND_S)
        timer: asyncio.TimerHandle | None = None

        def tell(state: str) -> None:
            with contextlib.suppress(OSError):  # it is being restarted, or gone: serving goes on
                channel.sendto(state.encode("ascii"), manager.address)

        def beat(every_s: float) -> None:
            nonlocal timer
            tell("WATCHDOG=1")
            timer = loop.call_later(every_s, beat, every_s)

        tell("READY=1")
        if manager.watchdog_s is not None:
            beat(manager.watchdog_s / 2)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            tell("STOPPING=1")

"""The signals of a service: SIGHUP from its first moment on, SIGTERM and SIGINT while it serves.

Promise: a hang-up never ends a service. One that comes before the service can reload is remembered, and obeyed once
it can: a supervisor that reloads what it has just started must not kill it.
"""

import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["reload_on_hangup", "remember_hangups", "until_stopped"]

_early: list[int] = []


def remember_hangups() -> None:
    """Note every SIGHUP from now on; call this first of all in a service's process."""
    signal.signal(signal.SIGHUP, lambda number, _: _early.append(number))


def reload_on_hangup(loop: "asyncio.AbstractEventLoop", reload: Callable[[], object]) -> None:
    """Call *reload* at each SIGHUP from now on, and at once when one has come already."""
    loop.add_signal_handler(signal.SIGHUP, reload)
    if _early:
        _early.clear()
        loop.call_soon(reload)


@contextmanager
def until_stopped(loop: "asyncio.AbstractEventLoop") -> Iterator[Callable[[], Coroutine[Any, Any, bool]]]:
    """Give what waits for SIGTERM or SIGINT, to be awaited once the service is ready; see `signs_of_life`.

    Behind the block, no signal is caught any more.
    """
    from asyncio import Event  # not before a hang-up can be remembered

    from linkrouter.processes.life_signs import signs_of_life

    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def wait() -> bool:
        with signs_of_life(loop):
            return await stop.wait()

    try:
        yield wait
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

"""SIGHUP from the first moment of a service on.

Promise: a hang-up never ends a service. One that comes before the service can reload is remembered, and obeyed once
it can: a supervisor that reloads what it has just started must not kill it.
"""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["reload_on_hangup", "remember_hangups"]

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

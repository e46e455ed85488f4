"""What each process of a router does at its start and at its end.

Promise: SIGTERM, SIGINT and the end of a supervisor are one event, and a process that is short of memory does
not go on deaf.
"""

import asyncio
import gc
import os
import signal
from typing import Any

from linkrouter.clicks.store import ClickStore, StoreLimits, open_click_store
from linkrouter.log import quiet_exception_handler
from linkrouter.settings import RouterSettings

__all__ = ["new_click_store", "settle_memory", "stop_of_signals", "watch_memory"]


def new_click_store(settings: RouterSettings) -> ClickStore:
    """Give the click store of *settings*; it is not opened yet."""
    return open_click_store(settings.click_store, StoreLimits(settings.spool_max_bytes, settings.spool_reserve_bytes))


def stop_of_signals(*, supervised: bool) -> asyncio.Event:
    """Give what SIGTERM and SIGINT set, and, where this process is *supervised*, the end of its supervisor."""
    from linkrouter.router.supervisor import watch_supervisor

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if supervised:
        watch_supervisor(loop)
    return stop


def watch_memory(loop: asyncio.AbstractEventLoop) -> None:
    """Log what nothing else caught; when memory is short, end as by a kill, to be started again.

    A process that went on could be deaf: uvloop accepts no more connections once it failed to allocate one.
    """
    loop.set_exception_handler(_end_without_memory)


def _end_without_memory(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    quiet_exception_handler(loop, context)
    if isinstance(context.get("exception"), MemoryError):
        os.kill(os.getpid(), signal.SIGKILL)


def settle_memory() -> None:
    """Take what start-up made out of the collector's sight, and let it look less often: clicks hold no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

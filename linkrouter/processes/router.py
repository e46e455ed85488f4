"""The router process: what answers, the recorder, and what forwards, from start to stop.

Promise: SIGTERM ends it within ten seconds and loses nothing that can be kept; SIGHUP reads the keyring, the
token and the own domains again, says which keys are in use, and a bad file keeps the old ones.
"""

import asyncio
import gc
import os
import signal
from typing import Any

from linkrouter.clicks.click import mint_click_ids
from linkrouter.clicks.store import ClickStore, StoreLimits, open_click_store
from linkrouter.log import log, quiet_exception_handler
from linkrouter.metrics import Metrics
from linkrouter.processes.answering import Answering
from linkrouter.processes.forwarding import Forwarding
from linkrouter.processes.life_signs import signs_of_life
from linkrouter.processes.report import describe_router
from linkrouter.processes.signals import reload_on_hangup
from linkrouter.settings import RouterSettings

__all__ = ["run_router", "serve_router"]

LAST_COMMIT_S = 3.0  # for the queue to become durable when stopping


async def run_router(settings: RouterSettings, worker: int | None) -> None:
    """Serve, and end the process from inside the loop.

    A disk that hangs holds SQLite's thread; the loop would wait for what waits for it. What can be kept is kept by now.
    """
    await serve_router(settings, worker)
    os._exit(0)


async def serve_router(settings: RouterSettings, worker: int | None = None, stop: asyncio.Event | None = None) -> None:
    """Run one router until SIGTERM or SIGINT; with *stop*, until that is set, and signals are the caller's.

    Raises:
        SettingsError, StoreError, KeyringError: it could not start.
    """
    stop = stop or _stop_of_signals(worker)
    asyncio.get_running_loop().set_exception_handler(_end_without_memory)
    store = open_click_store(settings.click_store, StoreLimits(settings.spool_max_bytes, settings.spool_reserve_bytes))
    await store.open()
    try:
        await _serve(settings, store, worker, stop)
    finally:
        await store.close()
    log("router.stopped")


async def _serve(settings: RouterSettings, store: ClickStore, worker: int | None, stop: asyncio.Event) -> None:
    """Serve until *stop*, then let go in an order that loses nothing."""
    from linkrouter.router import Recorder, RecorderLimits

    metrics, mint_id = Metrics("router"), mint_click_ids(os.urandom(8))
    limits = RecorderLimits(
        settings.queue_max_clicks,
        settings.queue_max_bytes,
        settings.commit_interval_ms / 1000,
        settings.commit_max_clicks,
    )
    recorder = Recorder(store, limits, metrics, mint_id)

    def tell_state() -> dict[str, object]:
        dropped = sum(metrics.counter("linkrouter_clicks_dropped").values())
        return describe_router(worker, store.own_share(), dropped, answering.keyring, answering.take_backs.in_force)

    forwarding = Forwarding(settings, store, metrics, take_losses=recorder.take_losses, tell_state=tell_state)
    answering = Answering(
        settings, worker, metrics, record=recorder.record, is_ready=lambda: recorder.accepting, mint_id=mint_id
    )

    def reload() -> None:
        answering.reload()
        if forwarding.reload_token():
            answering.take_backs.use_token(forwarding.token)

    async with answering.listening(forwarding.token), asyncio.TaskGroup() as tasks:
        recording = tasks.create_task(recorder.run())
        others = [tasks.create_task(work) for work in (forwarding.run(), answering.take_backs.run())]
        reload_on_hangup(asyncio.get_running_loop(), reload)
        _settle_memory()
        with signs_of_life(asyncio.get_running_loop()):
            await stop.wait()
        await answering.stop()
        await _stop_recording(recorder, recording)
        for task in others:
            task.cancel()


async def _stop_recording(recorder: Any, recording: asyncio.Task[None]) -> None:
    recorder.stop()
    await asyncio.wait([recording], timeout=LAST_COMMIT_S)
    if not recording.done():
        recording.cancel()
        recorder.abandon()


def _stop_of_signals(worker: int | None) -> asyncio.Event:
    """Give what SIGTERM and SIGINT set, and in a worker the end of its supervisor."""
    from linkrouter.router.supervisor import watch_supervisor

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if worker is not None:
        watch_supervisor(loop)
    return stop


def _end_without_memory(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nothing else caught; when memory is short, end as by a kill, to be started again.

    A process that went on could be deaf: uvloop accepts no more connections once it failed to allocate one.
    """
    quiet_exception_handler(loop, context)
    if isinstance(context.get("exception"), MemoryError):
        os.kill(os.getpid(), signal.SIGKILL)


def _settle_memory() -> None:
    """Take what start-up made out of the collector's sight, and let it look less often: clicks hold no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

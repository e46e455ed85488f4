"""The router process: what answers, the recorder, and what forwards, from start to stop.

Promise: SIGTERM ends it within ten seconds and loses nothing that can be kept; SIGHUP reads the keyring, the
token and the own domains again, says which keys are in use, and a bad file keeps the old ones.
"""

import asyncio
import os
from typing import Any

from linkrouter.clicks.click import mint_click_ids
from linkrouter.clicks.store import ClickStore
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.processes.answering import Answering
from linkrouter.processes.forwarding import Forwarding
from linkrouter.processes.life_signs import signs_of_life
from linkrouter.processes.lifetime import new_click_store, settle_memory, stop_of_signals, watch_memory
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
    stop = stop or stop_of_signals(supervised=worker is not None)
    watch_memory(asyncio.get_running_loop())
    store = new_click_store(settings)
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
        return describe_router(worker, store.own_share(), dropped, answering)

    forwarding = Forwarding(settings, store, metrics, take_losses=recorder.take_losses, tell_state=tell_state)
    answering = Answering(
        settings, worker, metrics, record=recorder.record_all, is_ready=lambda: recorder.accepting, mint_id=mint_id
    )

    def reload() -> None:
        answering.reload()
        if forwarding.reload_token():
            answering.take_backs.use_token(forwarding.token)

    async with answering.listening(forwarding.token), asyncio.TaskGroup() as tasks:
        recording = tasks.create_task(recorder.run())
        others = [tasks.create_task(work) for work in (forwarding.run(), answering.take_backs.run())]
        reload_on_hangup(asyncio.get_running_loop(), reload)
        settle_memory()
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

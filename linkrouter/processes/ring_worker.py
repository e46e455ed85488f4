"""The worker before a ring: it answers recipients and writes their clicks down in shared memory, and nothing else.

Promise: it has no store and does not speak to central, so nothing that is slow there is felt by a recipient; what it
wrote down outlives it.
"""

import asyncio
import os
from pathlib import Path

from linkrouter import __version__
from linkrouter.clicks.click import mint_click_ids
from linkrouter.clicks.ring.file import RingFile
from linkrouter.clicks.ring.writer import RingWriter
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.processes.answering import Answering
from linkrouter.processes.life_signs import signs_of_life
from linkrouter.processes.lifetime import settle_memory, stop_of_signals, watch_memory
from linkrouter.processes.report import NOTE_S, describe_answering
from linkrouter.processes.router import run_router
from linkrouter.processes.signals import reload_on_hangup
from linkrouter.settings import RouterSettings

__all__ = ["run_ring_worker"]


async def run_ring_worker(settings: RouterSettings, worker: int, directory: Path) -> None:
    """Serve until SIGTERM or SIGINT, with a ring in *directory*; where there is no room for one, as without rings.

    Raises:
        SettingsError, KeyringError: it could not start.
    """
    try:
        ring = RingFile.create(directory, os.getppid(), worker, settings.ring_bytes)
    except OSError as exc:
        log("ring.none", reason=exc.strerror)
        await run_router(settings, worker)
        return
    watch_memory(asyncio.get_running_loop())
    writer = RingWriter(ring)
    try:
        await _serve(settings, worker, writer)
    finally:
        writer.close()
    log("router.stopped")


async def _serve(settings: RouterSettings, worker: int, writer: RingWriter) -> None:
    from linkrouter.router.ring_recorder import RingRecorder

    stop, metrics = stop_of_signals(supervised=True), Metrics("router")
    recorder = RingRecorder(writer, metrics)
    answering = Answering(
        settings,
        worker,
        metrics,
        record=recorder.record,
        is_ready=lambda: recorder.accepting,
        mint_id=mint_click_ids(os.urandom(8)),
        has_ring=True,
    )
    # One of the workers shows the carrier's figures, so that they are there once.
    async with answering.listening("", writer.heard if worker == 0 else None), asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(work) for work in (answering.take_backs.run(), _tell(writer, worker, answering))]
        reload_on_hangup(asyncio.get_running_loop(), answering.reload)
        settle_memory()
        with signs_of_life(asyncio.get_running_loop()):
            await stop.wait()
        await answering.stop()
        for task in others:
            task.cancel()


async def _tell(writer: RingWriter, worker: int, answering: Answering) -> None:
    """Tell the carrier what to report to central of this worker."""
    while True:
        writer.note({"worker": worker, "version": __version__, **describe_answering(answering)})
        await asyncio.sleep(NOTE_S)

"""The carrier process: from the rings of all workers to the click store, and from there to central.

Promise: it may end at any point and be started again: clicks wait in the rings, and then in the store. Told to stop, it
first carries what the workers have left.
"""

import asyncio
import itertools
import os
from pathlib import Path
from typing import Any

from linkrouter.clicks.ring.carrier import Carrier
from linkrouter.clicks.store import ClickStore
from linkrouter.errors import KeyringError
from linkrouter.link.keyring import Keyring
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.metrics.shared import pack_metrics
from linkrouter.processes.answering import load_keyring
from linkrouter.processes.forwarding import Forwarding
from linkrouter.processes.life_signs import signs_of_life
from linkrouter.processes.lifetime import new_click_store, settle_memory, stop_of_signals, watch_memory
from linkrouter.processes.report import NOTE_S, describe_carried
from linkrouter.processes.signals import reload_on_hangup
from linkrouter.processes.take_backs import TakeBackUpkeep
from linkrouter.settings import RouterSettings

__all__ = ["run_carrier"]

LAST_CARRY_S = 9.0  # for workers to end and the store to take what they left; the rest waits in the rings


async def run_carrier(settings: RouterSettings, directory: Path) -> None:
    """Carry the rings in *directory* until SIGTERM or SIGINT, and end the process from inside the loop.

    A disk that hangs holds SQLite's thread; the loop would wait for what waits for it.

    Raises:
        SettingsError, StoreError, KeyringError: it could not start.
    """
    watch_memory(asyncio.get_running_loop())
    stop, store = stop_of_signals(supervised=True), new_click_store(settings)
    await store.open()
    try:
        await _carry(settings, store, directory, stop)
    finally:
        await store.close()
    log("carrier.stopped")
    os._exit(0)


async def _carry(settings: RouterSettings, store: ClickStore, directory: Path, stop: asyncio.Event) -> None:
    metrics = Metrics("carrier")
    carrier = Carrier(
        directory,
        os.getppid(),
        store,
        metrics,
        interval_s=settings.commit_interval_ms / 1000,
        tells_losses=bool(settings.ingest_url),
    )
    turns = itertools.count()

    def tell_state() -> dict[str, object] | None:
        """Give what central is told of one worker; each in turn."""
        readers = carrier.readers
        return describe_carried(readers[next(turns) % len(readers)], store.own_share()) if readers else None

    forwarding = Forwarding(settings, store, metrics, take_losses=carrier.take_losses, tell_state=tell_state)
    take_backs = TakeBackUpkeep(settings, None, Metrics(), None)
    await take_backs.load(_find_keyring(settings) or Keyring(()), forwarding.token)

    def reload() -> None:
        keyring = _find_keyring(settings)
        if keyring is not None:
            take_backs.use_keyring(keyring)
        if forwarding.reload_token():
            take_backs.use_token(forwarding.token)

    async with asyncio.TaskGroup() as tasks:
        carrying = tasks.create_task(carrier.run())
        works: list[Any] = [forwarding.run(), _show(carrier, metrics)]
        if settings.ingest_url:
            works.append(take_backs.run())
        others = [tasks.create_task(work) for work in works]
        reload_on_hangup(asyncio.get_running_loop(), reload)
        settle_memory()
        with signs_of_life(asyncio.get_running_loop()):
            await stop.wait()
        carrier.stop()
        await asyncio.wait([carrying], timeout=LAST_CARRY_S)
        for task in (carrying, *others):
            task.cancel()
    carrier.close()


async def _show(carrier: Carrier, metrics: Metrics) -> None:
    """Leave this process's figures where a worker shows them."""
    while True:
        figures = pack_metrics(metrics)
        for reader in carrier.readers:
            reader.note(figures)
        await asyncio.sleep(NOTE_S)


def _find_keyring(settings: RouterSettings) -> Keyring | None:
    """Read the keyring, which only tells genuine rules from others here; workers say what is wrong with it."""
    try:
        return load_keyring(settings)
    except KeyringError:
        return None

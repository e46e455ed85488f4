"""The router process: responder, recorder, store and sync, from start to stop.

Promise: SIGTERM ends it within ten seconds and loses nothing that can be kept; SIGHUP reads the keyring, the
token and the own domains again, says which keys are in use, and a bad file keeps the old ones.
"""

import asyncio
import gc
import os
import signal
from typing import TYPE_CHECKING, Any

from linkrouter.clicks.click import mint_click_ids
from linkrouter.clicks.store import ClickStore, Loss, StoreLimits, open_click_store
from linkrouter.errors import KeyringError, SettingsError
from linkrouter.link.keyring import Keyring
from linkrouter.log import log, quiet_exception_handler
from linkrouter.metrics import Metrics
from linkrouter.processes.report import age_of_share, describe_router
from linkrouter.processes.signals import reload_on_hangup
from linkrouter.processes.take_backs import TakeBackUpkeep
from linkrouter.settings import RouterSettings, credentials_directory, default_router_id, read_tokens

if TYPE_CHECKING:
    from linkrouter.sync import Sync

__all__ = ["load_keyring", "run_router", "serve_router"]

STATUS_INTERVAL_S = 5.0  # how old the gauges of the whole store may be
MAX_STORE_LOSSES = 500  # of the store's, told in one request
LAST_COMMIT_S = 3.0  # for the queue to become durable when stopping
LAST_SYNC_S = 2.0  # for central to take what waits when stopping; the rest waits on disk


def load_keyring(settings: RouterSettings) -> Keyring:
    """Read the keyring of *settings*.

    Raises:
        KeyringError: it cannot be used, or holds no key that verifies.
    """
    directory = credentials_directory()
    is_credential = directory is not None and settings.keys.resolve().is_relative_to(directory.resolve())
    ring = Keyring.load(settings.keys, check_mode=not is_credential, accept_mounted=settings.mounted_secrets)
    if all(key.state == "revoked" for key in ring.keys):
        raise KeyringError(f"keyring {str(settings.keys)!r} holds no key that verifies; run 'linkrouter keys rotate'")
    return ring


async def serve_router(settings: RouterSettings, worker: int | None = None, stop: asyncio.Event | None = None) -> None:
    """Run one router until SIGTERM or SIGINT; with *stop*, until that is set, and signals are the caller's.

    Raises:
        SettingsError, StoreError, KeyringError: it could not start.
    """
    from linkrouter.router.supervisor import watch_supervisor

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_end_without_memory)
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    if worker is not None:
        watch_supervisor(loop)
    store = open_click_store(settings.click_store, StoreLimits(settings.spool_max_bytes, settings.spool_reserve_bytes))
    await store.open()
    try:
        await _Process(settings, store, worker).run(stop)
    finally:
        await store.close()
    log("router.stopped")


def _end_without_memory(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nothing else caught; when memory is short, end as by a kill, to be started again.

    A process that went on could be deaf: uvloop accepts no more connections once it failed to allocate one.
    """
    quiet_exception_handler(loop, context)
    if isinstance(context.get("exception"), MemoryError):
        os.kill(os.getpid(), signal.SIGKILL)


async def run_router(settings: RouterSettings, worker: int | None) -> None:
    """Serve, and end the process from inside the loop.

    A disk that hangs holds SQLite's thread; the loop would wait for what waits for it. What can be kept is kept by now.
    """
    await serve_router(settings, worker)
    os._exit(0)


class _Process:
    """The parts of one router process, from start to stop."""

    def __init__(self, settings: RouterSettings, store: ClickStore, worker: int | None) -> None:
        from linkrouter.router import Recorder, RecorderLimits, RequestPolicy, Responder, RouterServer
        from linkrouter.router.domains import load_domains, tell_domains

        self._settings = settings
        self._store = store
        self._worker = worker
        self._token = _read_token(settings)
        self._metrics = Metrics("router")
        self._store_losses: tuple[Loss, ...] = ()
        self._told: set[str] = set()  # losses of the store; after a start they are told again, and counted once
        mint_id = mint_click_ids(os.urandom(8))
        limits = RecorderLimits(
            settings.queue_max_clicks,
            settings.queue_max_bytes,
            settings.commit_interval_ms / 1000,
            settings.commit_max_clicks,
        )
        self._recorder = Recorder(store, limits, self._metrics, mint_id)
        self._sender: Sync | None = None
        self._keyring = load_keyring(settings)
        self._tell_keys()
        self._responder = Responder(
            open_link=self._keyring.open,
            record=self._recorder.record,
            is_ready=lambda: self._recorder.accepting,
            metrics=self._metrics,
            mint_id=mint_id,
            policy=RequestPolicy(settings.trusted_proxies, settings.respect_opt_out),
        )
        self._responder.domains = tell_domains(load_domains(settings.domains), self._metrics)
        self._take_backs = TakeBackUpkeep(settings, worker, self._metrics, self._responder)
        self._server = RouterServer(self._responder, direct_answers=settings.direct_answers)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until *stop*, then let go in an order that loses nothing."""
        await self._take_backs.load(self._keyring, self._token)
        admin = await self._listen()
        try:
            async with asyncio.TaskGroup() as tasks:
                recording = tasks.create_task(self._recorder.run())
                others = [
                    tasks.create_task(work) for work in (self._sync(), self._watch_store(), self._take_backs.run())
                ]
                reload_on_hangup(asyncio.get_running_loop(), self._reload)
                _settle_memory()
                log("router.started", port=self._server.port, worker=self._worker, keys=self._keyring.summary)
                await stop.wait()
                await self._stop_answering()
                await self._stop_recording(recording)
                for task in others:
                    task.cancel()
        finally:
            await admin.cleanup()

    async def _stop_answering(self) -> None:
        log("router.draining")
        self._server.drain()
        await asyncio.sleep(self._settings.drain_ms / 1000)
        await self._server.stop()

    async def _stop_recording(self, recording: asyncio.Task[None]) -> None:
        self._recorder.stop()
        await asyncio.wait([recording], timeout=LAST_COMMIT_S)
        if not recording.done():
            recording.cancel()
            self._recorder.abandon()

    async def _listen(self) -> Any:
        from linkrouter.web.admin import start_admin

        settings = self._settings
        listen, admin = settings.listen, settings.admin_listen
        try:
            setting = "LISTEN"
            await self._server.start(listen.host, listen.port, reuse_port=self._worker is not None)
            setting = "ADMIN_LISTEN"
            admin_port = admin.port + (self._worker or 0) if admin.port else 0
            return await start_admin(self._metrics, admin.host, admin_port)
        except OSError as exc:
            await self._server.stop()
            address = listen if setting == "LISTEN" else admin
            raise SettingsError(
                f"{setting}: cannot listen on {address} ({os.strerror(exc.errno or 0)}); choose another address"
            ) from exc

    def _reload(self) -> None:
        from linkrouter.router.domains import reload_domains, tell_domains

        self._reload_keys()
        self._reload_token()
        domains = reload_domains(self._settings.domains, self._responder.domains)
        self._responder.domains = tell_domains(domains, self._metrics)

    def _reload_keys(self) -> None:
        try:
            ring = load_keyring(self._settings)
        except KeyringError:
            log("keyring.kept", keys=self._keyring.summary)
            return
        event = "keyring.unchanged" if ring.keys == self._keyring.keys else "keyring.loaded"
        self._keyring = ring
        self._responder.open_link = ring.open
        self._take_backs.use_keyring(ring)
        self._tell_keys()
        log(event, keys=ring.summary)

    def _tell_keys(self) -> None:
        self._metrics.info("linkrouter_key_info", [(str(key.id), key.state) for key in self._keyring.keys])

    def _reload_token(self) -> None:
        try:
            token = _read_token(self._settings)
        except SettingsError:
            log("tokens.kept")
            return
        if token != self._token and self._sender is not None:
            self._token = token
            self._sender.use_token(token)
            self._take_backs.use_token(token)
            log("tokens.loaded")

    async def _sync(self) -> None:
        """Send clicks to central until cancelled, and then once more for a moment; without central keep them."""
        settings = self._settings
        if not settings.ingest_url:
            return
        from linkrouter.sync import Sync, open_client

        async with open_client() as client:
            self._sender = sync = Sync(
                self._store,
                client,
                url=ingest_endpoint(settings.ingest_url),
                token=self._token,
                router_id=settings.router_id or default_router_id(),
                metrics=self._metrics,
                take_losses=self._take_losses,
                tell_state=self._state,
            )
            try:
                await sync.run()
            finally:
                await sync.drain(LAST_SYNC_S)

    def _take_losses(self) -> list[Loss]:
        """Hand over what was dropped, and what the store lost, as far as this process has not told it yet."""
        lost = [loss for loss in self._store_losses if loss.id not in self._told][:MAX_STORE_LOSSES]
        self._told.update(loss.id for loss in lost)
        return [*self._recorder.take_losses(), *lost]

    def _state(self) -> dict[str, object]:
        """Give what central is told of this process."""
        dropped = sum(self._metrics.counter("linkrouter_clicks_dropped").values())
        share = self._store.own_share()
        return describe_router(self._worker, share, dropped, self._keyring, self._take_backs.in_force)

    async def _watch_store(self) -> None:
        """Show this process's share of the store as it is at each scrape, and keep the rest fresh."""
        status, share = await self._store.status(), self._store.own_share

        def gauge(name: str, read: Any) -> None:
            self._metrics.gauge(name, lambda: read(status))

        self._metrics.gauge("linkrouter_spool_pending_clicks", lambda: share().pending)
        self._metrics.gauge("linkrouter_spool_oldest_seconds", lambda: age_of_share(share()))
        self._metrics.gauge("linkrouter_spool_bytes", lambda: share().bytes)
        gauge("linkrouter_spool_dead_letters", lambda seen: seen.dead_letters)
        gauge("linkrouter_spool_quarantined_segments", lambda seen: seen.quarantined)
        while True:
            self._metrics.counter("linkrouter_spool_clicks_lost").update(status.lost)
            self._store_losses = status.losses
            await asyncio.sleep(STATUS_INTERVAL_S)
            status = await self._store.status()


def ingest_endpoint(url: str) -> str:
    """Give where clicks are posted: *url* itself when it names the endpoint, else the endpoint below it."""
    return url if url.rstrip("/").endswith("/v1/clicks") else url.rstrip("/") + "/v1/clicks"


def _read_token(settings: RouterSettings) -> str:
    if not settings.ingest_url:
        return ""
    if settings.ingest_token_file is None:
        raise SettingsError("INGEST_TOKEN_FILE is not set, but INGEST_URL is; give the file with central's token")
    file, mounted = settings.ingest_token_file, settings.mounted_secrets
    return read_tokens(file, "INGEST_TOKEN_FILE", accept_mounted=mounted)[0].token


def _settle_memory() -> None:
    """Take what start-up made out of the collector's sight, and let it look less often: clicks hold no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

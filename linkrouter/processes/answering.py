"""What answers recipients: keyring, own domains and take-backs, the server before them, and the admin port.

Promise: it knows neither store nor central. A click is handed to `record`, and what becomes of it is no concern of a
redirect. A bad file never takes the place of a good one that was read before.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from linkrouter.clicks.click import Click
from linkrouter.errors import KeyringError, SettingsError
from linkrouter.link.keyring import Keyring
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.processes.take_backs import TakeBackUpkeep
from linkrouter.settings import RouterSettings, credentials_directory

__all__ = ["Answering", "load_keyring"]


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


class Answering:
    """The part of a process that recipients meet; *record* and *is_ready* are the part that they do not.

    With *has_ring* a click is recorded before its answer is sent, and another process asks central for take-backs.
    """

    def __init__(
        self,
        settings: RouterSettings,
        worker: int | None,
        metrics: Metrics,
        *,
        record: Callable[[Sequence[Click]], None],
        is_ready: Callable[[], bool],
        mint_id: Callable[[int], str],
        has_ring: bool = False,
    ) -> None:
        from linkrouter.router import RequestPolicy, Responder, RouterServer
        from linkrouter.router.domains import load_domains, tell_domains

        self._settings = settings
        self._worker = worker
        self._metrics = metrics
        self.keyring = load_keyring(settings)
        self._tell_keys()
        self._responder = Responder(
            open_link=self.keyring.open,
            record=record,
            is_ready=is_ready,
            metrics=metrics,
            mint_id=mint_id,
            policy=RequestPolicy(settings.trusted_proxies, settings.respect_opt_out),
            records_first=has_ring,
        )
        self._responder.domains = tell_domains(load_domains(settings.domains), metrics)
        self.take_backs = TakeBackUpkeep(settings, worker, metrics, self._responder, fetches=not has_ring)
        self._server = RouterServer(self._responder, direct_answers=settings.direct_answers)

    @asynccontextmanager
    async def listening(self, token: str, others: Callable[[], object] | None = None) -> AsyncIterator[None]:
        """Answer while the block runs, with the take-backs that are on the disk in force; *token* is for central.

        *others* gives what another process wants to be shown at the admin port, too, as `pack_metrics` gives it.

        Raises:
            SettingsError: an address cannot be listened on.
        """
        from linkrouter.web.admin import start_admin

        await self.take_backs.load(self.keyring, token)
        settings = self._settings
        several = self._worker is not None and settings.workers > 1
        try:
            try:
                await self._server.start(settings.listen.host, settings.listen.port, reuse_port=several)
            except OSError as exc:
                raise _cannot_listen("LISTEN", settings.listen, exc) from exc
            listen = settings.admin_listen
            port = listen.port + (self._worker or 0) if listen.port else 0
            try:
                admin = await start_admin(self._metrics, listen.host, port, others)
            except OSError as exc:
                raise _cannot_listen("ADMIN_LISTEN", listen, exc) from exc
        except SettingsError:
            await self._server.stop()
            raise
        log("router.started", port=self._server.port, worker=self._worker, keys=self.keyring.summary)
        try:
            yield
        finally:
            await admin.cleanup()

    async def stop(self) -> None:
        """Say for a while that this router is not ready, let requests in flight finish, and close."""
        log("router.draining")
        self._server.drain()
        await asyncio.sleep(self._settings.drain_ms / 1000)
        await self._server.stop()

    def reload(self) -> None:
        """Read keyring and own domains again."""
        from linkrouter.router.domains import reload_domains, tell_domains

        self._reload_keys()
        domains = reload_domains(self._settings.domains, self._responder.domains)
        self._responder.domains = tell_domains(domains, self._metrics)

    def _reload_keys(self) -> None:
        try:
            ring = load_keyring(self._settings)
        except KeyringError:
            log("keyring.kept", keys=self.keyring.summary)
            return
        event = "keyring.unchanged" if ring.keys == self.keyring.keys else "keyring.loaded"
        self.keyring = ring
        self._responder.open_link = ring.open
        self.take_backs.use_keyring(ring)
        self._tell_keys()
        log(event, keys=ring.summary)

    def _tell_keys(self) -> None:
        self._metrics.info("linkrouter_key_info", [(str(key.id), key.state) for key in self.keyring.keys])


def _cannot_listen(setting: str, address: object, exc: OSError) -> SettingsError:
    reason = os.strerror(exc.errno or 0)
    return SettingsError(f"{setting}: cannot listen on {address} ({reason}); choose another address")

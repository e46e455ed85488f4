"""What forwards clicks from a store to central, tells central of losses, and shows how much waits.

Promise: it takes nothing but what the store hands out, so it may be anywhere the store is open: beside the recorder, or
in a process of its own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from linkrouter.clicks.store import ClickStore, Loss
from linkrouter.errors import SettingsError
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.processes.report import age_of_share
from linkrouter.settings import RouterSettings, default_router_id, read_tokens

if TYPE_CHECKING:
    from linkrouter.sync import Sync

__all__ = ["Forwarding"]

STATUS_INTERVAL_S = 5.0  # how old the gauges of the whole store may be
MAX_STORE_LOSSES = 500  # of the store's, told in one request
LAST_SYNC_S = 2.0  # for central to take what waits when stopping; the rest waits on disk


class Forwarding:
    """Forwards what is in *store*; *take_losses* and *tell_state* are as `Sync` takes them."""

    def __init__(
        self,
        settings: RouterSettings,
        store: ClickStore,
        metrics: Metrics,
        *,
        take_losses: Callable[[], Sequence[Loss]],
        tell_state: Callable[[], Mapping[str, object] | None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self._take_other_losses = take_losses
        self._tell_state = tell_state
        self._store_losses: tuple[Loss, ...] = ()
        self._told: set[str] = set()  # losses of the store; after a start they are told again, and counted once
        self._sender: Sync | None = None
        self.token = _read_token(settings)

    async def run(self) -> None:
        """Forward until cancelled, and then once more for a moment."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_store())
            if self._settings.ingest_url:
                tasks.create_task(self._sync())

    def reload_token(self) -> bool:
        """Read the token again, and tell whether it is another; a file that cannot be read changes nothing."""
        try:
            token = _read_token(self._settings)
        except SettingsError:
            log("tokens.kept")
            return False
        if token == self.token:
            return False
        self.token = token
        if self._sender is not None:
            self._sender.use_token(token)
        log("tokens.loaded")
        return True

    async def _sync(self) -> None:
        from linkrouter.sync import Sync, open_client

        settings = self._settings
        async with open_client() as client:
            self._sender = sync = Sync(
                self._store,
                client,
                url=_ingest_endpoint(settings.ingest_url),
                token=self.token,
                router_id=settings.router_id or default_router_id(),
                metrics=self._metrics,
                take_losses=self._take_losses,
                tell_state=self._tell_state,
            )
            try:
                await sync.run()
            finally:
                await sync.drain(LAST_SYNC_S)

    def _take_losses(self) -> list[Loss]:
        """Hand over what was dropped, and what the store lost, as far as this process has not told it yet."""
        lost = [loss for loss in self._store_losses if loss.id not in self._told][:MAX_STORE_LOSSES]
        self._told.update(loss.id for loss in lost)
        return [*self._take_other_losses(), *lost]

    async def _watch_store(self) -> None:
        """Show this process's share of the store as it is at each scrape, and keep the rest fresh."""
        status, share = await self._store.status(), self._store.own_share

        def gauge(name: str, read: Any) -> None:
            self._metrics.gauge(name, lambda: read(status))

        self._metrics.gauge("linkrouter_spool_pending_clicks", lambda: share().pending)
        self._metrics.gauge("linkrouter_spool_oldest_seconds", lambda: age_of_share(share()))
        self._metrics.gauge("linkrouter_spool_bytes", lambda: share().bytes)
        self._metrics.gauge("linkrouter_spool_max_bytes", lambda: self._settings.spool_max_bytes)
        gauge("linkrouter_spool_room_bytes", lambda seen: seen.room and seen.room.left_bytes)
        gauge("linkrouter_spool_disk_free_bytes", lambda seen: seen.room and seen.room.free_bytes)
        gauge("linkrouter_spool_reserve_bytes", lambda seen: seen.room and seen.room.reserve_bytes)
        gauge("linkrouter_spool_dead_letters", lambda seen: seen.dead_letters)
        gauge("linkrouter_spool_quarantined_segments", lambda seen: seen.quarantined)
        while True:
            self._metrics.counter("linkrouter_spool_clicks_lost").update(status.lost)
            self._store_losses = status.losses
            await asyncio.sleep(STATUS_INTERVAL_S)
            status = await self._store.status()


def _ingest_endpoint(url: str) -> str:
    """Give where clicks are posted: *url* itself when it names the endpoint, else the endpoint below it."""
    return url if url.rstrip("/").endswith("/v1/clicks") else url.rstrip("/") + "/v1/clicks"


def _read_token(settings: RouterSettings) -> str:
    if not settings.ingest_url:
        return ""
    if settings.ingest_token_file is None:
        raise SettingsError("INGEST_TOKEN_FILE is not set, but INGEST_URL is; give the file with central's token")
    file, mounted = settings.ingest_token_file, settings.mounted_secrets
    return read_tokens(file, "INGEST_TOKEN_FILE", accept_mounted=mounted)[0].token

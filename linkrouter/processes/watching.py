"""What central looks at again after it was sent, joined with the check that looks.

Promise: what the encoder leaves alone for the reader's sake, and what the check never opens, is never looked at.
"""

from functools import partial
from html import escape

from linkrouter.central.store.interface import CentralStore
from linkrouter.central.watch.judging import Look, is_one_time
from linkrouter.central.watch.routes import WatchApi
from linkrouter.central.watch.stops import FlaggedStops
from linkrouter.central.watch.watcher import Watcher
from linkrouter.checker.check import Checker
from linkrouter.checker.fetch.fetcher import may_sign_off
from linkrouter.checker.mail.extract import extract
from linkrouter.checker.shares import ASKER
from linkrouter.encoder.link_policy import lets_reader_choose
from linkrouter.link.keyring import Keyring
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.settings import CentralSettings
from linkrouter.units import HOUR_S

__all__ = ["is_spared", "look_with", "make_watch"]


def make_watch(
    store: CentralStore,
    checker: Checker | None,
    settings: CentralSettings,
    metrics: Metrics,
    *,
    hour_s: float = HOUR_S,
) -> tuple[WatchApi, Watcher | None]:
    """Give what answers about watched destinations, and what watches them: without a checker, nothing.

    Raises:
        KeyringError: TAKEBACK_KEYS cannot be used.
    """
    stops = _stops(store, settings)
    central_url = settings.central_url or f"http://{settings.listen}"
    if not settings.watch_days or checker is None:
        if settings.watch_days:
            log("watch.off", reason="extra check is not installed")
        return WatchApi(store, 0, central_url), None
    if stops is not None and not settings.reputation:
        log("watch.no_lists")
    watcher = Watcher(
        store=store,
        look=partial(look_with, checker, bool(settings.allow_network)),
        is_spared=is_spared,
        days=settings.watch_days,
        requests_per_hour=settings.watch_requests_per_hour,
        stop=stops.stop if stops is not None else None,
        metrics=metrics,
        hour_s=hour_s,
    )
    return WatchApi(store, settings.watch_days, central_url), watcher


def is_spared(url: str, messages: int) -> bool:
    """Whether *url*, sent in so many messages, is never looked at."""
    return lets_reader_choose(url.lower()) or may_sign_off(url) or is_one_time(url, messages)


async def look_with(checker: Checker, local: bool, url: str, tenant: int) -> Look:
    """Look at *url* for *tenant*, as the pre-send check does; what it learnt before is not taken for an answer.

    Tenant 0 is the installation's own, and shares what checks of tokens without a tenant learn.
    """
    ASKER.set("watch")
    links = extract(f'<a href="{escape(url)}"></a>', "html", local=local)
    checker = checker.for_tenant(tenant or None)
    was_fine = any([await checker.was_fine(link) for link in links])
    verdict, reason, requests = "skipped", "", 0
    async for report in checker.check(links, fresh="all"):
        verdict, reason = report.verdict, report.reason
        requests = 2 * sum(
            bool(hop.method) for hop in report.hops
        )  # where GET agrees with HEAD, its hops alone are told
    return Look(verdict, reason, requests, was_fine)


def _stops(store: CentralStore, settings: CentralSettings) -> FlaggedStops | None:
    """Give what stops flagged destinations, where that is allowed; the keyring must be one that signs now."""
    if settings.takeback_keys is None:
        return None
    load = partial(Keyring.load, settings.takeback_keys, accept_mounted=settings.mounted_secrets)
    load().key_that_signs()
    return FlaggedStops(store, load)

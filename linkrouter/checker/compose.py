"""A checker made from its settings, for the command and for central.

Promise: whatever is missing or wrong is said before anything is requested, in one line with the cure.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec

from linkrouter.checker.check import Checker
from linkrouter.checker.fetch.client import HttpClient
from linkrouter.checker.fetch.fetcher import FETCH_RULES, Fetcher
from linkrouter.checker.fetch.head_hosts import load_head_hosts
from linkrouter.checker.fetch.limits import HostLimits
from linkrouter.checker.fetch.lying_hosts import load_lying_hosts
from linkrouter.checker.fetch.own_links import OwnLinks, no_own_links, own_links_of
from linkrouter.checker.mail.rules import rules_version
from linkrouter.checker.pages import Pages
from linkrouter.checker.reputation.registry import open_source
from linkrouter.checker.states import LinkStates
from linkrouter.errors import SettingsError
from linkrouter.link import Keyring
from linkrouter.settings import CheckSettings

__all__ = ["EXTRA", "is_installed", "open_checker", "open_pages"]

EXTRA = ("aiodns", "h2", "publicsuffixlist")


def is_installed() -> bool:
    """Say whether everything of the extra `check` is here."""
    return all(find_spec(name) is not None for name in EXTRA)


@asynccontextmanager
async def open_checker(settings: CheckSettings) -> AsyncIterator[Checker]:
    """Give a checker that is open, and close all of it afterwards.

    Raises:
        SettingsError: a setting does not fit another, a file cannot be read, or the extra `check` is missing.
        StoreError: the cache cannot be opened.
    """
    _require_extra()
    sources = [open_source(name, settings) for name in settings.reputation]
    lying_hosts = load_lying_hosts(settings.lying_hosts)
    own_links = _own_links(settings)
    limits = HostLimits()
    client = HttpClient(settings.allow_network)
    fetcher = Fetcher(
        client,
        limits,
        lying_hosts=lying_hosts,
        head_hosts=load_head_hosts(),
        own_links=own_links,
        local=bool(settings.allow_network),
        link_timeout_s=settings.timeout,
    )
    states = LinkStates(settings.cache or ":memory:", rules=100 * rules_version() + FETCH_RULES)
    try:
        async with Checker(fetcher.fetch, states, sources=sources, limits=limits) as checker:
            yield checker
    finally:
        await client.close()


@asynccontextmanager
async def open_pages(settings: CheckSettings) -> AsyncIterator[Pages]:
    """Give what fetches whole pages, and close it afterwards.

    Raises:
        SettingsError: the extra `check` is missing.
    """
    _require_extra()
    client = HttpClient(settings.allow_network)
    try:
        yield Pages(client, within_s=settings.timeout)
    finally:
        await client.close()


def _require_extra() -> None:
    if not is_installed():
        raise SettingsError("the check needs more packages; run \"pip install 'linkrouter[check]'\"")


def _own_links(settings: CheckSettings) -> OwnLinks:
    if not settings.base_url or settings.keys is None:
        return no_own_links
    return own_links_of(settings.base_url, Keyring.load(settings.keys, accept_mounted=settings.mounted_secrets))

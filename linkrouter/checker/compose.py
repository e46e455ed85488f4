"""A checker put together from its settings, for the command and for the centre.

Promise: whatever is missing or wrong is said before anything is requested, in one line with the cure.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from linkrouter.checker.check import Checker
from linkrouter.checker.fetch.client import HttpClient
from linkrouter.checker.fetch.fetcher import Fetcher
from linkrouter.checker.fetch.limits import HostLimits
from linkrouter.checker.fetch.lying_hosts import load_lying_hosts
from linkrouter.checker.fetch.own_links import OwnLinks, no_own_links, own_links_of
from linkrouter.checker.mail.rules import rules_version
from linkrouter.checker.reputation import Source
from linkrouter.checker.reputation.dnsbl import dbl, surbl
from linkrouter.checker.reputation.webrisk import WebRisk
from linkrouter.checker.states import LinkStates
from linkrouter.errors import SettingsError
from linkrouter.link import Keyring
from linkrouter.settings import CheckSettings, read_secret

__all__ = ["EXTRA", "is_installed", "open_checker"]

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
    if not is_installed():
        raise SettingsError("the check needs more packages; run \"pip install 'linkrouter[check]'\"")
    sources = [_source(name, settings) for name in settings.reputation]
    lying_hosts = load_lying_hosts(settings.lying_hosts)
    own_links = _own_links(settings)
    limits = HostLimits()
    client = HttpClient(settings.allow_network)
    fetcher = Fetcher(
        client,
        limits,
        lying_hosts=lying_hosts,
        own_links=own_links,
        local=bool(settings.allow_network),
        link_timeout_s=settings.timeout,
    )
    states = LinkStates(settings.cache or ":memory:", rules=rules_version())
    try:
        async with Checker(fetcher.fetch, states, sources=sources, limits=limits) as checker:
            yield checker
    finally:
        await client.close()


def _source(name: str, settings: CheckSettings) -> Source:
    server = None if settings.dns_server is None else (_address(settings.dns_server.host), settings.dns_server.port)
    if name == "surbl":
        return surbl(settings.surbl_zone, server)
    if name == "dbl":
        return dbl(settings.dbl_zone, server)
    if settings.webrisk_key_file is None:
        raise SettingsError("WEBRISK_KEY_FILE is not set; give --webrisk-key-file with a file that holds the API key")
    read_key = partial(_read_key, settings.webrisk_key_file)
    read_key()
    return WebRisk(read_key, url=settings.webrisk_url)


def _address(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    except (OSError, UnicodeError) as exc:
        raise SettingsError(f"DNS_SERVER: the name {host!r} has no address; give the server's address") from exc


def _read_key(path: Path) -> str:
    return read_secret(path, "WEBRISK_KEY_FILE", min_chars=1)[0]


def _own_links(settings: CheckSettings) -> OwnLinks:
    if not settings.base_url or settings.keys is None:
        return no_own_links
    return own_links_of(settings.base_url, Keyring.load(settings.keys))

"""Brokers by their URLs.

Promise: a wrong URL, a missing library and a password in the wrong place each get one line that says the cure, before
anything is connected.

    redis://[USER@]HOST[:PORT][/NUMBER][?OPTIONS]             rediss:// with TLS
    redis+sentinel://HOST[:PORT],…/SERVICE[/NUMBER][?OPTIONS]
    postgresql://[USER@]HOST[:PORT]/DATABASE[?OPTIONS]
"""

import re
from functools import partial
from typing import TYPE_CHECKING

from linkrouter.clicks.broker.store import BrokerStore
from linkrouter.clicks.store import StoreLimits
from linkrouter.dial.postgres import postgres_arguments
from linkrouter.dial.service_url import ServiceUrl, read_service_url
from linkrouter.errors import SettingsError

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["open_postgres_broker", "open_redis_broker"]

REDIS_PORT, SENTINEL_PORT, POSTGRES_PORT = 6379, 26379, 5432
OPTIONS = {
    "redis": {"lease", "password_file", "prefix"},
    "rediss": {"lease", "password_file", "prefix", "ca_file"},
    "redis+sentinel": {"lease", "password_file", "prefix"},
    "postgresql": {"lease", "password_file", "prefix", "sslmode", "ca_file"},
}


def open_redis_broker(url: str, limits: StoreLimits) -> BrokerStore:
    """Give the store that a `redis:`, `rediss:` or `redis+sentinel:` URL names.

    Raises:
        SettingsError: the URL is wrong, its password cannot be read, or the package `redis` is not installed.
    """
    scheme = url.partition(":")[0]
    address = _read(url, scheme, SENTINEL_PORT if scheme == "redis+sentinel" else REDIS_PORT)
    is_sentinel = scheme == "redis+sentinel"
    numbers = address.path[1:] if is_sentinel else address.path
    if len(address.path) > 1 + is_sentinel or (is_sentinel and not address.path):
        raise SettingsError(
            f"CLICK_STORE: {scheme}: takes {'/SERVICE[/NUMBER]' if is_sentinel else '/NUMBER'} behind the host"
        )
    if any(not re.fullmatch("[0-9]{1,5}", number) for number in numbers):
        raise SettingsError(f"CLICK_STORE: {scheme}: names a database by its number")
    address.password()
    try:
        from linkrouter.clicks.broker.redis import RedisBroker, connect_redis
    except ImportError as exc:
        raise SettingsError(f"CLICK_STORE {scheme}: needs pip install 'linkrouter[redis]'") from exc

    def connect() -> "list[Redis]":
        return connect_redis(
            address.hosts,
            service=address.path[0] if is_sentinel else None,
            number=int(numbers[0]) if numbers else 0,
            user=address.user,
            password=address.password(),
            tls=scheme == "rediss",
            ca_file=address.options.get("ca_file"),
        )

    return BrokerStore(RedisBroker(connect, _prefix(address), _lease_s(address)), limits)


def open_postgres_broker(url: str, limits: StoreLimits) -> BrokerStore:
    """Give the store that a `postgresql:` URL names.

    Raises:
        SettingsError: the URL is wrong, its password cannot be read, or the package `asyncpg` is not installed.
    """
    address = _read(url, "postgresql", POSTGRES_PORT)
    address.password()
    arguments = postgres_arguments(address)
    try:
        from linkrouter.clicks.broker.postgres import PostgresBroker, connect_postgres
    except ImportError as exc:
        raise SettingsError("CLICK_STORE postgresql: needs pip install 'linkrouter[postgres]'") from exc
    connect = partial(connect_postgres, arguments)
    return BrokerStore(PostgresBroker(connect, _prefix(address), _lease_s(address)), limits)


def _read(url: str, scheme: str, port: int) -> ServiceUrl:
    many_hosts = scheme == "redis+sentinel"
    address = read_service_url(
        "CLICK_STORE", url, port, OPTIONS[scheme], documented="docs/settings.md", many_hosts=many_hosts
    )
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", _prefix(address)):
        raise SettingsError("CLICK_STORE: prefix is a word of at most 32 letters, digits and underscores")
    if not re.fullmatch(r"[1-9][0-9]{0,3}", address.options.get("lease", "30")):
        raise SettingsError("CLICK_STORE: lease is a number of seconds from 1 to 9999")
    return address


def _prefix(address: ServiceUrl) -> str:
    return address.options.get("prefix", "linkrouter")


def _lease_s(address: ServiceUrl) -> float:
    return float(address.options.get("lease", "30"))

"""Brokers by their URLs.

Promise: a wrong URL, a missing library and a password in the wrong place each get one line that says the cure, before
anything is connected.

    redis://[USER@]HOST[:PORT][/NUMBER][?OPTIONS]             rediss:// with TLS
    redis+sentinel://HOST[:PORT],…/SERVICE[/NUMBER][?OPTIONS]
    postgresql://[USER@]HOST[:PORT]/DATABASE[?OPTIONS]
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from linkrouter.clicks.broker.store import BrokerStore
from linkrouter.clicks.store import StoreLimits
from linkrouter.errors import ExposedSecret, SettingsError
from linkrouter.secretfile import read_secret_file

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["open_postgres_broker", "open_redis_broker"]

MAX_PASSWORD_BYTES = 4096
REDIS_PORT, SENTINEL_PORT, POSTGRES_PORT = 6379, 26379, 5432
SSLMODES = ("disable", "prefer", "require", "verify-full")
OPTIONS = {
    "redis": {"lease", "password_file", "prefix"},
    "rediss": {"lease", "password_file", "prefix", "ca_file"},
    "redis+sentinel": {"lease", "password_file", "prefix"},
    "postgresql": {"lease", "password_file", "prefix", "sslmode", "ca_file"},
}


@dataclass(frozen=True, slots=True)
class _Address:
    """A broker's URL, read."""

    hosts: tuple[tuple[str, int], ...]
    path: tuple[str, ...]
    user: str | None
    options: Mapping[str, str]

    @property
    def prefix(self) -> str:
        return self.options.get("prefix", "linkrouter")

    @property
    def lease_s(self) -> float:
        return float(self.options.get("lease", "30"))

    def password(self) -> str | None:
        """Read the password, anew for each connection, so that a changed one needs no restart."""
        name = self.options.get("password_file")
        if name is None:
            return None
        try:
            return read_secret_file(name, MAX_PASSWORD_BYTES).decode().strip()
        except ExposedSecret as exc:
            raise SettingsError(f"CLICK_STORE: password_file {name!r} {exc}") from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f"CLICK_STORE: password_file {name!r} cannot be read") from exc


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

    return BrokerStore(RedisBroker(connect, address.prefix, address.lease_s), limits)


def open_postgres_broker(url: str, limits: StoreLimits) -> BrokerStore:
    """Give the store that a `postgresql:` URL names.

    Raises:
        SettingsError: the URL is wrong, its password cannot be read, or the package `asyncpg` is not installed.
    """
    address = _read(url, "postgresql", POSTGRES_PORT)
    if len(address.path) != 1:
        raise SettingsError("CLICK_STORE: postgresql: takes /DATABASE behind the host")
    sslmode = address.options.get("sslmode", "prefer")
    if sslmode not in SSLMODES:
        raise SettingsError(f"CLICK_STORE: sslmode is one of {', '.join(SSLMODES)}")
    address.password()
    try:
        from linkrouter.clicks.broker.postgres import PostgresBroker, connect_postgres
    except ImportError as exc:
        raise SettingsError("CLICK_STORE postgresql: needs pip install 'linkrouter[postgres]'") from exc
    connect = partial(
        connect_postgres,
        *address.hosts[0],
        database=address.path[0],
        user=address.user,
        password=address.password,
        sslmode=sslmode,
        ca_file=address.options.get("ca_file"),
    )
    return BrokerStore(PostgresBroker(connect, address.prefix, address.lease_s), limits)


def _read(url: str, scheme: str, port: int) -> _Address:
    """Read *url*; what is wrong with it is said without quoting it, for it may hold a password."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        user, _, hosts = parts.netloc.rpartition("@")
        found = tuple(_host(text, port) for text in hosts.split(","))
    except ValueError as exc:
        raise SettingsError(f"CLICK_STORE must be {scheme}://HOST[:PORT]/…, as docs/settings.md has it") from exc
    if ":" in user:
        raise SettingsError("CLICK_STORE holds a password; put it into a file and name that with ?password_file=FILE")
    if len(found) > 1 and scheme != "redis+sentinel":
        raise SettingsError(f"CLICK_STORE: {scheme}: takes one host")
    if unknown := sorted(options.keys() - OPTIONS[scheme]):
        raise SettingsError(f"CLICK_STORE: {scheme}: has no option {unknown[0]!r}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", options.get("prefix", "linkrouter")):
        raise SettingsError("CLICK_STORE: prefix is a word of at most 32 letters, digits and underscores")
    if not re.fullmatch(r"[1-9][0-9]{0,3}", options.get("lease", "30")):
        raise SettingsError("CLICK_STORE: lease is a number of seconds from 1 to 9999")
    if "ca_file" in options and not Path(options["ca_file"]).is_file():
        raise SettingsError("CLICK_STORE: ca_file names no file")
    path = tuple(unquote(step) for step in parts.path.split("/") if step)
    return _Address(found, path, unquote(user) or None, options)


def _host(text: str, port: int) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
    if found is None:
        raise ValueError("no host")
    return found[1].strip("[]"), int(found[2] or port)

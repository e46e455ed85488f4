"""The store `postgresql://[USER@]HOST[:PORT]/DATABASE[?OPTIONS]`."""

from linkrouter.central.store.interface import CentralStore
from linkrouter.dial.postgres import postgres_arguments
from linkrouter.dial.service_url import read_service_url
from linkrouter.errors import SettingsError

__all__ = ["open_postgres_central"]

SERVER_PORT = 5432
MIN_CONNECTIONS, MAX_CONNECTIONS = 4, 100
URL_OPTIONS = {"password_file", "sslmode", "ca_file", "connections", "statement_cache"}


def open_postgres_central(url: str) -> CentralStore:
    """Give the store that *url* names; it is not opened yet.

    Raises:
        SettingsError: the URL is wrong, its password cannot be read, or the package `asyncpg` is not installed.
    """
    address = read_service_url("DATABASE", url, SERVER_PORT, URL_OPTIONS, documented="docs/central-stores.md")
    arguments = postgres_arguments(address)
    connections = address.options.get("connections", "10")
    if not connections.isdecimal() or not MIN_CONNECTIONS <= int(connections) <= MAX_CONNECTIONS:
        raise SettingsError(f"DATABASE: connections is a number from {MIN_CONNECTIONS} to {MAX_CONNECTIONS}")
    cache = address.options.get("statement_cache", "on")
    if cache not in ("on", "off"):
        raise SettingsError("DATABASE: statement_cache is on or off")
    address.password()
    try:
        from linkrouter.central.store.postgres.store import PostgresCentralStore
    except ImportError as exc:
        raise SettingsError("DATABASE postgresql: needs pip install 'linkrouter[postgres]'") from exc
    return PostgresCentralStore(arguments, connections=int(connections), statement_cache=cache == "on")

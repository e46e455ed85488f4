"""The settings of `linkrouter central`."""

from dataclasses import dataclass
from pathlib import Path

from linkrouter.settings.check import CheckSettings
from linkrouter.settings.fields import (
    Address,
    parse_address,
    parse_delay,
    parse_http_url,
    parse_number,
    parse_paths,
    setting,
)

__all__ = ["DEFAULT_ADMIN", "CentralSettings", "DatabaseSettings", "InsightSettings"]

DEFAULT_ADMIN = Address("127.0.0.1", 9090)

GEOIP_HELP = "Files in MaxMind's format, separated by commas: places of addresses."
CLOUDS_HELP = "Files with the address ranges of clouds, one a line."
RELAYS_HELP = "Files with the ranges of privacy relays, one a line."


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """What `linkrouter central backup` and `restore` can be told."""

    database: str = setting("Where clicks and messages are kept.", str, "sqlite:///central.db")


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightSettings(DatabaseSettings):
    """What `linkrouter central relabel` can be told."""

    geoip: tuple[Path, ...] = setting(GEOIP_HELP, parse_paths, ())
    cloud_ranges: tuple[Path, ...] = setting(CLOUDS_HELP, parse_paths, ())
    relay_ranges: tuple[Path, ...] = setting(RELAYS_HELP, parse_paths, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralSettings(CheckSettings):
    """What `linkrouter central` can be told: what the check can, since it checks for all authors, and its own."""

    listen: Address = setting("Where routers and senders connect.", parse_address, Address("127.0.0.1", 8090))
    database: str = setting("Where clicks and messages are kept.", str, "sqlite:///central.db")
    ingest_token_file: Path = setting("File with the routers' tokens, one a line: they may only write.", Path)
    api_token_file: Path = setting("File with the senders' tokens, one a line.", Path)
    settle_s: float = setting("Seconds a click waits for its siblings before it is labelled.", parse_delay, 15.0)
    geoip: tuple[Path, ...] = setting(GEOIP_HELP, parse_paths, ())
    cloud_ranges: tuple[Path, ...] = setting(CLOUDS_HELP, parse_paths, ())
    relay_ranges: tuple[Path, ...] = setting(RELAYS_HELP, parse_paths, ())
    retention_days: int | None = setting(
        "Days that single clicks are kept, and who got which mail; figures stay.", parse_number(1, 36_500), None
    )
    address_days: int | None = setting(
        "Days until addresses are cut to their network (/24, /48).", parse_number(0, 36_500), None
    )
    min_cell: int = setting("Rows of a breakdown with fewer clicks are shown together.", parse_number(0, 1_000_000), 0)
    watch_days: int = setting("Days that what was sent is looked at again; 0 is off.", parse_number(0, 366), 14)
    watch_requests_per_hour: int = setting("Requests that looking again may make.", parse_number(1, 36_000), 1000)
    takeback_keys: Path | None = setting(
        "Keyring file: with it, central stops by itself what a list flags after it was sent.", Path, None
    )
    central_url: str = setting(
        "Where senders reach central, for the commands it shows; LISTEN by default.", parse_http_url, ""
    )
    admin_listen: Address = setting("Where /metrics is.", parse_address, DEFAULT_ADMIN)
    cache: Path | None = setting(
        "SQLite file that keeps what is known of links; checks.db beside an SQLite DATABASE by default.", Path, None
    )

"""The settings of `linkrouter central`."""

from dataclasses import dataclass
from pathlib import Path

from linkrouter.settings.check import CheckSettings
from linkrouter.settings.fields import Address, parse_address, parse_delay, parse_paths, setting

__all__ = ["CentralSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralSettings(CheckSettings):
    """What `linkrouter central` can be told: what the check can, since it checks for all authors, and its own."""

    listen: Address = setting("Where routers and senders connect.", parse_address, Address("127.0.0.1", 8090))
    database: str = setting("Where clicks and messages are kept.", str, "sqlite:///central.db")
    ingest_token_file: Path = setting("File with the routers' tokens, one a line: they may only write.", Path)
    api_token_file: Path = setting("File with the senders' tokens, one a line.", Path)
    settle_s: float = setting("Seconds a click waits for its siblings before it is labelled.", parse_delay, 15.0)
    geoip: tuple[Path, ...] = setting(
        "Files in MaxMind's format, separated by commas: places of addresses.", parse_paths, ()
    )
    cloud_ranges: tuple[Path, ...] = setting("Files with the address ranges of clouds, one a line.", parse_paths, ())
    relay_ranges: tuple[Path, ...] = setting("Files with the ranges of privacy relays, one a line.", parse_paths, ())
    cache: Path | None = setting(
        "SQLite file that keeps what is known of links; checks.db beside an SQLite DATABASE by default.", Path, None
    )

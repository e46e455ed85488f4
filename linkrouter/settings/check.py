"""The settings of the pre-send check."""

from dataclasses import dataclass
from pathlib import Path

from linkrouter.settings.fields import (
    MOUNTED_SECRETS,
    Address,
    Network,
    parse_address,
    parse_http_url,
    parse_networks,
    parse_reputations,
    parse_seconds,
    parse_switch,
    parse_zone,
    setting,
)

__all__ = ["CheckSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """What the pre-send check can be told."""

    allow_network: tuple[Network, ...] = setting(
        "Networks that may be connected to, on any port, besides the public ones.", parse_networks, ()
    )
    reputation: tuple[str, ...] = setting(
        "Lists that are asked about every link: surbl, dbl, webrisk, or another installed one.",
        parse_reputations,
        (),
    )
    dns_server: Address | None = setting(
        "The name server for surbl and dbl; the machine's own by default.", parse_address, None
    )
    surbl_zone: str = setting("The zone of SURBL.", parse_zone, "multi.surbl.org")
    dbl_zone: str = setting(
        "The zone of the Spamhaus DBL; with a key it is KEY.dbl.dq.spamhaus.net.", parse_zone, "dbl.spamhaus.org"
    )
    webrisk_url: str = setting("Where Web Risk answers.", parse_http_url, "https://webrisk.googleapis.com")
    webrisk_key_file: Path | None = setting("File with the API key for Web Risk.", Path, None)
    timeout: float = setting("Seconds for the requests of one link.", parse_seconds, 8.0)
    total_timeout: float = setting("Seconds for the whole check.", parse_seconds, 20.0)
    cache: Path | None = setting("SQLite file that keeps verdicts; without it each check begins anew.", Path, None)
    lying_hosts: Path | None = setting("File with more sites that lie to robots.", Path, None)
    base_url: str = setting("Your own tracked links, which are read and not requested.", parse_http_url, "")
    keys: Path | None = setting("Keyring file, to read your own tracked links.", Path, None)
    mounted_secrets: bool = setting(MOUNTED_SECRETS, parse_switch, False)

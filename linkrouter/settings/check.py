"""The settings of the pre-send check."""

import re
from dataclasses import dataclass
from pathlib import Path

from linkrouter.settings.fields import (
    MOUNTED_SECRETS,
    Address,
    Network,
    parse_address,
    parse_choices,
    parse_http_url,
    parse_networks,
    parse_number,
    parse_patterns,
    parse_reputations,
    parse_seconds,
    parse_statuses,
    parse_switch,
    parse_zone,
    setting,
)

__all__ = ["CheckCommandSettings", "CheckSettings", "parse_format", "parse_webrisk_api"]

_FORMATS = ("text", "json", "junit", "markdown", "github")


def parse_webrisk_api(text: str) -> str:
    """Read which of Web Risk's interfaces is asked."""
    if text not in ("update", "lookup"):
        raise ValueError("must be update or lookup")
    return text


def parse_format(text: str) -> str:
    """Read the name of a format."""
    if text not in _FORMATS:
        raise ValueError(f"must be one of {', '.join(_FORMATS)}")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """What the pre-send check can be told."""

    allow_network: tuple[Network, ...] = setting(
        "Networks that may be connected to, on any port, besides the public ones.", parse_networks, (), separator=","
    )
    reputation: tuple[str, ...] = setting(
        "Lists that are asked about every link: surbl, dbl, webrisk, or another installed one.",
        parse_reputations,
        (),
        separator=",",
    )
    dns_server: Address | None = setting(
        "The name server for surbl and dbl; the machine's own by default.", parse_address, None
    )
    surbl_zone: str = setting("The zone of SURBL.", parse_zone, "multi.surbl.org")
    dbl_zone: str = setting(
        "The zone of the Spamhaus DBL; with a key it is KEY.dbl.dq.spamhaus.net.", parse_zone, "dbl.spamhaus.org"
    )
    webrisk_url: str = setting("Where Web Risk answers.", parse_http_url, "https://webrisk.googleapis.com")
    webrisk_api: str = setting(
        "update (prefixes of hashes leave the house) or lookup (whole URLs do).", parse_webrisk_api, "update"
    )
    webrisk_key_file: Path | None = setting("File with the API key for Web Risk.", Path, None)
    timeout: float = setting("Seconds for the requests of one link.", parse_seconds, 8.0)
    total_timeout: float = setting("Seconds for the whole check.", parse_seconds, 20.0)
    cache: Path | None = setting("SQLite file that keeps verdicts; without it each check begins anew.", Path, None)
    lying_hosts: Path | None = setting("File with more sites that lie to robots.", Path, None)
    base_url: str = setting("Your own tracked links, which are read and not requested.", parse_http_url, "")
    keys: Path | None = setting("Keyring file, to read your own tracked links.", Path, None)
    mounted_secrets: bool = setting(MOUNTED_SECRETS, parse_switch, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCommandSettings(CheckSettings):
    """What `linkrouter check` can be told besides: which links, and what the answer is to look like."""

    exclude: tuple[re.Pattern[str], ...] = setting(
        "Links that match this regular expression are left alone.", parse_patterns, (), separator="\n"
    )
    include: tuple[re.Pattern[str], ...] = setting(
        "Only links that match are checked; with --exclude, they are kept in spite of it.",
        parse_patterns,
        (),
        separator="\n",
    )
    accept: frozenset[int] = setting(
        "Statuses that are good besides 2xx, such as 403,500-599.", parse_statuses, frozenset(), separator=","
    )
    retries: int = setting("How often a link is asked again that could not be told.", parse_number(0, 10), 0)
    images: bool = setting("Check images, backgrounds and srcset, too.", parse_switch, False)
    fragments: bool = setting("Look for the #fragment of a link in the page it leads to.", parse_switch, False)
    require_links: bool = setting("Fail when an input has no link.", parse_switch, False)
    offline: bool = setting("Ask nobody: only find what is malformed.", parse_switch, False)
    fail_on: tuple[str, ...] = setting(
        "What exits 1: broken (and malformed), flagged, unverifiable, or none.",
        parse_choices("broken", "flagged", "unverifiable"),
        ("broken", "flagged"),
        separator=",",
    )
    format: str = setting("text, json, junit, markdown or github.", parse_format, "text")

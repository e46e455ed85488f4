"""The settings of `linkrouter router`."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from linkrouter.settings.fields import (
    MOUNTED_SECRETS,
    Address,
    Network,
    parse_address,
    parse_choice,
    parse_http_url,
    parse_networks,
    parse_number,
    parse_ring_size,
    parse_seconds,
    parse_size,
    parse_switch,
    parse_word,
    setting,
)

__all__ = ["RouterSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """What `linkrouter router` can be told."""

    keys: Path = setting("Keyring file.", Path)
    listen: Address = setting("Where recipients' clicks arrive.", parse_address, Address("127.0.0.1", 8080))
    admin_listen: Address = setting("Where /metrics is.", parse_address, Address("127.0.0.1", 9080))
    click_store: str = setting("Where clicks wait for central.", str, "sqlite:///spool")
    ingest_url: str = setting("Central's address; without it clicks are kept and not sent.", parse_http_url, "")
    ingest_token_file: Path | None = setting("File with the token for central.", Path, None)
    trusted_proxies: tuple[Network, ...] = setting(
        "Who may set X-Forwarded-For and X-Request-Id.",
        parse_networks,
        (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("::1/128")),
    )
    workers: int = setting("Processes on the one port.", parse_number(1, 64), 1)
    router_id: str = setting("The name central knows this router by.", parse_word, "")
    respect_opt_out: bool = setting(
        "Record requests with Sec-GPC: 1 or DNT: 1 without address and agent.", parse_switch, True
    )
    direct_answers: bool = setting("Answer simple requests straight from the HTTP parser's output.", parse_switch, True)
    queue_max_clicks: int = setting("Clicks kept in memory at most.", parse_number(1, 10_000_000), 50_000)
    queue_max_bytes: int = setting("Bytes of clicks kept in memory at most.", parse_size, 32 * 1024**2)
    commit_interval_ms: int = setting("Longest wait before clicks are made durable.", parse_number(1, 1000), 50)
    commit_max_clicks: int = setting("Clicks that are made durable without that wait.", parse_number(1, 100_000), 1000)
    spool_max_bytes: int = setting("Size of the click store at most.", parse_size, 4 * 1024**3)
    spool_reserve_bytes: int | None = setting(
        "Bytes of the disk left free for others; by default 256M, or 5 % of the disk if that is less.", parse_size, None
    )
    domains: Path | None = setting("TOML file of own domains: whose links each host serves.", Path, None)
    takebacks_file: Path | None = setting(
        "Where the list of take-backs is kept; beside the spool by default, with ROUTER_ID in its name.", Path, None
    )
    takebacks_interval_s: float = setting("Seconds between two looks for new take-backs.", parse_seconds, 15.0)
    ring: str = setting(
        "Whether clicks go through shared memory to a process of their own; auto where that is worth it.",
        parse_choice("auto", "on", "off"),
        "auto",
    )
    ring_bytes: int = setting(
        "Bytes of shared memory for each worker's clicks, from 1M to 1G.", parse_ring_size, 16 * 1024**2
    )
    drain_ms: int = setting("How long a stopping router says 503 on /-/ready first.", parse_number(0, 8000), 500)
    mounted_secrets: bool = setting(MOUNTED_SECRETS, parse_switch, False)

"""Settings: one frozen object per process, read once, from one place.

Promise: an option wins over the environment, that over the file, that over the default; an unknown or malformed setting
is one line that names it and says the cure. Nothing else in the package reads the environment.
"""

import ipaddress
import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from linkrouter.errors import SettingsError

__all__ = [
    "Address",
    "CentralSettings",
    "CheckSettings",
    "RouterSettings",
    "credentials_directory",
    "read_secret",
    "read_settings",
]

PREFIX = "LINKROUTER_"
MIN_TOKEN_CHARS = 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(text: str) -> Address:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/\s]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError("must be HOST:PORT")
    return Address(match[1] or match[2], int(match[3]))


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8, separated by commas") from None


def _switch(text: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in words:
        raise ValueError("must be on or off")
    return words[text.lower()]


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parse


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)", text.upper())
    if match is None:
        raise ValueError("must be a number of bytes, with K, M, G or T if you like")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError("must be 1 to 64 letters, digits, dots, hyphens and underscores")
    return text


def _reputations(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not set(names) <= {"surbl", "dbl", "webrisk"}:
        raise ValueError("must be surbl, dbl or webrisk, or several separated by commas")
    return names


def _zone(text: str) -> str:
    if not re.fullmatch(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.){0,20}[A-Za-z0-9_-]{1,63}", text):
        raise ValueError("must be a DNS zone such as multi.surbl.org")
    return text.lower()


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]{1,3})?", text) or not 0.1 <= float(text) <= 3600:
        raise ValueError("must be a number of seconds from 0.1 to 3600")
    return float(text)


def _http_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s@/]+(?:/[^\s?#]*)?", text):
        raise ValueError("must be an http(s) URL without credentials, query or fragment")
    return text


def _setting(help_text: str, parse: Callable[[str], Any] = str, default: Any = MISSING) -> Any:
    metadata = {"help": help_text, "parse": parse}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """What `linkrouter router` can be told."""

    keys: Path = _setting("Keyring file.", Path)
    listen: Address = _setting("Where recipients' clicks arrive.", _address, Address("127.0.0.1", 8080))
    admin_listen: Address = _setting("Where /metrics is.", _address, Address("127.0.0.1", 9080))
    click_store: str = _setting("Where clicks wait for the centre.", str, "sqlite:///spool")
    ingest_url: str = _setting("The centre; without it clicks are kept and not sent.", _http_url, "")
    ingest_token_file: Path | None = _setting("File with the token for the centre.", Path, None)
    trusted_proxies: tuple[Network, ...] = _setting(
        "Who may set X-Forwarded-For and X-Request-Id.",
        _networks,
        (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("::1/128")),
    )
    workers: int = _setting("Processes on the one port.", _number(1, 64), 1)
    router_id: str = _setting("The name the centre knows this router by.", _word, "")
    respect_opt_out: bool = _setting(
        "Record requests with Sec-GPC: 1 or DNT: 1 without address and agent.", _switch, True
    )
    direct_answers: bool = _setting("Answer simple requests straight from the HTTP parser's output.", _switch, True)
    queue_max_clicks: int = _setting("Clicks kept in memory at most.", _number(1, 10_000_000), 50_000)
    queue_max_bytes: int = _setting("Bytes of clicks kept in memory at most.", _size, 32 * 1024**2)
    commit_interval_ms: int = _setting("Longest wait before clicks are made durable.", _number(1, 1000), 50)
    commit_max_clicks: int = _setting("Clicks that are made durable without that wait.", _number(1, 100_000), 1000)
    spool_max_bytes: int = _setting("Size of the click store at most.", _size, 4 * 1024**3)
    spool_reserve_bytes: int = _setting("Bytes of the disk left free for others.", _size, 256 * 1024**2)
    drain_ms: int = _setting("How long a stopping router says 503 on /-/ready first.", _number(0, 8000), 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """What the pre-send check can be told."""

    allow_network: tuple[Network, ...] = _setting(
        "Networks that may be connected to, on any port, besides the public ones.", _networks, ()
    )
    reputation: tuple[str, ...] = _setting(
        "Lists that are asked about every link: surbl, dbl, webrisk.", _reputations, ()
    )
    dns_server: Address | None = _setting(
        "The name server for surbl and dbl; the machine's own by default.", _address, None
    )
    surbl_zone: str = _setting("The zone of SURBL.", _zone, "multi.surbl.org")
    dbl_zone: str = _setting(
        "The zone of the Spamhaus DBL; with a key it is KEY.dbl.dq.spamhaus.net.", _zone, "dbl.spamhaus.org"
    )
    webrisk_url: str = _setting("Where Web Risk answers.", _http_url, "https://webrisk.googleapis.com")
    webrisk_key_file: Path | None = _setting("File with the API key for Web Risk.", Path, None)
    timeout: float = _setting("Seconds for the requests of one link.", _seconds, 8.0)
    total_timeout: float = _setting("Seconds for the whole check.", _seconds, 20.0)
    cache: Path | None = _setting("SQLite file that keeps verdicts; without it each check begins anew.", Path, None)
    lying_hosts: Path | None = _setting("File with more sites that lie to robots.", Path, None)
    base_url: str = _setting("Your own tracked links, which are read and not requested.", _http_url, "")
    keys: Path | None = _setting("Keyring file, to read your own tracked links.", Path, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralSettings(CheckSettings):
    """What `linkrouter central` can be told: what the check can, since it checks for all authors, and its own."""

    listen: Address = _setting("Where routers and senders connect.", _address, Address("127.0.0.1", 8090))
    database: str = _setting("Where clicks and messages are kept.", str, "sqlite:///central.db")
    ingest_token_file: Path = _setting("File with the routers' tokens, one a line: they may only write.", Path)
    api_token_file: Path = _setting("File with the senders' tokens, one a line.", Path)
    cache: Path | None = _setting(
        "SQLite file that keeps what is known of links; checks.db beside an SQLite DATABASE by default.", Path, None
    )


Settings = TypeVar("Settings", RouterSettings, CentralSettings, CheckSettings)


def read_settings(
    cls: type[Settings],
    options: Mapping[str, str | None],
    environ: Mapping[str, str] = os.environ,
    config_file: Path | None = None,
) -> Settings:
    """Give the settings of a process from *options*, then the environment, then *config_file* (TOML), then defaults.

    Raises:
        SettingsError: a setting is missing, malformed or unknown.
    """
    from_file = _read_config(cls, config_file) if config_file else {}
    values: dict[str, Any] = {}
    for setting in fields(cls):
        text = options.get(setting.name)
        if text is None:
            text = environ.get(PREFIX + setting.name.upper())
        if text is None:
            text = from_file.get(setting.name)
        if text is not None:
            values[setting.name] = _parse(setting, text)
        elif setting.default is MISSING:
            option = setting.name.replace("_", "-")
            raise SettingsError(f"{setting.name.upper()} is not set; give --{option} or {PREFIX}{setting.name.upper()}")
    return cls(**values)


def _parse(setting: "Field[Any]", text: str) -> Any:
    if text == "" and setting.default in ("", None):
        return setting.default
    try:
        return setting.metadata["parse"](text)
    except ValueError as exc:
        raise SettingsError(f"{setting.name.upper()} {exc}") from None


def _read_config(cls: type[Any], path: Path) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as exc:
        raise SettingsError(f"config file {str(path)!r} cannot be read ({exc.strerror})") from exc
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(f"config file {str(path)!r} is not TOML") from exc
    known = {setting.name for setting in fields(cls)}
    for name, value in document.items():
        if name not in known:
            raise SettingsError(f"config file {str(path)!r} has an unknown setting {name!r}")
        if not isinstance(value, str | int | bool):
            raise SettingsError(f"config file {str(path)!r}: {name} must be text, a number or true or false")
    return {name: str(value) for name, value in document.items()}


def read_secret(path: Path, setting: str, min_chars: int = MIN_TOKEN_CHARS) -> tuple[str, ...]:
    """Read the tokens in *path*, one a line; *setting* is who asks, for the error.

    Raises:
        SettingsError: the file cannot be read, is readable by all, or holds no usable token.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text("ascii").split()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{setting}: {str(path)!r} cannot be read; it must hold one token a line") from None
    if mode & 0o007:
        raise SettingsError(f"{setting}: {str(path)!r} can be read by everybody; run 'chmod 600 {path}'")
    if not lines or any(len(line) < min_chars for line in lines):
        raise SettingsError(f"{setting}: {str(path)!r} must hold tokens of {min_chars} characters or more")
    return tuple(lines)


def credentials_directory(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the directory in which systemd put this unit's credentials, if there is one."""
    name = environ.get("CREDENTIALS_DIRECTORY")
    return Path(name) if name else None


def default_router_id() -> str:
    """Give this machine's name, cut to what a router id may hold."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "router"

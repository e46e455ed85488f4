"""What the text of a setting may be: one function a kind of value.

Promise: each gives the value or raises `ValueError` with the words that follow the name of the setting.
"""

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from linkrouter.errors import SettingsError

__all__ = [
    "MOUNTED_SECRETS",
    "REPUTATION_SOURCES",
    "Address",
    "Network",
    "listen_error",
    "parse_address",
    "parse_choice",
    "parse_choices",
    "parse_delay",
    "parse_http_url",
    "parse_networks",
    "parse_number",
    "parse_paths",
    "parse_patterns",
    "parse_reputations",
    "parse_ring_size",
    "parse_seconds",
    "parse_size",
    "parse_statuses",
    "parse_switch",
    "parse_word",
    "parse_zone",
    "setting",
]

MOUNTED_SECRETS = "Take keyring and tokens that others can read where a container's runtime has mounted them."
REPUTATION_SOURCES = "linkrouter.reputation_sources"  # the group of entry points

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen_error(setting: str, address: Address, exc: OSError) -> SettingsError:
    """Give what is to be raised when the *address* of *setting* cannot be listened on."""
    return SettingsError(
        f"{setting}: {str(address)!r} cannot be listened on ({os.strerror(exc.errno or 0)}); "
        "stop what uses it, or give another HOST:PORT"
    )


def parse_address(text: str) -> Address:
    """Read HOST:PORT."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/\s]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError("must be HOST:PORT")
    return Address(match[1] or match[2], int(match[3]))


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read networks, separated by commas."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8, separated by commas") from None


def parse_switch(text: str) -> bool:
    """Read on or off."""
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


def parse_number(least: int, most: int) -> Callable[[str], int]:
    """Give what reads a whole number from *least* to *most*."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parse


def parse_size(text: str) -> int:
    """Read a number of bytes, such as 64M."""
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)", text.upper())
    if match is None:
        raise ValueError("must be a number of bytes, with K, M, G or T if you like")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")


def parse_ring_size(text: str) -> int:
    """Read a number of bytes from 1M to 1G, cut to whole pages."""
    size = parse_size(text)
    if not 1024**2 <= size <= 1024**3:
        raise ValueError("must be a number of bytes from 1M to 1G")
    return size // 4096 * 4096


def parse_word(text: str) -> str:
    """Read a short name."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError("must be 1 to 64 letters, digits, dots, hyphens and underscores")
    return text


def parse_reputations(text: str) -> tuple[str, ...]:
    """Read the names of reputation sources, which are those of the installed entry points."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    installed = entry_points(group=REPUTATION_SOURCES).names
    if not set(names) <= installed:
        raise ValueError(f"must be names of {', '.join(sorted(installed))}, separated by commas")
    return names


def parse_zone(text: str) -> str:
    """Read a DNS zone."""
    if not re.fullmatch(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.){0,20}[A-Za-z0-9_-]{1,63}", text):
        raise ValueError("must be a DNS zone such as multi.surbl.org")
    return text.lower()


def parse_seconds(text: str) -> float:
    """Read a number of seconds."""
    if not re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]{1,3})?", text) or not 0.1 <= float(text) <= 3600:
        raise ValueError("must be a number of seconds from 0.1 to 3600")
    return float(text)


def parse_http_url(text: str) -> str:
    """Read the URL of a service."""
    if not re.fullmatch(r"https?://[^\s@/]+(?:/[^\s?#]*)?", text):
        raise ValueError("must be an http(s) URL without credentials, query or fragment")
    return text


def parse_delay(text: str) -> float:
    """Read a number of seconds that may be 0."""
    if not re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]{1,3})?", text) or float(text) > 3600:
        raise ValueError("must be a number of seconds from 0 to 3600")
    return float(text)


def parse_paths(text: str) -> tuple[Path, ...]:
    """Read paths of files, separated by commas."""
    return tuple(Path(part.strip()) for part in text.split(",") if part.strip())


def parse_patterns(text: str) -> tuple[re.Pattern[str], ...]:
    """Read regular expressions, one a line, since a comma may be part of one."""
    try:
        return tuple(re.compile(line.strip()) for line in text.splitlines() if line.strip())
    except re.error as exc:
        raise ValueError(f"must be regular expressions, one a line ({exc.msg})") from None


def parse_statuses(text: str) -> frozenset[int]:
    """Read HTTP statuses and ranges of them, separated by commas: 403,500-599."""
    found: set[int] = set()
    for part in filter(None, map(str.strip, text.split(","))):
        match = re.fullmatch(r"([1-9][0-9]{2})(?:(?:-|\.\.=?)([1-9][0-9]{2}))?", part)
        if match is None:
            raise ValueError("must be statuses such as 403,500-599")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def parse_choice(*choices: str) -> Callable[[str], str]:
    """Give what reads one of the words *choices*."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def parse_choices(*choices: str) -> Callable[[str], tuple[str, ...]]:
    """Give what reads some of the words *choices*, separated by commas; `none` is none of them."""

    def parse(text: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
        if words == ("none",):
            return ()
        if not words or not set(words) <= set(choices):
            raise ValueError(f"must be some of {', '.join(choices)}, separated by commas, or none")
        return words

    return parse


def setting(help_text: str, parse: Callable[[str], Any] = str, default: Any = MISSING, *, separator: str = "") -> Any:
    """Give a dataclass field: its help, what reads its text, its default, and what joins several values in a file."""
    metadata = {"help": help_text, "parse": parse, "separator": separator}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)

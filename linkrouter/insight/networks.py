"""Which addresses belong to a cloud or to a privacy relay: ranges that the operator names, one CIDR a line.

Promise: a relay is never taken for a cloud, whatever the cloud's list says, because its users are people. A published
list (Private Relay's `egress-ip-ranges.csv`) is read as it comes: only what stands before the first comma counts.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from socket import AF_INET, inet_pton
from typing import Literal

from linkrouter.errors import SettingsError

__all__ = ["IPv4Or6", "NetworkKind", "Networks", "parse_ip", "read_ranges"]

NetworkKind = Literal["cloud", "relay", "other"]
MAX_CACHED_ADDRESSES = 16_384

IPv4Or6 = ipaddress.IPv4Address | ipaddress.IPv6Address
_Spans = dict[int, tuple[list[int], list[int]]]  # IP version → the starts, sorted, and the end of each


class Networks:
    """The ranges in memory; immutable but for a bounded cache.

    Raises:
        ValueError: a range is not a CIDR.
    """

    def __init__(self, clouds: Iterable[str] = (), relays: Iterable[str] = ()) -> None:
        self._clouds = _merge(clouds)
        self._relays = _merge(relays)
        self._is_told = any(starts for spans in (self._clouds, self._relays) for starts, _ in spans.values())
        self.kind_of = lru_cache(MAX_CACHED_ADDRESSES)(self._kind_of)

    @classmethod
    def load(cls, cloud_files: Sequence[Path] = (), relay_files: Sequence[Path] = ()) -> "Networks":
        """Read the ranges from files.

        Raises:
            SettingsError: a file cannot be read, or holds something else than ranges.
        """
        clouds = [cidr for path in cloud_files for cidr in read_ranges(path)]
        return cls(clouds, [cidr for path in relay_files for cidr in read_ranges(path)])

    def _kind_of(self, ip: str | None) -> NetworkKind:
        address = parse_ip(ip) if self._is_told else None
        if address is None:
            return "other"
        if _holds(self._relays, address):
            return "relay"
        return "cloud" if _holds(self._clouds, address) else "other"


@lru_cache(MAX_CACHED_ADDRESSES)
def parse_ip(text: str | None) -> IPv4Or6 | None:
    """Give an address, or the first of a network it was cut to; an IPv4 address mapped into IPv6 is IPv4. Else None."""
    bare = (text or "").partition("/")[0]
    try:
        return ipaddress.IPv4Address(inet_pton(AF_INET, bare))  # three times as fast, and most are
    except (OSError, ValueError):
        pass
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def read_ranges(path: Path) -> list[str]:
    """Read CIDRs, one a line; `#` starts a comment, and what follows a comma is left out.

    Raises:
        SettingsError: the file cannot be read, or a line is not a CIDR.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as exc:
        raise SettingsError(f"ranges file {path.name!r} cannot be read; name a text file of CIDRs") from exc
    ranges = []
    for number, line in enumerate(lines, 1):
        cidr = line.partition("#")[0].partition(",")[0].strip()
        if not cidr:
            continue
        try:
            ipaddress.ip_network(cidr, strict=False)
        except ValueError as exc:
            raise SettingsError(f"ranges file {path.name!r}, line {number}: not a CIDR; write one a line") from exc
        ranges.append(cidr)
    return ranges


def _merge(ranges: Iterable[str]) -> _Spans:
    spans: _Spans = {4: ([], []), 6: ([], [])}
    networks = (ipaddress.ip_network(cidr, strict=False) for cidr in ranges)
    pairs = sorted((net.version, int(net.network_address), int(net.broadcast_address)) for net in networks)
    for version, first, last in pairs:
        starts, ends = spans[version]
        if ends and first <= ends[-1] + 1:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return spans


def _holds(spans: _Spans, address: IPv4Or6) -> bool:
    starts, ends = spans[address.version]
    number = int(address)
    at = bisect_right(starts, number) - 1
    return at >= 0 and number <= ends[at]

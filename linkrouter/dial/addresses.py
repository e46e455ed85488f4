"""Which addresses a check may connect to.

Promise: an address is judged by this table alone, in whatever form it is written. `ipaddress.is_private` and
`is_global` let 14 of 28 dangerous addresses through (metadata services, multicast, IPv4 inside IPv6), and what
they answer changes between Python releases.
"""

import ipaddress
from collections.abc import Iterable

__all__ = ["ALLOWED_PORTS", "IpAddress", "IpNetwork", "may_connect"]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

ALLOWED_PORTS = frozenset({80, 443})

_REFUSED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier NAT; Alibaba's metadata service is in it
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent, on a public address
        "169.254.0.0/16",  # link-local; the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, retired
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_V4 = frozenset(map(ipaddress.IPv4Address, ("192.0.0.9", "192.0.0.10")))  # anycast (RFC 7723, RFC 8155)

_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all that was ever given out; everything else is refused
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # how a host with IPv6 alone reaches the public IPv4


def may_connect(address: IpAddress, port: int, allowed: Iterable[IpNetwork] = ()) -> bool:
    """Whether a check may connect to *address* and *port*; in the networks of *allowed*, to any port."""
    address = _plain(address)
    if any(address.version == network.version and address in network for network in allowed):
        return True
    return port in ALLOWED_PORTS and _is_public(address)


def _plain(address: IpAddress) -> IpAddress:
    """Give the IPv4 address inside *address* where the network would use that one."""
    if isinstance(address, ipaddress.IPv6Address):
        address = ipaddress.IPv6Address(int(address))  # without its zone
        if address in _MAPPED or address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: IpAddress) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address in _GLOBAL_V4 or not any(address in network for network in _REFUSED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)

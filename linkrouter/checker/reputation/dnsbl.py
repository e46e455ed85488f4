"""DNS block lists of domains: SURBL and the Spamhaus DBL.

Promise: "clean" is believed only of a zone that has just shown that it lists what it always lists, and does not list
what it never does. Public resolvers answer "no such name" to everything, and some providers answer an address to
everything; without these controls the first would call all mail clean, and the second would stop it all.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from linkrouter.checker.reputation.codes import Codes, read_dbl, read_surbl
from linkrouter.checker.urls import split_url
from linkrouter.checker.verdict import Opinion
from linkrouter.errors import SettingsError
from linkrouter.settings import CheckSettings

__all__ = [
    "CONTROLS_HOLD_S",
    "FAILED_CONTROLS_HOLD_S",
    "LISTED_HOLDS_S",
    "MAX_QUERIES",
    "NEVER_LISTED",
    "QUERY_TIMEOUT_S",
    "QUERY_TRIES",
    "BlockList",
    "Zone",
    "dbl",
    "open_dbl",
    "open_surbl",
    "surbl",
]

QUERY_TIMEOUT_S = 2.0
QUERY_TRIES = 2
MAX_QUERIES = 64  # in flight at once
CONTROLS_HOLD_S = 600.0
FAILED_CONTROLS_HOLD_S = 15.0
LISTED_HOLDS_S = (60.0, 3600.0)  # the record's own time to live, within these

NEVER_LISTED = "invalid"  # RFC 5782 §5


@dataclass(frozen=True, slots=True)
class Zone:
    """A list: how its answers are read, which names it is asked about a host, and what it always lists.

    One of `always_listed` must be: private copies of a zone often hold only some of the test points.
    """

    name: str
    suffix: str
    read: Codes
    names: Callable[[str], tuple[str, ...]]
    always_listed: tuple[str, ...]


def surbl(
    zone: str = "multi.surbl.org", server: tuple[str, int] | None = None, *, timeout_s: float = QUERY_TIMEOUT_S
) -> "BlockList":
    """Give SURBL, asked for the registrable domain, or for an address with its octets turned round.

    Raises:
        SettingsError: the extra `check` is not installed.
    """
    domain = _public_suffixes()

    def names(host: str) -> tuple[str, ...]:
        if _is_ipv4(host):
            return (".".join(reversed(host.split("."))),)
        return () if host.startswith("[") else (domain(host),)

    always = ("test.surbl.org", "surbl-org-permanent-test-point.com", "2.0.0.127", "test")
    return BlockList(Zone("surbl", zone, read_surbl, names, always), server, timeout_s=timeout_s)


def dbl(
    zone: str = "dbl.spamhaus.org", server: tuple[str, int] | None = None, *, timeout_s: float = QUERY_TIMEOUT_S
) -> "BlockList":
    """Give the Spamhaus DBL, asked for the host and its registrable domain and never for an address.

    Raises:
        SettingsError: the extra `check` is not installed.
    """
    domain = _public_suffixes()

    def names(host: str) -> tuple[str, ...]:
        return () if host.startswith("[") or _is_ipv4(host) else tuple(dict.fromkeys((host, domain(host))))

    return BlockList(Zone("dbl", zone, read_dbl, names, ("dbltest.com", "test")), server, timeout_s=timeout_s)


def open_surbl(settings: CheckSettings) -> "BlockList":
    """Return SURBL as *settings* describe it.

    Raises:
        SettingsError: the extra `check` is not installed, or the name server has no address.
    """
    return surbl(settings.surbl_zone, _name_server(settings))


def open_dbl(settings: CheckSettings) -> "BlockList":
    """Return the Spamhaus DBL as *settings* describe it.

    Raises:
        SettingsError: the extra `check` is not installed, or the name server has no address.
    """
    return dbl(settings.dbl_zone, _name_server(settings))


def _name_server(settings: CheckSettings) -> tuple[str, int] | None:
    server = settings.dns_server
    if server is None:
        return None
    try:
        return str(socket.getaddrinfo(server.host, None, type=socket.SOCK_DGRAM)[0][4][0]), server.port
    except (OSError, UnicodeError) as exc:
        cure = "give the server's address"
        raise SettingsError(f"DNS_SERVER: the name {server.host!r} has no address; {cure}") from exc


class BlockList:
    """One zone, asked of *server* (address, port) or of the machine's own resolver."""

    def __init__(
        self, zone: Zone, server: tuple[str, int] | None = None, *, timeout_s: float = QUERY_TIMEOUT_S
    ) -> None:
        self.name = zone.name
        self._zone = zone
        self._names = lru_cache(8192)(zone.names)
        self._server = server
        self._timeout_s = timeout_s
        self._resolver: Any = None
        self._queries = asyncio.Semaphore(MAX_QUERIES)
        self._controls: asyncio.Task[tuple[str, bool]] | None = None
        self._controlled_until = 0.0

    def query_for(self, url: str) -> str | None:
        """Give the host of *url*: a link is judged by where it leads, not by its path."""
        host = split_url(url)[1].rstrip(".")
        return host if self._names(host) else None

    async def ask(self, query: str) -> Opinion:
        """Ask for every name of the host *query*; the worst answer counts."""
        opinions = await asyncio.gather(*(self._query(name) for name in self._names(query)))
        listed = [opinion for opinion in opinions if opinion.answer == "listed"]
        fault, answers_always = await self._fault()
        if listed and not answers_always:
            lists = tuple(dict.fromkeys(name for opinion in listed for name in opinion.lists))
            holds_s = min(opinion.holds_s or 0.0 for opinion in listed)
            return Opinion("listed", lists, any(opinion.blocks for opinion in listed), holds_s=holds_s)
        if fault:
            return Opinion("unknown", why=fault)
        return next((opinion for opinion in opinions if opinion.answer == "unknown"), Opinion("clean"))

    async def close(self) -> None:
        """Let go of the resolver."""
        if self._controls is not None:
            self._controls.cancel()
        if self._resolver is not None:
            await self._resolver.close()

    async def _fault(self) -> tuple[str, bool]:
        """Give what is wrong with the zone, "" when nothing is, and whether it lists what it never should.

        One run of the controls serves everybody for a while.
        """
        if self._controls is None or (self._controls.done() and time.monotonic() > self._controlled_until):
            self._controls = asyncio.create_task(self._run_controls())
        return await asyncio.shield(self._controls)

    async def _run_controls(self) -> tuple[str, bool]:
        names = (NEVER_LISTED, *self._zone.always_listed)
        never, *always = await asyncio.gather(*(self._query(name) for name in names))
        fault = never.why
        if never.answer == "listed":
            fault = "the list answers for names that it never lists"
        elif never.answer == "clean" and not any(opinion.answer == "listed" for opinion in always):
            whys = [opinion.why for opinion in always if opinion.why]
            fault = whys[0] if whys else "the list does not know its own test entry; ask it through another name server"
        self._controlled_until = time.monotonic() + (FAILED_CONTROLS_HOLD_S if fault else CONTROLS_HOLD_S)
        return fault, never.answer == "listed"

    async def _query(self, name: str) -> Opinion:
        import aiodns

        full_name = f"{name}.{self._zone.suffix}"
        if len(full_name) > 253:
            return Opinion("unknown", why="the name is too long to be asked for")
        try:
            async with self._queries, asyncio.timeout(self._timeout_s * QUERY_TRIES + 1):
                result = await self._open().query_dns(full_name, "A")
        except aiodns.error.DNSError as exc:
            return _not_found(exc.args[0])
        except TimeoutError:
            return Opinion("unknown", why=_DNS_FAULTS["ARES_ETIMEOUT"])
        records = [record for record in result.answer if record.type == aiodns.query_type_map["A"]]
        opinion = self._zone.read(record.data.addr for record in records)
        least, most = LISTED_HOLDS_S
        holds_s = min((max(least, min(most, float(record.ttl))) for record in records), default=least)
        return Opinion(opinion.answer, opinion.lists, opinion.blocks, opinion.why, holds_s)

    def _open(self) -> Any:
        if self._resolver is None:
            import aiodns

            options: dict[str, Any] = {"timeout": self._timeout_s, "tries": QUERY_TRIES}
            if self._server is not None:
                host, port = self._server
                options |= {"nameservers": [host], "udp_port": port, "tcp_port": port}
            self._resolver = aiodns.DNSResolver(**options)
        return self._resolver


_DNS_FAULTS = {
    "ARES_ETIMEOUT": "the name server did not answer in time",
    "ARES_ESERVFAIL": "the name server failed",
    "ARES_EREFUSED": "the name server refused",
    "ARES_ECONNREFUSED": "no name server is there",
    "ARES_EBADRESP": "the name server answered garbage",
    "ARES_EFORMERR": "the name server did not understand",
}


def _not_found(code: int) -> Opinion:
    from aiodns import error

    if code in (error.ARES_ENOTFOUND, error.ARES_ENODATA):
        return Opinion("clean")
    return Opinion(
        "unknown", why=next((why for name, why in _DNS_FAULTS.items() if getattr(error, name) == code), "DNS failed")
    )


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _public_suffixes() -> Callable[[str], str]:
    """Give a function from a host to its registrable domain; sites of one hoster, such as github.io's, are apart."""
    try:
        import aiodns  # noqa: F401 - so that a missing extra is told before anything is asked
        from publicsuffixlist import PublicSuffixList
    except ImportError as exc:
        raise SettingsError("REPUTATION needs more packages; run 'pip install linkrouter[check]'") from exc
    suffixes = PublicSuffixList()

    def registrable(host: str) -> str:
        return suffixes.privatesuffix(host) or host

    return registrable

"""Who serves on this machine, with which keys, and what is down or half done.

Promise: it changes nothing. A finding is what an operator should act on; a note is what may be meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from haproxy_socket import OTHER, HAProxy, Server, Stopped
from in_use import keys_in_use, version_in_use
from keyfile import KeyFile, summary_of


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to say; `routers` is a row for each."""

    active: str
    written: str
    keys: str
    routers: list[dict[str, object]]
    findings: list[str]
    notes: list[str]

    def lines(self) -> list[str]:
        """Give it as text."""
        rows = [
            f"  {row['name']:8} {'up' if row['up'] else 'down':5} keys {row['keys'] or '?':20} {row['check']}"
            for row in self.routers
        ]
        return [f"active: {self.active}", f"keys: {self.keys}", *rows, *self.findings, *self.notes]

    def to_json(self) -> dict[str, object]:
        """Give it as a JSON object."""
        names = ("active", "written", "keys", "routers", "findings")
        return {name: getattr(self, name) for name in names}


def status_of(proxy: HAProxy, keys: KeyFile, settings: Path, self_signed: Path) -> Status:
    """Look at HAProxy, at each router that is up, and at the keyring."""
    active = proxy.active()
    servers = [server for colour in sorted(OTHER) for server in proxy.servers(colour)]
    used = {server.name: keys_in_use(server, settings) if server.is_up else None for server in servers}
    wanted = _summary(keys)
    return Status(
        active=active,
        written=proxy.written(),
        keys=wanted,
        routers=[
            {
                "name": server.name,
                "up": server.is_up,
                "active": server.name.startswith(f"{active}-"),
                "check": server.check,
                "keys": used[server.name],
                "version": version_in_use(server, settings) if server.is_up else None,
            }
            for server in servers
        ],
        findings=[*_down(servers, active), *_half_done(proxy, active), *_stale(used, wanted), *_drained(proxy)],
        notes=_notes(servers, active, self_signed),
    )


def _summary(keys: KeyFile) -> str:
    try:
        return summary_of(keys.rows())
    except Stopped as exc:
        return f"? ({exc})"


def _down(servers: Sequence[Server], active: str) -> list[str]:
    ours = [server for server in servers if server.name.startswith(f"{active}-")]
    return [f"{server.name} is active and down ({server.check})" for server in ours if not server.is_up]


def _half_done(proxy: HAProxy, active: str) -> list[str]:
    written = proxy.written()
    if written == active:
        return []
    return [f"{proxy.map} says {written}: run 'linkrouter-deploy switch {active}' before haproxy is reloaded"]


def _stale(used: dict[str, str | None], wanted: str) -> list[str]:
    return [
        f"{name} uses keys {keys}, the file has {wanted}: run 'linkrouter-deploy reload'"
        for name, keys in used.items()
        if keys is not None and not wanted.startswith("?") and keys != wanted
    ]


def _drained(proxy: HAProxy) -> list[str]:
    if not proxy.is_drained():
        return []
    return ["drained: health checks send recipients elsewhere; when it is to serve again: 'linkrouter-deploy undrain'"]


def _notes(servers: Sequence[Server], active: str, self_signed: Path) -> list[str]:
    notes, standby = [], OTHER[active]
    if any(server.is_up for server in servers if server.name.startswith(f"{standby}-")):
        notes.append(f"{standby} stands by; if it should not: 'linkrouter-deploy switch {active}'")
    if self_signed.exists():
        notes.append("the certificate is self-signed, which browsers refuse; deploy/README.md says how to get another")
    return notes

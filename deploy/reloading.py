"""The routers of this machine take over its keyring: told to reload, and asked until each says which keys it uses.

Promise: what is said to be in use is in use, by every router that runs, of both colours. A router that is stopped reads
the file when it starts.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from canary import Canary, ask_canaries
from haproxy_socket import LOOK_S, OTHER, HAProxy, Server, Stopped
from in_use import keys_in_use
from keyfile import KeyFile, summary_of
from services import Services


@dataclass(frozen=True, slots=True)
class Routers:
    """The routers of this machine: where they are found, told, and asked."""

    proxy: HAProxy
    services: Services
    settings: Path
    within_s: float

    def all(self) -> list[Server]:
        """List the routers of both colours."""
        return [server for colour in sorted(OTHER) for server in self.proxy.servers(colour)]

    def running(self) -> list[Server]:
        """List those whose units run."""
        return [server for server in self.all() if self.services.is_active(server.unit)]


def reload_keys(routers: Routers, keys: KeyFile, dead: Canary | None = None) -> dict[str, str | None]:
    """Have every running router read *keys* again, and give what each uses; None for one that is stopped.

    With *dead*, a link of a key that was revoked, return only when no router follows it any more.

    Raises:
        Stopped: a router does not take them over in time.
    """
    wanted = summary_of(keys.rows())
    if units := [server.unit for server in routers.running()]:
        routers.services.run("reload", *units)
    until = time.monotonic() + routers.within_s
    while True:
        running = routers.running()
        used = {server.name: keys_in_use(server, routers.settings) for server in running}
        late = [server for server in running if used[server.name] != wanted]
        if not late:
            break
        if time.monotonic() > until:
            server = late[0]
            raise Stopped(
                f"{server.name} uses keys {used[server.name] or 'that it does not name'} instead of {wanted}; "
                f"see 'journalctl -u {server.unit}'"
            )
        time.sleep(LOOK_S)
    if dead is not None:
        _wait_until_dead(running, dead, until)
    return {server.name: used.get(server.name) for server in routers.all()}


def _wait_until_dead(running: list[Server], dead: Canary, until: float) -> None:
    for server in running:
        while True:
            try:
                ask_canaries([dead], server.name, server.address, None)
                break
            except Stopped:
                if time.monotonic() > until:
                    raise
            time.sleep(LOOK_S)

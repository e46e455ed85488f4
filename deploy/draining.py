"""Draining a machine: recipients go elsewhere, then its clicks reach the centre.

Promise: nobody is refused. Only the answer to the health check changes; who still comes is redirected, and a drain that
does not succeed leaves the machine in traffic, or out of it, as it was.
"""

import http.client
import json
import shlex
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from asking import ask
from haproxy_socket import LOOK_S, OTHER, HAProxy, Stopped
from in_use import clicks_in_memory, read_settings
from telling import say

CHECK = "/robots.txt"  # what DNS services and load balancers ask for
SPOOL = "sqlite:////var/lib/linkrouter/spool"  # as the units have it
FILE_STORE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a drain waits: without a redirect, for recipients to leave, and for the spool to be empty."""

    quiet_s: float
    leave_s: float
    empty_s: float


@dataclass(frozen=True, slots=True)
class Drain:
    """What takes this machine out of traffic, and puts it back."""

    proxy: HAProxy
    settings: Path
    program: str
    front: tuple[str, int]
    host: str
    tls: ssl.SSLContext
    patience: Patience

    def run(self) -> None:
        """Take the machine out of traffic and wait until the centre has all its clicks.

        Raises:
            Stopped: recipients do not leave, or clicks stay; whether the machine is in traffic is as before.
        """
        before = self.proxy.is_drained()
        try:
            say(f"answer health checks ({CHECK}) with 503")
            self.proxy.drain(True)
            self._expect(503, "its haproxy.cfg has no line for drained machines; take it from the one that is shipped")
            self._wait_until_left()
            self._wait_until_empty()
        except (Stopped, KeyboardInterrupt) as exc:
            self.proxy.drain(before)
            state = "drained, as before" if before else "in traffic again"
            raise Stopped(f"{str(exc) or 'interrupted'}; this machine is {state}") from exc

    def end(self) -> None:
        """Put the machine back into traffic.

        Raises:
            Stopped: no router answers the health check.
        """
        say(f"answer health checks ({CHECK}) with 200")
        self.proxy.drain(False)
        self._expect(200, "run 'linkrouter-deploy status'")

    def _expect(self, status: int, cure: str) -> None:
        try:
            found: object = ask(self.front, self.host, CHECK, self.tls, "GET").status
        except (OSError, http.client.HTTPException) as exc:
            found = type(exc).__name__
        if found != status:
            raise Stopped(f"{self.front[0]}:{self.front[1]} answers {CHECK} with {found} instead of {status}; {cure}")

    def _wait_until_left(self) -> None:
        """Wait for a time without redirects: robots that know the address ask on, but have no links to follow."""
        patience = self.patience
        say(f"wait until no link was followed for {patience.quiet_s:g} s, {patience.leave_s:g} s at most")
        began = last = time.monotonic()
        first = seen = self.proxy.redirects()
        while time.monotonic() - last < patience.quiet_s:
            if time.monotonic() - began > patience.leave_s:
                raise Stopped(
                    f"recipients still come ({seen - first} links followed in {patience.leave_s:g} s); see whether "
                    f"what sends them here checks {CHECK} and has another machine, or give a longer --leave-s"
                )
            time.sleep(LOOK_S)
            if (now := self.proxy.redirects()) != seen:
                seen, last = now, time.monotonic()

    def _wait_until_empty(self) -> None:
        say(f"wait until the centre has every click, {self.patience.empty_s:g} s at most")
        until = time.monotonic() + self.patience.empty_s
        while waiting := self._waiting():
            if time.monotonic() > until:
                raise Stopped(
                    f"{waiting} after {self.patience.empty_s:g} s; see 'linkrouter doctor machine', "
                    "or give a longer --empty-s"
                )
            time.sleep(LOOK_S)

    def _waiting(self) -> str:
        """Say which clicks this machine still has; "" for none."""
        for server in [server for colour in OTHER for server in self.proxy.servers(colour) if server.is_up]:
            count = clicks_in_memory(server, self.settings)
            if count is None:
                return f"{server.name} does not say how many clicks it has in memory"
            if count:
                return f"{server.name} has {count} clicks in memory"
        count = self._in_spool()
        return f"{count} clicks wait in the spool" if count else ""

    def _in_spool(self) -> int:
        """Count the clicks on this machine's disk; a store that is elsewhere outlives the machine."""
        url = read_settings(self.settings, "router.env").get("LINKROUTER_CLICK_STORE", SPOOL)
        if not url.startswith(FILE_STORE):
            return 0
        command = [*shlex.split(self.program), "spool", "status", url, "--json"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
            return int(json.loads(done.stdout)["pending"])
        except (OSError, ValueError, KeyError) as exc:
            raise Stopped(f"the spool cannot be read; run {shlex.join(command)!r} as root, or give --program") from exc

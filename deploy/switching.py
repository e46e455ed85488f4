"""A switch: the steps that move traffic to a colour, and the way back.

Promise: whatever stops a switch leaves a colour active that serves, and traffic moves only to processes that have just
read their keyring. Each step may be done again, so a switch that was cut off at any point is finished, or undone, by
another one.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from canary import Canary, ask_canaries, ask_front, is_ready
from haproxy_socket import LOOK_S, OTHER, HAProxy, Server, Stopped
from services import Services
from telling import say

MAX_RETRIED = 0.01  # of the requests while watching; a healthy pair needs none at all


@dataclass(frozen=True, slots=True)
class Plan:
    """What a switch may do. Without canaries it neither asks for them nor watches."""

    canaries: list[Canary]
    front: tuple[str, int]  # where HAProxy takes recipients' requests
    tls: ssl.SSLContext
    services: Services
    ready_s: float
    watch_s: float
    drain_s: float
    keep_old: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What is done next, in words and in fact."""

    text: str
    act: Callable[[], None]


class Switch:
    """One switch of *proxy* to *target*."""

    def __init__(self, proxy: HAProxy, target: str, plan: Plan) -> None:
        self._proxy, self._target, self._old, self._plan = proxy, target, OTHER[target], plan
        self._stood_by = any(is_ready(server.address) for server in proxy.servers(target))

    def moving(self) -> list[Step]:
        """List the steps that make the target the active colour; when one fails, the old colour is."""
        plan, target = self._plan, self._target
        servers = self._proxy.servers(target)
        names = " and ".join(server.name for server in servers)
        flip = f"make {target} the active colour, in haproxy and in {self._proxy.map}"
        waits = f"wait until haproxy finds {names} ready, {plan.ready_s:g} s at most"
        if self._proxy.active() == target:  # it serves: one after the other, so that one always does
            steps = [step for server in servers for step in self._restart_and_wait(server)]
        else:
            steps = [self._unit_step("restart", server) for server in servers]
        steps.append(Step(waits, lambda: self._wait_until_ready(servers)))
        if not plan.canaries:
            return [*steps, Step(flip, self._flip)]
        return [
            *steps,
            Step(f"ask {names} for {len(plan.canaries)} genuine and forged canary links", self._ask_canaries),
            Step(f"ask {plan.front[0]}:{plan.front[1]} as a recipient does", self._ask_front),
            Step(flip, self._flip),
            Step(f"watch {target} for {plan.watch_s:g} s", self._watch),
        ]

    def tidying(self) -> list[Step]:
        """List the steps that let the old colour go; nothing depends on them."""
        if self._plan.keep_old:
            return []
        wait = Step(f"wait until {self._old} has no request left, {self._plan.drain_s:g} s at most", self._drain)
        return [wait, *(self._unit_step("stop", server) for server in self._proxy.servers(self._old))]

    def run(self) -> None:
        """Do it all, saying each step.

        Raises:
            Stopped: a step did not succeed; what was done about it is said.
        """
        try:
            _do(self.moving())
        except (Stopped, KeyboardInterrupt) as exc:
            raise Stopped(f"{str(exc) or 'interrupted'}; {self._go_back()}") from exc
        try:
            _do(self.tidying())
        except (Stopped, KeyboardInterrupt) as exc:
            cure = f"then run 'linkrouter-deploy switch {self._target}' again"
            raise Stopped(f"{str(exc) or 'interrupted'}; {self._target} is active all the same; {cure}") from exc

    def _go_back(self) -> str:
        """Leave the old colour active if it can serve, and stop what was started; say which is active."""
        try:
            if self._proxy.active() == self._target and all(server.is_up for server in self._proxy.servers(self._old)):
                self._proxy.activate(self._old)
                say(f"make {self._old} the active colour again")
            active = self._proxy.active()
            if active != self._target and not self._stood_by:
                _do([self._unit_step("stop", server) for server in self._proxy.servers(self._target)])
        except Stopped as exc:
            return f"and then {exc}; run 'linkrouter-deploy status'"
        return f"{active} is active"

    def _unit_step(self, verb: str, server: Server) -> Step:
        return Step(f"{verb} {server.unit}", lambda: self._plan.services.run(verb, server.unit))

    def _restart_and_wait(self, server: Server) -> list[Step]:
        wait = Step(f"wait until haproxy finds {server.name} ready", lambda: self._wait_until_ready([server]))
        return [self._unit_step("restart", server), wait]

    def _wait_until_ready(self, wanted: list[Server]) -> None:
        """Wait until each router itself says that it is ready, and HAProxy, which may be a moment behind, too."""
        until = time.monotonic() + self._plan.ready_s
        names = {server.name for server in wanted}
        while waiting := [
            server
            for server in self._proxy.servers(self._target)
            if server.name in names and not (is_ready(server.address) and server.is_up and not server.is_doubted)
        ]:
            if time.monotonic() > until:
                server = waiting[0]
                raise Stopped(f"{server.name} does not get ready ({server.check}); see 'journalctl -u {server.unit}'")
            time.sleep(LOOK_S)

    def _ask_canaries(self) -> None:
        for server in self._proxy.servers(self._target):
            ask_canaries(self._plan.canaries, server.name, server.address, None)

    def _ask_front(self) -> None:
        ask_front(self._plan.canaries, self._plan.front, self._plan.tls)

    def _flip(self) -> None:
        self._proxy.activate(self._target)

    def _watch(self) -> None:
        """Look until the time is up: at HAProxy's figures, and through the front door as a recipient does."""
        plan = self._plan
        before = {server.name: server for server in self._proxy.servers(self._target)}
        until = time.monotonic() + plan.watch_s
        while True:
            ask_canaries(plan.canaries, f"{plan.front[0]}:{plan.front[1]}", plan.front, plan.tls)
            for server in self._proxy.servers(self._target):
                _judge(before[server.name], server)
            if time.monotonic() > until:
                return
            time.sleep(LOOK_S)

    def _drain(self) -> None:
        until = time.monotonic() + self._plan.drain_s
        while any(server.busy for server in self._proxy.servers(self._old)) and time.monotonic() < until:
            time.sleep(LOOK_S)


def _do(steps: list[Step]) -> None:
    for step in steps:
        say(step.text)
        step.act()


def _judge(before: Server, now: Server) -> None:
    """Compare a router's figures while watching; a reload starts them at 0 again, and that is no fault."""
    errors, retries, requests = now.errors - before.errors, now.retries - before.retries, now.requests - before.requests
    if not now.is_up:
        fault = f"went down ({now.check})"
    elif errors > 0:
        fault = f"gave {errors} server errors in {requests} requests"
    elif retries > 3 + MAX_RETRIED * max(requests, 0):
        fault = f"needed {retries} retries in {requests} requests"
    else:
        return
    raise Stopped(f"{now.name} {fault}; see 'journalctl -u {now.unit}'")

"""The SMTP relay: takes mail, tracks its links, and hands it to the next hop before it answers.

Promise: 250 is said behind the next hop's own, and its 4xx and 5xx are passed on; trouble is 451. There is no queue.
How many connections there are is bounded, and who has a mail on its way when the relay stops gets its answer.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from linkrouter.integrations.delivery import Delivery
from linkrouter.integrations.next_hop import NextHop
from linkrouter.integrations.smtp_session import RelaySession

__all__ = ["FindSender", "RelayLimits", "SmtpRelay"]

FindSender = Callable[[str, str], int | None]  # name and password to the tenant, or None when they are not known

STOP_WITHIN_S = 8.0  # for mails in flight; systemd is told ten


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """What one relay takes."""

    message_bytes: int = 32 * 1024**2
    connections: int = 100
    recipients: int = 100
    idle_s: float = 300.0  # RFC 5321, section 4.5.3.2.7


class SmtpRelay:
    """All sessions of one relay.

    Args:
        delivery: What becomes of a mail.
        next_hop: Where it goes.
        limits: What is taken.
        tenant: Whose mails come from senders that need no password.
        tls: The certificate for STARTTLS.
        find_sender: With it, senders must give a name and a password.
        auth_needs_tls: Whether they may only do so behind STARTTLS.
        hostname: The name in the greeting.
    """

    def __init__(
        self,
        delivery: Delivery,
        next_hop: NextHop,
        *,
        limits: RelayLimits | None = None,
        tenant: int = 0,
        tls: ssl.SSLContext | None = None,
        find_sender: FindSender | None = None,
        auth_needs_tls: bool = True,
        hostname: str = "linkrouter",
    ) -> None:
        self.delivery, self.next_hop = delivery, next_hop
        self.limits = limits or RelayLimits()
        self.tenant, self.tls, self.find_sender = tenant, tls, find_sender
        self.auth_needs_tls, self.hostname = auth_needs_tls, hostname
        self.sessions: set[RelaySession] = set()
        self.is_stopping = False
        self._tasks: set[asyncio.Task[Any]] = set()
        delivery.metrics.gauge("linkrouter_relay_connections", lambda: len(self.sessions))

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Take connections at *host* and *port*.

        Raises:
            OSError: the address cannot be listened on.
        """
        return await asyncio.get_running_loop().create_server(lambda: RelaySession(self), host, port)

    def start(self, work: "Coroutine[Any, Any, Any]") -> "asyncio.Task[Any]":
        """Run *work* to its end, whoever waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Turn away who has no mail on its way, and wait for those that have."""
        self.is_stopping = True
        for session in list(self.sessions):
            session.turn_away_if_idle()
        until = asyncio.get_running_loop().time() + within_s
        for waiting in (lambda: {session.task() for session in self.sessions}, lambda: set(self._tasks)):
            if tasks := waiting():
                await asyncio.wait(tasks, timeout=max(0.0, until - asyncio.get_running_loop().time()))
        for session in list(self.sessions):
            session.hang_up()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.next_hop.close()

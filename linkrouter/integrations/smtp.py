"""The SMTP relay: takes mail, tracks its links, and hands it to the next hop before it answers.

Promise: 250 is said behind the next hop's own, and its 4xx and 5xx are passed on; trouble is 451. There is no queue.
How many connections there are is bounded, and who has a mail on its way when the relay stops gets its answer.
"""

import asyncio

from linkrouter.integrations.smtp_session import RelayContext, RelaySession

__all__ = ["SmtpRelay"]

STOP_WITHIN_S = 8.0  # for mails in flight; systemd is told ten


class SmtpRelay:
    """All sessions of one relay."""

    def __init__(self, context: RelayContext) -> None:
        self._context = context
        context.delivery.metrics.gauge("linkrouter_relay_connections", lambda: len(context.sessions))

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Take connections at *host* and *port*.

        Raises:
            OSError: the address cannot be listened on.
        """
        return await asyncio.get_running_loop().create_server(lambda: RelaySession(self._context), host, port)

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Turn away who has no mail on its way, and wait for those that have."""
        context = self._context
        context.is_stopping = True
        for session in list(context.sessions):
            session.turn_away_if_idle()
        until = asyncio.get_running_loop().time() + within_s
        for waiting in (lambda: {session.task() for session in context.sessions}, lambda: set(context.tasks)):
            if tasks := waiting():
                await asyncio.wait(tasks, timeout=max(0.0, until - asyncio.get_running_loop().time()))
        for session in list(context.sessions):
            session.hang_up()
        for task in list(context.tasks):
            task.cancel()
        await asyncio.gather(*context.tasks, return_exceptions=True)
        await context.next_hop.close()

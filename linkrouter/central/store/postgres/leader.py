"""Which of several centres does what is done once: labels, forgetting, webhooks, watching.

Promise: at most one leads, by an advisory lock that a transaction of its own holds. When its process dies the server
lets the lock go; when it freezes or is cut off, the server ends the transaction after `SILENCE_S`. All of its work is
in transactions of the store, so that a leader who comes back late does nothing twice but ask again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from linkrouter.central.store.postgres.database import DATABASE_FAILURES, LOCK_CLASS, PostgresDatabase
from linkrouter.errors import StoreError
from linkrouter.log import log

__all__ = ["PostgresLeader"]

LEADER = 4  # the lock
LEADER_LOOK_S = 3.0
HEARTBEAT_S = 5.0
SILENCE_S = 20

BEGIN_LEADING = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{SILENCE_S}s'"
TRY_TO_LEAD = "SELECT pg_try_advisory_xact_lock($1, $2)"
STILL_THERE = "SELECT 1"


class PostgresLeader(PostgresDatabase):
    """The part of a store that leads, or waits to."""

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """See `CentralStore`."""
        own = await self._try_to_lead()
        while own is None:
            await asyncio.sleep(LEADER_LOOK_S)
            own = await self._try_to_lead()
        log("central.leads")
        try:
            yield partial(_until_lost, own)
        finally:
            own.terminate()

    async def _try_to_lead(self) -> Any:
        """Give the connection that holds the lock; None when another does, or the server does not answer."""
        try:
            own = await self.connect_alone()
        except StoreError:
            return None
        try:
            await own.execute(BEGIN_LEADING)
            if await own.fetchval(TRY_TO_LEAD, LOCK_CLASS, LEADER):
                return own
        except DATABASE_FAILURES:
            pass
        except BaseException:
            own.terminate()
            raise
        own.terminate()
        return None


async def _until_lost(own: Any) -> None:
    """Say that this process is alive, until the server hears it no more."""
    try:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await own.fetchval(STILL_THERE)
    except DATABASE_FAILURES:
        log("central.leads_no_more")

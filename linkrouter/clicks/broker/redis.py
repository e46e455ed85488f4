"""The click store `redis://`: streams in Redis, or in what speaks its protocol.

Promise: a commit is one call of a script, which Redis does as a whole or not at all, and every call has a deadline.
Nothing is ever trimmed: a Redis that is full refuses clicks, and one that would evict them is not accepted.

Keys, all beginning with the prefix: `streams` (sorted set: stream names by the end of their lease), `entries:NAME`
(stream), `state:NAME` (hash), `bytes` (of all streams), `dead-letters` (stream), `losses` (list).
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from linkrouter.clicks.broker.interface import (
    CALL_S,
    READ_ENTRIES,
    SEPARATOR,
    BrokerTotals,
    Entry,
    StreamState,
    oldest_of,
    split_entry,
)
from linkrouter.clicks.broker.scripts import (
    ACKNOWLEDGE_SCRIPT,
    APPEND_SCRIPT,
    LET_GO_SCRIPT,
    RENEW_SCRIPT,
    TAKE_OVER_SCRIPT,
)
from linkrouter.clicks.store import Loss
from linkrouter.errors import StoreError, StoreFull
from linkrouter.log import log

__all__ = ["RedisBroker", "connect_redis"]

_Result = TypeVar("_Result")

_DEFINITE = (exceptions.AuthenticationError, exceptions.NoPermissionError)  # trying again does not help

STATE_FIELDS = ("pending", "oldest_at", "bytes", "part_id", "part")


def connect_redis(
    hosts: Sequence[tuple[str, int]],
    *,
    service: str | None,
    number: int,
    user: str | None,
    password: str | None,
    tls: bool,
    ca_file: str | None,
) -> list[Redis]:
    """Give a client of the one host, or of the *service* that sentinels at *hosts* know, and those of the sentinels.

    They connect later.
    """
    options: dict[str, Any] = {
        "db": number,
        "username": user,
        "password": password,
        "socket_timeout": CALL_S,
        "socket_connect_timeout": CALL_S,
        "retry": Retry(NoBackoff(), 0),  # the recorder and sync try again
    }
    if service is not None:
        ask = {"socket_timeout": CALL_S}
        sentinel = Sentinel(list(hosts), sentinel_kwargs=ask, **options)  # type: ignore[no-untyped-call]
        return [sentinel.master_for(service), *sentinel.sentinels]
    [(host, port)] = hosts
    if tls:
        options |= {"ssl": True, "ssl_ca_certs": ca_file}
    return [Redis(host=host, port=port, **options)]


class RedisBroker:
    """A `Broker` in Redis. *connect* makes clients when one is first needed; the first is asked, the others closed."""

    def __init__(self, connect: Callable[[], Sequence[Redis]], prefix: str, lease_s: float) -> None:
        self.lease_s = lease_s
        self._lease_ms = round(lease_s * 1000)
        self._connect = connect
        self._clients: Sequence[Redis] = ()
        self._scripts: dict[str, Any] = {}
        self._prefix = prefix

    def _key(self, *words: str) -> str:
        return ":".join((self._prefix, *words))

    def connect(self) -> None:
        """See `Broker`."""
        self._clients = self._connect()

    async def check(self) -> None:
        """See `Broker`."""
        try:
            about = await self._clients[0].info("memory")
            policy, durable = str(about["maxmemory_policy"]), await self._clients[0].info("persistence")
        except _DEFINITE as exc:
            raise StoreError("CLICK_STORE: Redis does not let this process in; see its user and password_file") from exc
        except (exceptions.RedisError, OSError, TimeoutError):
            log("broker.away")
            return
        if policy.startswith("allkeys"):
            raise StoreError(f"CLICK_STORE: Redis would evict clicks ({policy}); set maxmemory-policy to noeviction")
        if not durable.get("aof_enabled"):
            log("broker.not_durable")

    async def append(
        self, name: str, entries: Sequence[Sequence[bytes]], max_bytes: int
    ) -> tuple[list[str], StreamState]:
        """See `Broker`."""
        keys = [self._key("entries", name), self._key("state", name), self._key("streams"), self._key("bytes")]
        arguments: list[Any] = [name, self._lease_ms, max_bytes, oldest_of(entries), sum(map(len, entries))]
        for records in entries:
            arguments += [len(records), SEPARATOR.join(records)]
        found = await self._run(APPEND_SCRIPT, keys, arguments)
        if found is None:
            raise StoreFull("click store redis is at its limit")
        ids, state = found
        return [entry_id.decode() for entry_id in ids], _state(state)

    async def read(self, name: str, after: str) -> list[Entry]:
        """See `Broker`."""
        key, first = self._key("entries", name), f"({after}" if after else "-"
        found = await self._call(lambda client: client.xrange(key, first, "+", READ_ENTRIES))
        return [split_entry(entry_id.decode(), fields[b"records"]) for entry_id, fields in found]

    async def acknowledge(self, name: str, done: Sequence[Entry], part: tuple[str, int], oldest_at: int) -> StreamState:
        """See `Broker`."""
        keys = [self._key("entries", name), self._key("state", name), self._key("bytes")]
        arguments: list[Any] = [oldest_at, *part]
        for entry in done:
            arguments += [entry.id, len(entry.records), entry.size]
        return _state(await self._run(ACKNOWLEDGE_SCRIPT, keys, arguments))

    async def take_over(self) -> tuple[str, StreamState] | None:
        """See `Broker`."""
        name = await self._run(TAKE_OVER_SCRIPT, [self._key("streams")], [self._lease_ms])
        if name is None:
            return None
        state = await self._call(lambda client: client.hmget(self._key("state", name.decode()), *STATE_FIELDS))
        return name.decode(), _state(state)

    async def renew(self, names: Sequence[str]) -> None:
        """See `Broker`."""
        await self._run(RENEW_SCRIPT, [self._key("streams")], [self._lease_ms, *names])

    async def let_go(self, name: str) -> None:
        """See `Broker`."""
        await self._run(
            LET_GO_SCRIPT, [self._key("entries", name), self._key("state", name), self._key("streams")], [name]
        )

    async def add_dead_letters(self, records: Sequence[bytes], reason: str) -> None:
        """See `Broker`."""

        async def add(client: Any) -> None:
            async with client.pipeline(transaction=True) as pipeline:
                for record in records:
                    pipeline.xadd(self._key("dead-letters"), {"reason": reason, "record": record})
                await pipeline.execute()

        await self._call(add)

    async def add_loss(self, loss: Loss) -> None:
        """See `Broker`."""
        fields = (loss.id, loss.reason, loss.count, loss.since, loss.until)
        await self._call(lambda client: client.rpush(self._key("losses"), json.dumps(fields)))

    async def totals(self) -> BrokerTotals:
        """See `Broker`."""

        async def ask(client: Any) -> BrokerTotals:
            names = await client.zrange(self._key("streams"), 0, -1)
            async with client.pipeline(transaction=True) as pipeline:
                pipeline.xlen(self._key("dead-letters"))
                pipeline.lrange(self._key("losses"), 0, -1)
                for name in names:
                    pipeline.hmget(self._key("state", name.decode()), *STATE_FIELDS)
                letters, losses, *state = await pipeline.execute()
            streams = [found for found in map(_state, state) if found.pending]
            return BrokerTotals(
                sum(found.pending for found in streams),
                min((found.oldest_at for found in streams if found.oldest_at is not None), default=None),
                sum(found.bytes for found in streams),
                letters,
                tuple(Loss(*json.loads(loss)) for loss in losses),
            )

        return await self._call(ask)

    async def close(self) -> None:
        """See `Broker`."""
        clients, self._clients = self._clients, ()
        self._scripts.clear()
        for client in clients:
            await client.aclose()

    async def _run(self, text: str, keys: list[str], arguments: list[Any]) -> Any:
        def run(client: Any) -> Awaitable[Any]:
            if text not in self._scripts:
                self._scripts[text] = client.register_script(text)
            running: Awaitable[Any] = self._scripts[text](keys, arguments)
            return running

        return await self._call(run)

    async def _call(self, call: Callable[[Any], Awaitable[_Result]]) -> _Result:
        if not self._clients:
            raise StoreError("click store redis is closed")
        try:
            return await call(self._clients[0])
        except exceptions.OutOfMemoryError as exc:
            raise StoreFull("click store redis has no memory left") from exc
        except (exceptions.RedisError, OSError, TimeoutError) as exc:
            raise StoreError(f"click store redis did not answer as it must ({type(exc).__name__})") from exc


def _state(found: Sequence[bytes | None]) -> StreamState:
    pending, oldest_at, size, part_id, part = found
    return StreamState(
        int(pending or 0),
        int(oldest_at) if oldest_at else None,
        int(size or 0),
        (part_id or b"").decode(),
        int(part or 0),
    )

"""Take-backs in a router process: fetched by one worker, kept on disk, put in force by all.

Promise: a rule is on this router's disk before it is in force, so that it stays so through a restart while central is
away. Nothing that goes wrong here, at central or on the disk, holds up or changes a redirect.
"""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from linkrouter.link.keyring import Keyring
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.retry import Uniform
from linkrouter.settings import RouterSettings, default_router_id

if TYPE_CHECKING:
    from linkrouter.router import Responder
    from linkrouter.sync.take_backs import ListAnswer, RuleSource

__all__ = ["TakeBackUpkeep"]

FOLLOW_S = 1.0  # between two looks at the file, and at whether the worker that fetches is still there
LEAST_INTERVAL = 0.8  # of the interval: routers that were started together do not go on asking together
LAST_WRITE_S = 2.0  # for a write to end when stopping
RULE_EVENTS = ("takebacks.refused", "takebacks.retry", "takebacks.caught_up")


class TakeBackUpkeep:
    """Keeps *responder* in step with the list. `load` comes before the first request, `run` for ever.

    With *fetches* it asks central, too. Without a responder it does nothing else, for workers that follow the file.
    """

    def __init__(
        self,
        settings: RouterSettings,
        worker: int | None,
        metrics: Metrics,
        responder: "Responder | None",
        *,
        fetches: bool = True,
    ) -> None:
        from linkrouter.router.rule_file import Lease, RuleFile
        from linkrouter.router.take_backs import TakeBackList
        from linkrouter.sync.backoff import Backoff

        self._settings = settings
        self._worker = worker or 0
        self._responder = responder
        self._fetches = fetches and bool(settings.ingest_url)
        path = _list_path(settings)
        self._new_list: Callable[[Keyring], TakeBackList] = lambda ring: TakeBackList(RuleFile(path), ring)
        self._list: TakeBackList = self._new_list(Keyring(()))
        self._keyring: Keyring | None = None  # a new one, by which every rule is to be verified
        self._keys_changed = asyncio.Event()
        self._source: RuleSource | None = None
        self._token = ""
        self._lease = Lease(path)
        self._backoff = Backoff(events=RULE_EVENTS)
        self._uniform: Uniform = random.uniform
        self._turn = asyncio.Lock()  # one at a time reads or writes the file
        self._noted = -1  # the number that was told last to be in force
        self._trouble = ""  # with the file, so that it is told once
        self._began_at = time.time()
        metrics.gauge("linkrouter_takebacks_in_force", lambda: len(self._list))
        metrics.gauge("linkrouter_takebacks_refused", lambda: self._list.refused)
        if settings.ingest_url:
            metrics.gauge("linkrouter_takebacks_age_seconds", self._age_s)

    @property
    def in_force(self) -> tuple[int, int]:
        """Give how many rules this worker has in force, and up to which number of the list."""
        return len(self._list), max(self._noted, 0)

    async def load(self, keyring: Keyring, token: str) -> None:
        """Put in force what is on the disk."""
        self._token = token
        self.use_keyring(keyring)
        await self._read()

    def use_keyring(self, keyring: Keyring) -> None:
        """Verify every rule again, by *keyring*; the rules of before are in force until that is done."""
        self._keyring = keyring
        self._keys_changed.set()

    def use_token(self, token: str) -> None:
        """Show central *token* from the next request on."""
        self._token = token
        if self._source is not None:
            self._source.use_token(token)

    async def run(self) -> None:
        """Follow the list until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                if self._fetches:
                    tasks.create_task(self._fetch())
        finally:
            self._lease.release()

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(FOLLOW_S):
                    await self._keys_changed.wait()
            except TimeoutError:
                pass
            await self._read()

    async def _read(self) -> None:
        """Put in force what is new in the file; everything in it after a change of keys."""
        async with self._turn:
            keyring, found = self._keyring, self._list
            try:
                self._keys_changed.clear()
                if keyring is not None:
                    found = self._new_list(keyring)
                await found.read()
            except Exception as exc:  # the border: the file is not what it was, and redirects go on
                self._tell_trouble(exc)
                return
            if self._keyring is keyring:
                self._keyring = None
            self._list = found
            if self._responder is None:
                return
            self._responder.find_rule = found.find
            if found.file.seq != self._noted:
                self._noted = found.file.seq
                found.file.note_applied(self._worker, self._noted)

    async def _fetch(self) -> None:
        from linkrouter.sync import open_client
        from linkrouter.sync.take_backs import RuleSource

        settings = self._settings
        async with open_client() as client:
            router_id = settings.router_id or default_router_id()
            url = _list_endpoint(settings.ingest_url)
            self._source = RuleSource(client, url=url, token=self._token, router_id=router_id)
            while True:
                try:
                    wait_s = await self._step(self._source)
                    self._trouble = ""
                except Exception as exc:  # the border: the disk is full, say; it is tried again
                    self._tell_trouble(exc)
                    wait_s = settings.takebacks_interval_s
                await asyncio.sleep(wait_s)

    async def _step(self, source: "RuleSource") -> float:
        """Ask for a page if this is the worker that does; give the seconds to wait before the next."""
        from linkrouter.sync.take_backs import PAGE_RULES

        if not self._lease.take():
            return FOLLOW_S
        if self._list.file.is_damaged:
            log("takebacks.damaged")
            async with self._turn:
                await _in_thread(self._list.file.repair)
            await self._read()
        after = self._list.file.seq
        answer = await source.fetch(after, self._list.file.applied(self._settings.workers))
        if answer.said.outcome != "taken":
            return self._backoff.wait_s(answer.said)
        self._backoff.start_over()
        self._backoff.tell_caught_up()
        await self._keep(after, answer)
        if len(answer.rules) == PAGE_RULES or answer.seq < after:
            return 0.0
        return self._settings.takebacks_interval_s * self._uniform(LEAST_INTERVAL, 1.0)

    async def _keep(self, after: int, answer: "ListAnswer") -> None:
        """Write down what came, and put it in force from there."""
        from linkrouter.router.rule_file import ListPage

        async with self._turn:
            file = self._list.file
            if file.seq != after:
                return  # the file is another one by now
            if answer.seq > after:
                await _in_thread(lambda: file.append(ListPage(after, answer.seq, list(answer.rules))))
            elif answer.seq < after:
                file.start_over()  # central was set up anew: its numbers are others
            else:
                file.confirm()
        if answer.seq > after:
            await self._read()

    def _tell_trouble(self, exc: Exception) -> None:
        reason = exc.strerror or "" if isinstance(exc, OSError) else type(exc).__name__
        if reason != self._trouble:
            self._trouble = reason
            log("takebacks.not_kept", reason=reason)

    def _age_s(self) -> float:
        now_s = time.time()
        age_s = self._list.file.age_s(now_s)
        return max(0.0, now_s - self._began_at) if age_s is None else age_s


async def _in_thread(work: Callable[[], None]) -> None:
    """Run *work* on the disk; a caller that is cancelled waits for its end, but not for a disk that hangs."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=LAST_WRITE_S)
        raise


def _list_endpoint(ingest_url: str) -> str:
    """Give where the list is: beside the clicks, whether or not the setting names their path."""
    return ingest_url.rstrip("/").removesuffix("/v1/clicks") + "/v1/take-backs"


def _list_path(settings: RouterSettings) -> Path:
    """Give where the list is: where this router may write anyhow, and in a file of its own, unless told otherwise."""
    scheme, _, spool = settings.click_store.partition(":///")
    name = f"take-backs-{settings.router_id}.list" if settings.router_id else "take-backs.list"
    return settings.takebacks_file or (Path(spool).parent / name if scheme == "sqlite" else Path(name))

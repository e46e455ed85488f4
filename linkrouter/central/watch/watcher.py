"""The background task that watches: takes up what was sent, looks at what is due, and keeps what it finds.

Promise: the state is in the store, so that a restart or a kill costs one look at most; an event is kept once, with the
state that made it. It makes no more requests in an hour than it may, the most-clicked destinations first.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from linkrouter.central.store.watch import WatchedLink, WatchEvent, WatchStore
from linkrouter.central.watch.judging import FLAGGED, Look, judge_look
from linkrouter.errors import StoreError
from linkrouter.link.codec import encode_base64url
from linkrouter.log import log
from linkrouter.metrics import Metrics
from linkrouter.units import DAY_S, HOUR_S, SECOND_US

__all__ = ["Watcher"]

LOOKS_A_TURN = 20  # until it is seen again what was sent
IDLE_H = 1 / 720  # five seconds
LEAST_IDLE_S = 0.05
COUNT_EVERY_S = 60.0
FOLD_BREATH_S = 0.05  # between two steps of taking up, so that ingest goes first
LOOK_VERDICTS = ("fine", "broken", "flagged", "unverifiable", "malformed", "skipped")


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Watches what was sent in the last *days*, with at most *requests_per_hour*.

    *look* looks at a URL for a tenant; *is_spared* says of a URL sent in so many messages that it is never looked at.
    *stop*, where there is one, answers the event that a destination is flagged. *hour_s* is how long an hour takes.
    """

    store: WatchStore
    look: Callable[[str, int], Awaitable[Look]]
    is_spared: Callable[[str, int], bool]
    days: int
    requests_per_hour: int
    stop: Callable[[WatchEvent], Awaitable[bool]] | None = None
    metrics: Metrics = field(default_factory=Metrics)
    hour_s: float = HOUR_S
    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self) -> None:
        """Watch until cancelled."""
        waiting, counted_at = [0], 0.0
        self.metrics.counter("linkrouter_central_looks", LOOK_VERDICTS)
        self.metrics.gauge("linkrouter_central_looks_due", lambda: waiting[0])
        while True:
            try:
                if not 0 <= self.now() - counted_at < COUNT_EVERY_S:
                    waiting[0], counted_at = (await self.store.count_watched(self._now_us(), None)).due, self.now()
                looked_at = await self.step()
            except StoreError as exc:
                looked_at = 0
                log("watch.failed", reason=type(exc.__cause__ or exc).__name__)
            if not looked_at:
                await self.sleep(max(IDLE_H * self.hour_s, LEAST_IDLE_S))

    async def step(self) -> int:
        """Take up what was sent, and look at some of what is due; give at how many destinations.

        Raises:
            StoreError: the store does not answer; what was done stays.
        """
        while await self.store.fold_sent(self._since_us(), self._now_us(), self._hour_us()):
            await self.sleep(FOLD_BREATH_S)
        await self._make_stops()
        due = await self.store.due_links(self._now_us(), LOOKS_A_TURN)
        for link in due:
            if self.is_spared(link.url, link.messages):
                await self.store.keep_look(link, replace(link, due_at=None), None)  # until it is sent again
                continue
            requests = await self._look_at(link)
            await self.sleep(requests * self.hour_s / self.requests_per_hour)
        return len(due)

    async def _look_at(self, before: WatchedLink) -> int:
        """Look once, keep what it found, and answer it; give how many requests it took."""
        try:
            look = await self.look(before.url, before.tenant)
        except Exception as exc:  # the border: one destination must not hold up the others
            log("watch.look_failed", reason=type(exc).__name__)
            look = Look("unverifiable", "check failed", 1)
        now = self._now_us()
        after, event_type = judge_look(before, look, now, self._hour_us())
        event = self._event(event_type, after) if event_type is not None else None
        if await self.store.keep_look(before, after, event):
            self.metrics.count("linkrouter_central_looks", look.verdict)
        if event is not None:
            await self._make_stops()
        return look.requests

    def _event(self, event_type: str, link: WatchedLink) -> WatchEvent:
        wanted = self.stop is not None and link.standing == FLAGGED
        return WatchEvent(
            id=encode_base64url(secrets.token_bytes(16)),
            type=event_type,
            at=link.changed_at or 0,
            tenant=link.tenant,
            url=link.url,
            reason=link.reason,
            messages=link.messages,
            clicks=link.clicks,
            stop="wanted" if wanted else "",
        )

    async def _make_stops(self) -> None:
        if self.stop is None:
            return
        for event in await self.store.wanted_stops(LOOKS_A_TURN):
            if await self.stop(event):
                await self.store.note_stop(event)

    def _now_us(self) -> int:
        return int(self.now() * SECOND_US)

    def _hour_us(self) -> int:
        return int(self.hour_s * SECOND_US)

    def _since_us(self) -> int:
        return int((self.now() - self.days * DAY_S) * SECOND_US)

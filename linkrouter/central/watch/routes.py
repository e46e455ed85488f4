"""The paths of watched destinations.

Promise: whatever changed stands here with the very command that answers it. A tenant's token sees its own.
"""

import time
from dataclasses import dataclass
from typing import Any

from linkrouter.central.fields import write_time
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.watch import WatchedLink, WatchEvent
from linkrouter.central.watch import models
from linkrouter.clicks.click import iso_utc
from linkrouter.web.problems import Refusal
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["WatchApi", "watch_routes"]

DEFAULT_WATCHED = 100


@dataclass(frozen=True, slots=True)
class WatchApi:
    """What the answers need: the store, for how many days is watched, and where senders reach central."""

    store: CentralStore
    days: int = 0
    central_url: str = "http://127.0.0.1:8090"

    async def list(self, query: models.WatchedQuery, caller: Caller) -> models.ChangedLinks | Refusal:
        """Give destinations of sent mail that broke, were flagged or recovered, and what to do about each.

        A destination stays here for as long as it is watched; its events stay for good.
        """
        if not caller.sees(query.get("tenant")):
            return Refusal(403)
        tenant = caller.narrow(query.get("tenant"))
        found = await self.store.changed_links(query.get("limit", DEFAULT_WATCHED), tenant)
        counts = await self.store.count_watched(time.time_ns() // 1000, tenant)
        return {
            "days": self.days,
            "watched": counts.watched,
            "due": counts.due,
            "links": [self._link(one) for one in found],
        }

    async def events(self, query: models.WatchEventsQuery, caller: Caller) -> models.WatchEvents | Refusal:
        """Give events of watched destinations in the order they came, those behind `after`."""
        if not caller.sees(query.get("tenant")):
            return Refusal(403)
        after, tenant = query.get("after", 0), caller.narrow(query.get("tenant"))
        found = await self.store.link_events(after, query.get("limit", DEFAULT_WATCHED), tenant)
        return {"events": [self.event(one) for one in found], "seq": found[-1].seq if found else after}

    def event(self, event: WatchEvent) -> models.WatchEventRecord:
        """Write *event* as the API gives it."""
        action = "lift" if event.type == "link.recovered" or event.stop == "made" else "stop"
        return {
            "seq": event.seq,
            "id": event.id,
            "type": event.type,
            "at": iso_utc(event.at),
            "tenant": event.tenant,
            "url": event.url,
            "reason": event.reason,
            "messages": event.messages,
            "clicks": event.clicks,
            "stopped_by": event.id if event.stop == "made" else None,
            "command": models.take_back_command(action, event.url, event.tenant, self.central_url),
        }

    def _link(self, link: WatchedLink) -> models.ChangedLink:
        action = "lift" if link.standing == "fine" or link.stopped_by else "stop"
        return {
            "url": link.url,
            "tenant": link.tenant,
            "state": link.standing,
            "reason": link.reason,
            "changed_at": write_time(link.changed_at),
            "checked_at": write_time(link.looked_at),
            "sent_at": iso_utc(link.sent_at),
            "messages": link.messages,
            "clicks": link.clicks,
            "stopped_by": link.stopped_by,
            "command": models.take_back_command(action, link.url, link.tenant, self.central_url),
        }


def watch_routes(api: WatchApi) -> tuple[Route, ...]:
    """Give the paths of watched destinations."""

    def route(operation: str, path: str, **more: Any) -> Route:
        path, rules = "/v1/watched" + path, models.WATCH_RULES
        return Route(operation=operation, method="GET", path=path, scope="stats:read", rules=rules, **more)

    return (
        route("listWatched", "", query=models.WatchedQuery, gives=models.ChangedLinks, answer=api.list),
        route("listWatchEvents", "/events", query=models.WatchEventsQuery, gives=models.WatchEvents, answer=api.events),
    )

"""What routers say of themselves, what they had to drop, links that were taken back, and those that changed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from linkrouter.central.dashboard.templates import show
from linkrouter.central.fields import write_time
from linkrouter.central.router_models import RoutersQuery
from linkrouter.central.routers import list_routers
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.take_back_models import StateQuery
from linkrouter.central.takebacks import TakeBacksApi
from linkrouter.central.watch.models import WatchedQuery
from linkrouter.central.watch.routes import WatchApi
from linkrouter.units import DAY_S, SECOND_US
from linkrouter.web.pages import Html, Redirect, Visitor
from linkrouter.web.problems import Fault, Refusal

__all__ = ["Reports"]

LOSS_DAYS = 90


@dataclass(frozen=True, slots=True)
class Reports:
    """What the pages need."""

    store: CentralStore
    watch: WatchApi

    async def routers(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show each router by its last report, the silent ones first, with its keys and the take-backs in force."""
        found = await list_routers(self.store, cast(RoutersQuery, {}), visitor.caller)
        if isinstance(found, Refusal):
            return found
        rules = await TakeBacksApi(self.store).state(cast(StateQuery, {"limit": 1}), visitor.caller)
        newest = 0 if isinstance(rules, Refusal) else rules["seq"]
        rows = [(router, worker) for router in found["routers"] for worker in router["workers"]]
        rows.sort(key=lambda row: -row[1]["silent_seconds"])
        return show("routers.html", visitor, "routers", rows=rows, newest=newest)

    async def take_backs(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show each rule, the newest first: who handed it in, how many routers have it, how many clicks it turned."""
        before = fields.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) < 11):
            return Refusal(422, Fault("before must be a number that an earlier page gave"))
        query = {"before": int(before)} if before else {}
        found = await TakeBacksApi(self.store).state(cast(StateQuery, query), visitor.caller)
        if isinstance(found, Refusal):
            return found
        return show("take-backs.html", visitor, "take_backs", found=found, by_name=visitor.caller.tenant is None)

    async def watched(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show destinations that broke, were flagged or recovered, each with the command that answers it."""
        found = await self.watch.list(cast(WatchedQuery, {}), visitor.caller)
        if isinstance(found, Refusal):
            return found
        return show("watched.html", visitor, "watched", found=found)

    async def losses(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show what is missing, and between which times."""
        since = (int(time.time()) - LOSS_DAYS * DAY_S) * SECOND_US
        rows = [
            {
                "reason": loss.reason,
                "clicks": loss.clicks,
                "since": write_time(loss.since),
                "until": write_time(loss.until),
            }
            for loss in reversed(await self.store.missing(since, None))
        ]
        return show("losses.html", visitor, "losses", rows=rows, days=LOSS_DAYS)

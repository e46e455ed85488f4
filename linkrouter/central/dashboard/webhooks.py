"""Webhook endpoints on a page: made, tried, changed; what was sent to each. A new secret is shown once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from linkrouter.central.dashboard.templates import show
from linkrouter.central.store.webhooks import STATES_OF_DELIVERY
from linkrouter.central.webhooks import models
from linkrouter.central.webhooks.bodies import DIALECTS, EVENT_TYPES
from linkrouter.central.webhooks.endpoints import WebhooksApi
from linkrouter.web.pages import Html, Redirect, Visitor
from linkrouter.web.problems import Fault, Refusal

__all__ = ["WEBHOOKS_PATH", "WebhookPages"]

SHOWN_DELIVERIES = 50
WEBHOOKS_PATH = "/dashboard/webhooks"
MAX_ENDPOINT_ID = 64


@dataclass(frozen=True, slots=True)
class WebhookPages:
    """What the pages need."""

    api: WebhooksApi

    async def list(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show every endpoint and how it does, and the form for another."""
        return await self._list(visitor)

    async def add(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Make an endpoint, and show its secret."""
        types = [name for name in EVENT_TYPES if fields.get(name)] or ["link.clicked"]
        filters = {"robots": fields.get("robots", "exclude")} | ({"tag": fields["tag"]} if fields.get("tag") else {})
        order: dict[str, Any] = {"url": fields.get("url", "").strip(), "types": types, "filters": filters}
        if fields.get("dialect") not in DIALECTS or filters["robots"] not in ("exclude", "include", "only"):
            return Refusal(422, Fault("dialect and robots must be as the form gives them"))
        if len(filters.get("tag", "")) > 256 or not order["url"].isascii() or len(order["url"]) > 4096:
            return await self._list(visitor, fault=True)
        made = await self.api.add(cast(models.EndpointOrder, order | {"dialect": fields["dialect"]}), visitor.caller)
        if isinstance(made, Refusal):
            return await self._list(visitor, fault=True) if made.status == 422 else made
        return await self._list(visitor, secret=made["secret"])

    async def show(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Show an endpoint and what was sent to it."""
        return await self._show(fields, visitor)

    async def act(self, fields: Mapping[str, str], visitor: Visitor) -> Html | Redirect | Refusal:
        """Try, change or drop an endpoint."""
        query, caller, action = _query(fields), visitor.caller, fields.get("action", "")
        if query is None:
            return Refusal(404)
        done: Any = Refusal(422, Fault("action must be one that the page offers"))
        if action == "test":
            done = await self.api.test(query, caller)
        elif action == "rotate":
            done = await self.api.rotate(query, caller)
        elif action in ("enable", "disable"):
            state = {"state": "active" if action == "enable" else "disabled"}
            done = await self.api.change((query, state), caller)
        elif action == "replay":
            done = await self.api.replay((query, cast(models.ReplayOrder, {"state": "failed"})), caller)
        elif action == "drop" and fields.get("confirmed"):
            done = await self.api.drop(query, caller)
        if isinstance(done, Refusal):
            return done
        return (
            Redirect(WEBHOOKS_PATH)
            if action == "drop"
            else await self._show(fields, visitor, {"action": action, **done})
        )

    async def _list(self, visitor: Visitor, secret: str = "", fault: bool = False) -> Html | Refusal:
        found = await self.api.list(cast(models.EndpointsQuery, {}), visitor.caller)
        if isinstance(found, Refusal):
            return found
        values = {"types": EVENT_TYPES, "dialects": list(DIALECTS), "secret": secret, "fault": fault}
        return show("webhooks.html", visitor, "webhooks", found=found["webhooks"], **values)

    async def _show(
        self, fields: Mapping[str, str], visitor: Visitor, done: Mapping[str, Any] | None = None
    ) -> Html | Refusal:
        query, state = _query(fields), fields.get("state", "")
        if query is None:
            return Refusal(404)
        one = await self.api.show(query, visitor.caller)
        asked: dict[str, Any] = {**query, "limit": SHOWN_DELIVERIES}
        if state in STATES_OF_DELIVERY:
            asked["state"] = state
        if cursor := fields.get("cursor"):
            try:
                asked["cursor"] = models.parse_delivery_cursor(cursor)
            except ValueError:
                return Refusal(422, Fault("cursor must be one that an earlier page gave"))
        sent = await self.api.deliveries(cast(models.DeliveriesQuery, asked), visitor.caller)
        if isinstance(one, Refusal) or isinstance(sent, Refusal):
            return Refusal(404)
        values = {"state": state, "states": STATES_OF_DELIVERY, "done": done}
        return show("webhook.html", visitor, "webhooks", one=one, sent=sent, **values)


def _query(fields: Mapping[str, str]) -> models.EndpointQuery | None:
    endpoint_id = fields.get("id", "")
    return cast(models.EndpointQuery, {"id": endpoint_id}) if 0 < len(endpoint_id) <= MAX_ENDPOINT_ID else None

"""Webhook endpoints by the API: made, changed, tried, and what was sent to them.

Promise: a secret is shown once, when it was drawn. A tenant's token sees and makes endpoints of its own tenant alone.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ada_url

from linkrouter.central.fields import write_time
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.webhooks import HEALTHY, DeliveryFilter, Endpoint, Health, StoredDelivery
from linkrouter.central.webhooks import models
from linkrouter.central.webhooks.bodies import DIALECTS, sample_event
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.central.webhooks.models import WEBHOOK_RULES
from linkrouter.central.webhooks.posting import find_target
from linkrouter.central.webhooks.signing import OVERLAP_S, new_secret
from linkrouter.clicks.click import iso_utc
from linkrouter.units import SECOND_US
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.tokens import Caller

__all__ = ["MAX_ENDPOINTS", "WebhooksApi"]

MAX_ENDPOINTS = 100  # of one tenant
DEFAULT_DELIVERIES = 100
SHOWN_CREDENTIALS = "***"

Asked = tuple[models.EndpointQuery, Any]


@dataclass(frozen=True, slots=True)
class WebhooksApi:
    """What the answers need."""

    store: CentralStore
    delivery: WebhookDelivery

    async def add(self, order: models.EndpointOrder, caller: Caller) -> models.NewEndpoint | Refusal:
        """Make an endpoint, which gets what is stored from now on. Its secret is shown this once."""
        changes = self._read(order, caller)
        if isinstance(changes, Refusal):
            return changes
        values: dict[str, Any] = {"types": ("link.clicked",), "tenant": caller.tenant} | changes
        made = Endpoint(id=str(uuid.uuid4()), secret=new_secret(), created_at=_now_us(), **values)
        if (fault := _fault_of(made)) is not None:
            return Refusal(422, fault)
        if not await self.store.add_endpoint(made, MAX_ENDPOINTS):
            return Refusal(409)
        return {**_record(made), "secret": made.secret}

    async def list(self, query: models.EndpointsQuery, caller: Caller) -> models.EndpointsList | Refusal:
        """Give every endpoint and how it does."""
        if not caller.sees(query.get("tenant")):
            return Refusal(403)
        found = await self.store.list_endpoints(caller.narrow(query.get("tenant")))
        return {"webhooks": [_record(endpoint) for endpoint in found]}

    async def show(self, query: models.EndpointQuery, caller: Caller) -> models.EndpointRecord | Refusal:
        """Give one endpoint and how it does."""
        found = await self._find(query, caller)
        return found if isinstance(found, Refusal) else _record(found)

    async def change(self, asked: Asked, caller: Caller) -> models.EndpointRecord | Refusal:
        """Change an endpoint. One that is active again goes on where it stopped."""
        query, order = asked
        found = await self._find(query, caller)
        if isinstance(found, Refusal):
            return found
        changes = self._read(order, caller)
        if isinstance(changes, Refusal):
            return changes
        if "state" in order:
            changes["health"] = HEALTHY if order["state"] == "active" else Health("disabled", "by hand")
        values = {name: changes.get(name, getattr(found, name)) for name in ("types", "dialect")}
        if (fault := _fault_of_dialect(values["dialect"], values["types"])) is not None:
            return Refusal(422, fault)
        if changes:
            await self.store.change_endpoint(found.id, changes)
        return await self.show(query, caller)

    async def drop(self, query: models.EndpointQuery, caller: Caller) -> models.DroppedEndpoint | Refusal:
        """Forget an endpoint, and what was sent to it."""
        found = await self._find(query, caller)
        if isinstance(found, Refusal):
            return found
        await self.store.drop_endpoint(found.id)
        return {"id": found.id}

    async def rotate(self, query: models.EndpointQuery, caller: Caller) -> models.NewSecret | Refusal:
        """Draw a new secret, which is shown this once. For a day the old one signs, too."""
        found = await self._find(query, caller)
        if isinstance(found, Refusal):
            return found
        secret, old_until = new_secret(), _now_us() + OVERLAP_S * SECOND_US
        changes = {"secret": secret, "old_secret": found.secret, "old_until": old_until}
        await self.store.change_endpoint(found.id, changes)
        return {"secret": secret, "old_until": iso_utc(old_until)}

    async def test(self, query: models.EndpointQuery, caller: Caller) -> models.AttemptResult | Refusal:
        """Send a made-up click at once, of type webhook.test, and say what came of it."""
        found = await self._find(query, caller)
        if isinstance(found, Refusal):
            return found
        answer = await self.delivery.send_now(found, sample_event(f"test-{uuid.uuid4()}", _now_us()))
        return {"delivered": answer.is_taken, "status": answer.status, "error": answer.error}

    async def deliveries(self, query: models.DeliveriesQuery, caller: Caller) -> models.DeliveriesPage | Refusal:
        """Give what was sent to an endpoint or tried, the newest first. It is kept for 30 days."""
        found = await self._find(query, caller)
        if isinstance(found, Refusal):
            return found
        limit = query.get("limit", DEFAULT_DELIVERIES)
        rows = await self.store.find_deliveries(found, _read_filter(query), query.get("cursor"), limit + 1)
        page = rows[:limit]
        more = len(rows) > limit
        return {
            "deliveries": [_delivery_record(one) for one in page],
            "next_cursor": models.write_delivery_cursor(page[-1].position) if more else None,
        }

    async def replay(self, asked: tuple[models.EndpointQuery, models.ReplayOrder], caller: Caller) -> Any:
        """Send again what was sent or tried, under the same ids: by id, by time of the first attempt, by state."""
        query, order = asked
        found = await self._find(query, caller)
        if isinstance(found, Refusal):
            return found
        if not order:
            return Refusal(422, Fault("give ids, state, since or until"))
        return {"replayed": await self.store.replay(found, _read_filter(order), _now_us())}

    async def _find(self, query: models.EndpointQuery, caller: Caller) -> Endpoint | Refusal:
        found = await self.store.find_endpoint(query["id"])
        return found if found is not None and caller.tenant in (None, found.tenant) else Refusal(404)

    def _read(self, order: Mapping[str, Any], caller: Caller) -> dict[str, Any] | Refusal:
        """Give what *order* says as fields of an `Endpoint`."""
        changes: dict[str, Any] = {name: order[name] for name in ("url", "dialect") if name in order}
        if "url" in changes and find_target(changes["url"], self.delivery.poster.allowed) is None:
            return Refusal(422, Fault(f"url must be {WEBHOOK_RULES['url']}"))
        if "types" in order:
            changes["types"] = tuple(dict.fromkeys(order["types"]))
        if "settle" in order:
            changes["settled"] = bool(order["settle"])
        filters = order.get("filters", {})
        if not caller.sees(filters.get("tenant")):
            return Refusal(403)
        changes |= filters
        if "tenant" in changes:
            changes["tenant"] = caller.narrow(changes["tenant"])
        return changes


def _fault_of(endpoint: Endpoint) -> Fault | None:
    return _fault_of_dialect(endpoint.dialect, endpoint.types)


def _fault_of_dialect(dialect: str, types: tuple[str, ...]) -> Fault | None:
    if dialect != next(iter(DIALECTS)) and types != ("link.clicked",):
        return Fault(f"types must be link.clicked alone where dialect is {dialect}, which knows no other")
    return None


def _read_filter(given: Mapping[str, Any]) -> DeliveryFilter:
    ids = tuple(given["ids"]) if "ids" in given else None
    return DeliveryFilter(ids, given.get("state"), given.get("since"), given.get("until"))


def _record(endpoint: Endpoint) -> models.EndpointRecord:
    health = endpoint.health
    return {
        "id": endpoint.id,
        "url": _shown_url(endpoint.url),
        "types": list(endpoint.types),
        "dialect": endpoint.dialect,
        "filters": {"tenant": endpoint.tenant, "tag": endpoint.tag, "robots": endpoint.robots},
        "settle": int(endpoint.settled),
        "state": health.state,
        "reason": health.reason,
        "failures": health.failures,
        "failing_since": write_time(health.failing_since),
        "paused_until": write_time(health.paused_until or None),
        "created_at": iso_utc(endpoint.created_at),
    }


def _shown_url(url: str) -> str:
    parts = ada_url.URL(url)
    if parts.username or parts.password:
        parts.username, parts.password = SHOWN_CREDENTIALS, ""
    return str(parts.href)


def _delivery_record(one: StoredDelivery) -> models.DeliveryRecord:
    return {
        "event_id": one.event_id,
        "type": one.type,
        "state": one.state,
        "attempts": one.attempts,
        "status": one.status,
        "error": one.error,
        "first_at": iso_utc(one.position.at),
        "last_at": iso_utc(one.last_at),
        "next_at": write_time(one.next_at),
    }


def _now_us() -> int:
    return time.time_ns() // 1000

"""The paths of webhooks."""

from functools import partial

from linkrouter.central.store.interface import CentralStore
from linkrouter.central.webhooks import models
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.central.webhooks.endpoints import MAX_ENDPOINTS, WebhooksApi
from linkrouter.web.routes import Route

__all__ = ["webhook_routes"]

BASE = "/v1/webhooks"
UNKNOWN_ENDPOINT = "no endpoint of this id is known"
TOO_MANY_ENDPOINTS = f"there are {MAX_ENDPOINTS} endpoints already; take one away first"


def webhook_routes(store: CentralStore, delivery: WebhookDelivery) -> tuple[Route, ...]:
    """Give the paths of webhooks; *delivery* is what sends."""
    api = WebhooksApi(store, delivery)
    route = partial(Route, scope="webhooks", rules=models.WEBHOOK_RULES)
    return (
        route(
            operation="addWebhook",
            method="POST",
            path=BASE,
            body=models.EndpointOrder,
            gives=models.NewEndpoint,
            status=201,
            location=lambda made: f"{BASE}/{made['id']}",
            refuses={409: TOO_MANY_ENDPOINTS},
            answer=api.add,
        ),
        route(
            operation="listWebhooks",
            method="GET",
            path=BASE,
            query=models.EndpointsQuery,
            gives=models.EndpointsList,
            answer=api.list,
        ),
        *(
            route(
                operation=operation,
                method=method,
                path=f"{BASE}/{{id}}{below}",
                query=models.DeliveriesQuery if gives is models.DeliveriesPage else models.EndpointQuery,
                body=body,
                gives=gives,
                refuses={404: UNKNOWN_ENDPOINT},
                answer=answer,
            )
            for operation, method, below, body, gives, answer in (
                ("getWebhook", "GET", "", None, models.EndpointRecord, api.show),
                ("changeWebhook", "PATCH", "", models.EndpointChanges, models.EndpointRecord, api.change),
                ("dropWebhook", "DELETE", "", None, models.DroppedEndpoint, api.drop),
                ("testWebhook", "POST", "/test", None, models.AttemptResult, api.test),
                ("rotateWebhookSecret", "POST", "/rotate-secret", None, models.NewSecret, api.rotate),
                ("listDeliveries", "GET", "/deliveries", None, models.DeliveriesPage, api.deliveries),
                ("replayDeliveries", "POST", "/replay", models.ReplayOrder, models.Replayed, api.replay),
            )
        ),
    )

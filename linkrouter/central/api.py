"""Every path of central's API, once: the server registers this table, and `/openapi.json` is written from it."""

from functools import partial

from linkrouter.central.fields import RULES
from linkrouter.central.ingest import add_clicks, add_message
from linkrouter.central.models import (
    ClickBatch,
    ClickQuery,
    ClicksPage,
    ClickStats,
    MessageRecord,
    Readiness,
    Receipt,
    StatsQuery,
)
from linkrouter.central.reports import count_clicks, list_clicks
from linkrouter.central.store.interface import CentralStore
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["central_routes"]

CONFLICT = "this message id, or one of these links, was posted before with other content"


async def get_readiness(store: CentralStore, _: object, __: Caller) -> Readiness:
    """Say whether the store takes writes."""
    await store.check()
    return {"ready": True}


def central_routes(store: CentralStore) -> tuple[Route, ...]:
    """Give the paths whose answers come from *store*."""
    return (
        Route(
            operation="addClicks",
            method="POST",
            path="/v1/clicks",
            scope="clicks:write",
            body=ClickBatch,
            rules=RULES,
            gives=Receipt,
            answer=partial(add_clicks, store),
        ),
        Route(
            operation="listClicks",
            method="GET",
            path="/v1/clicks",
            scope="clicks:read",
            query=ClickQuery,
            rules=RULES,
            gives=ClicksPage,
            answer=partial(list_clicks, store),
        ),
        Route(
            operation="countClicks",
            method="GET",
            path="/v1/stats/clicks",
            scope="stats:read",
            query=StatsQuery,
            rules=RULES,
            gives=ClickStats,
            answer=partial(count_clicks, store),
        ),
        Route(
            operation="addMessage",
            method="POST",
            path="/v1/messages",
            scope="messages:write",
            body=MessageRecord,
            rules=RULES,
            gives=Receipt,
            refuses={409: CONFLICT},
            answer=partial(add_message, store),
        ),
        Route(
            operation="getReadiness",
            method="GET",
            path="/-/ready",
            scope=None,
            gives=Readiness,
            answer=partial(get_readiness, store),
        ),
    )

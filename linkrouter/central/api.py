"""Every path of central's API, once: the server registers this table, and `/openapi.json` is written from it."""

from functools import partial
from typing import Any

from linkrouter.central import models
from linkrouter.central.answers import ClickBreakdown, ClickSeries, ClicksPage, ClickStats, Readiness, Receipt
from linkrouter.central.clicks import list_clicks, tabulate_clicks
from linkrouter.central.fields import RULES
from linkrouter.central.figures_api import Statistics
from linkrouter.central.ingest import add_clicks, add_message
from linkrouter.central.labels import Insight
from linkrouter.central.store.interface import CentralStore
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["central_routes"]

CONFLICT = "this message id, or one of these links, was posted before with other content"


async def get_readiness(store: CentralStore, _: object, __: Caller) -> Readiness:
    """Say whether the store takes writes."""
    await store.check()
    return {"ready": True}


def central_routes(store: CentralStore, insight: Insight | None = None, min_cell: int = 0) -> tuple[Route, ...]:
    """Give the paths whose answers come from *store*; *insight* tells of clicks that have no label yet."""
    statistics = Statistics(store, insight or Insight(), min_cell)
    return (
        Route(
            operation="addClicks",
            method="POST",
            path="/v1/clicks",
            scope="clicks:write",
            body=models.ClickBatch,
            rules=RULES,
            gives=Receipt,
            answer=partial(add_clicks, store),
        ),
        Route(
            operation="addMessage",
            method="POST",
            path="/v1/messages",
            scope="messages:write",
            body=models.MessageRecord,
            rules=RULES,
            gives=Receipt,
            refuses={409: CONFLICT},
            answer=partial(add_message, store),
        ),
        *_click_routes(store),
        *_statistics_routes(statistics),
        Route(
            operation="getReadiness",
            method="GET",
            path="/-/ready",
            scope=None,
            gives=Readiness,
            answer=partial(get_readiness, store),
        ),
    )


def _asked(operation: str, path: str, **more: Any) -> Route:
    return Route(operation=operation, method="GET", path=path, rules=RULES, **more)


def _click_routes(store: CentralStore) -> tuple[Route, ...]:
    return (
        _asked(
            "listClicks",
            "/v1/clicks",
            scope="clicks:read",
            query=models.ClickQuery,
            gives=ClicksPage,
            answer=partial(list_clicks, store),
        ),
        _asked(
            "tabulateClicks",
            "/v1/clicks.csv",
            scope="clicks:read",
            query=models.ClickTableQuery,
            csv=True,
            gives=str,
            answer=partial(tabulate_clicks, store),
        ),
    )


def _statistics_routes(statistics: Statistics) -> tuple[Route, ...]:
    base = "/v1/stats/clicks"
    return tuple(
        _asked(operation, base + path, scope="stats:read", query=query, gives=gives, csv=gives is str, answer=answer)
        for operation, path, query, gives, answer in (
            ("countClicks", "", models.StatsQuery, ClickStats, statistics.count),
            ("getSeries", "/series", models.SeriesQuery, ClickSeries, statistics.series),
            ("tabulateSeries", "/series.csv", models.SeriesQuery, str, statistics.series_table),
            ("getBreakdown", "/by/{dimension}", models.BreakdownQuery, ClickBreakdown, statistics.breakdown),
            ("tabulateBreakdown", "/by/{dimension}.csv", models.BreakdownQuery, str, statistics.breakdown_table),
        )
    )

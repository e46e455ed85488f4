"""Every path of central's API, once: the server registers this table, and `/openapi.json` is written from it."""

from functools import partial
from typing import Any

from linkrouter.central import answers, models
from linkrouter.central.answers import ClickBreakdown, ClickSeries, ClicksPage, ClickStats, Readiness, Receipt
from linkrouter.central.clicks import list_clicks, tabulate_clicks
from linkrouter.central.fields import RULES
from linkrouter.central.figures_api import Statistics
from linkrouter.central.ingest import add_clicks, add_message
from linkrouter.central.labels import Insight
from linkrouter.central.live import Live
from linkrouter.central.messages import Messages
from linkrouter.central.postmark.routes import postmark_routes
from linkrouter.central.privacy import Privacy
from linkrouter.central.router_models import RoutersQuery, RoutersState
from linkrouter.central.routers import list_routers
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.takebacks import take_back_routes
from linkrouter.central.watch.routes import WatchApi, watch_routes
from linkrouter.central.webhooks.delivery import WebhookDelivery
from linkrouter.central.webhooks.posting import Poster
from linkrouter.central.webhooks.routes import webhook_routes
from linkrouter.metrics import Metrics
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["central_routes"]

CONFLICT = "this message id, or one of these links, was posted before with other content"


async def get_readiness(store: CentralStore, _: object, __: Caller) -> Readiness:
    """Say whether the store takes writes."""
    await store.check()
    return {"ready": True}


def central_routes(
    store: CentralStore,
    insight: Insight | None = None,
    min_cell: int = 0,
    metrics: Metrics | None = None,
    delivery: WebhookDelivery | None = None,
    watch: WatchApi | None = None,
) -> tuple[Route, ...]:
    """Give the paths whose answers come from *store*.

    *insight* tells of clicks that have no label yet; rows of a breakdown below *min_cell* clicks are shown together;
    *metrics* counts what came in; *delivery* is what sends to webhook endpoints; *watch* answers about what is watched.
    """
    insight, delivery = insight or Insight(), delivery or WebhookDelivery(store, Poster())
    statistics, messages = Statistics(store, insight, min_cell), Messages(store, insight)
    return (
        *_ingest_routes(store, metrics or Metrics()),
        *_click_routes(store),
        *_message_routes(messages),
        *_statistics_routes(statistics),
        *_privacy_routes(Privacy(store, messages)),
        *postmark_routes(store, insight),
        *take_back_routes(store),
        *watch_routes(watch or WatchApi(store)),
        *webhook_routes(store, delivery),
        _asked(
            "listRouters",
            "/v1/routers",
            scope="admin",
            query=RoutersQuery,
            gives=RoutersState,
            answer=partial(list_routers, store),
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


def _ingest_routes(store: CentralStore, metrics: Metrics) -> tuple[Route, ...]:
    return (
        Route(
            operation="addClicks",
            method="POST",
            path="/v1/clicks",
            scope="clicks:write",
            body=models.ClickBatch,
            rules=RULES,
            gives=Receipt,
            answer=partial(add_clicks, store, metrics),
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
        Route(
            operation="followClicks",
            method="GET",
            path="/v1/clicks/live",
            scope="clicks:read",
            query=models.LiveQuery,
            rules=RULES,
            streams=True,
            gives=answers.FoundClickRecord,
            refuses={429: "as many of these are running as may at once; try again"},
            answer=Live(store).follow,
        ),
    )


def _message_routes(messages: Messages) -> tuple[Route, ...]:
    return (
        _asked(
            "listMessages",
            "/v1/messages",
            scope="clicks:read",
            query=models.MessageQuery,
            gives=answers.MessagesPage,
            answer=messages.page,
        ),
        _asked(
            "tabulateMessages",
            "/v1/messages.csv",
            scope="clicks:read",
            query=models.MessageTableQuery,
            csv=True,
            gives=str,
            answer=messages.tabulate,
        ),
        _asked(
            "getMessage",
            "/v1/messages/{message_id}",
            scope="clicks:read",
            query=models.OneMessageQuery,
            gives=answers.MessageDetails,
            refuses={404: "no message of this id is known"},
            answer=messages.show,
        ),
    )


def _privacy_routes(privacy: Privacy) -> tuple[Route, ...]:
    def route(operation: str, method: str, path: str, **more: Any) -> Route:
        return Route(operation=operation, method=method, path=path, scope="privacy", rules=RULES, **more)

    taken = {"gives": answers.ErasedRows}
    return (
        route("erase", "POST", "/v1/erasures", body=models.ErasureRecord, answer=privacy.erase, **taken),
        route("withhold", "POST", "/v1/withheld", body=models.WithheldRecord, answer=privacy.withhold, **taken),
        route(
            "release",
            "DELETE",
            "/v1/withheld",
            query=models.WithheldQuery,
            gives=answers.WithheldState,
            refuses={404: "this recipient was not withheld"},
            answer=privacy.release,
        ),
        route(
            "exportPerson",
            "GET",
            "/v1/export",
            query=models.ExportQuery,
            gives=answers.PersonalData,
            answer=privacy.export,
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

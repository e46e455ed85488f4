"""Postmark's paths in central's route table."""

from functools import partial
from typing import Any

from linkrouter.central.labels import Insight
from linkrouter.central.postmark.clicks import PostmarkClickList, PostmarkClicks
from linkrouter.central.postmark.figures import PostmarkClickCounts, PostmarkOverview, PostmarkStatistics
from linkrouter.central.postmark.queries import (
    POSTMARK_RULES,
    FamilyStatsQuery,
    MessageClicksQuery,
    PostmarkClicksQuery,
    PostmarkStatsQuery,
)
from linkrouter.central.store.interface import CentralStore
from linkrouter.web.postmark_dialect import POSTMARK_DIALECT
from linkrouter.web.routes import Route

__all__ = ["postmark_routes"]


def postmark_routes(store: CentralStore, insight: Insight) -> tuple[Route, ...]:
    """Give the paths that Postmark's clients ask for clicks and their statistics."""
    clicks, figures = PostmarkClicks(store), PostmarkStatistics(store, insight)
    listed = partial(_route, scope="clicks:read", gives=PostmarkClickList)
    path, stats = "/messages/outbound/clicks", "/stats/outbound"
    counted = partial(_route, scope="stats:read")
    return (
        listed("listPostmarkClicks", path, query=PostmarkClicksQuery, answer=clicks.list),
        listed(
            "listPostmarkMessageClicks", path + "/{messageid}", query=MessageClicksQuery, answer=clicks.list_of_message
        ),
        counted(
            "getPostmarkOverview", stats, query=PostmarkStatsQuery, gives=PostmarkOverview, answer=figures.overview
        ),
        counted(
            "countPostmarkClicks",
            stats + "/clicks",
            query=PostmarkStatsQuery,
            gives=PostmarkClickCounts,
            answer=figures.clicks,
        ),
        counted(
            "breakDownPostmarkClicks",
            stats + "/clicks/{breakdown}",
            query=FamilyStatsQuery,
            gives=dict[str, Any],
            answer=figures.break_down,
        ),
    )


def _route(operation: str, path: str, **more: Any) -> Route:
    return Route(operation=operation, method="GET", path=path, rules=POSTMARK_RULES, dialect=POSTMARK_DIALECT, **more)

"""Every path of the centre's API, once: the server registers this table, and `/openapi.json` is written from it.

Promise: what is documented is what is served. An answer is a function of the store and the checked request; it knows
nothing of HTTP.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from linkrouter.central.fields import RULES
from linkrouter.central.ingest import take_clicks, take_message
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
from linkrouter.web.problems import MAX_BODY_BYTES
from linkrouter.web.tokens import May

__all__ = ["ROUTES", "Route"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. The first line of the answer's docstring is its summary in the API document.

    With `streams` the answer is an async iterator of server-sent events (id, name, JSON), with None for each time that
    nothing came for a while. A `last_event_id` in `query` is then the header of that name.
    """

    method: str
    path: str
    may: May | None  # what a token must be allowed to do; None asks for no token
    body: type[Any] | None = None  # what a JSON body is checked against
    max_body_bytes: int = MAX_BODY_BYTES  # unpacked
    query: type[Any] | None = None  # what query and path are checked against; None takes any query and ignores it
    rules: Mapping[str, str] = field(
        default_factory=lambda: RULES
    )  # what each field of body and query must be, in words
    gives: type[Any]
    status: int = 200  # of what is given
    location: Callable[[Any], str] | None = None  # where what is given can be found later
    streams: bool = False
    refuses: tuple[int, ...] = ()  # statuses beyond those that follow from the above
    answer: Callable[[CentralStore, Any], Awaitable[Any]]  # a value of `gives`, or a `Refusal`


async def tell_ready(store: CentralStore, _: object) -> Readiness:
    """Say whether the store takes writes."""
    await store.check()
    return {"ready": True}


ROUTES = (
    Route(
        method="POST",
        path="/v1/clicks",
        may="post clicks",
        body=ClickBatch,
        gives=Receipt,
        answer=take_clicks,
    ),
    Route(
        method="GET",
        path="/v1/clicks",
        may="all else",
        query=ClickQuery,
        gives=ClicksPage,
        answer=list_clicks,
    ),
    Route(
        method="GET",
        path="/v1/stats/clicks",
        may="all else",
        query=StatsQuery,
        gives=ClickStats,
        answer=count_clicks,
    ),
    Route(
        method="POST",
        path="/v1/messages",
        may="all else",
        body=MessageRecord,
        gives=Receipt,
        refuses=(409,),
        answer=take_message,
    ),
    Route(method="GET", path="/-/ready", may=None, gives=Readiness, answer=tell_ready),
)

"""The API document: true, complete and valid."""

from typing import get_type_hints

import pytest
from openapi_spec_validator import validate

from linkrouter import __version__
from linkrouter.central import models
from linkrouter.central.api import central_routes
from linkrouter.central.fields import RULES
from linkrouter.central.store.opening import open_central_store
from linkrouter.web.openapi import api_document, statuses, with_document
from linkrouter.web.server import create_app
from linkrouter.web.tokens import Tokens

INPUTS = [
    "BreakdownQuery",
    "ClickBatch",
    "ClickQuery",
    "ClickRecord",
    "ClickTableQuery",
    "ErasureRecord",
    "ExportQuery",
    "LiveQuery",
    "LossRecord",
    "MessageLinkRecord",
    "MessageQuery",
    "MessageRecord",
    "MessageTableQuery",
    "OneMessageQuery",
    "RouterReport",
    "SeriesQuery",
    "StatsQuery",
    "WithheldQuery",
    "WithheldRecord",
]


# Nothing is asked of the store while its routes are described.
ROUTES = with_document(central_routes(open_central_store("sqlite:///unused.db")), "central", __version__)


@pytest.fixture
def document() -> dict:
    return api_document(ROUTES, "central", __version__)


async def test_the_document_is_served_to_anyone_and_valid(centre):
    answer = await centre.anyone.get("/openapi.json")

    validate(answer.json())
    assert answer.json()["openapi"].startswith("3.1")


def test_what_is_documented_is_what_is_served(document):
    app = create_app(Tokens.of((), ()), ROUTES)

    served = {(route.method, route.resource.canonical) for route in app.router.routes() if route.method != "HEAD"}

    assert served == {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}


@pytest.mark.parametrize("name", INPUTS)
def test_every_field_that_comes_in_has_its_rule_in_the_document(document, name):
    schema = document["components"]["schemas"][name]

    assert set(schema["properties"]) == set(get_type_hints(getattr(models, name)))
    assert schema.get("additionalProperties", True) is (name == "RouterReport")  # a newer router may say more
    for field, of in schema["properties"].items():
        assert of["description"] == RULES[field]


def test_every_rule_is_of_some_field(document):
    fields = {field for name in INPUTS for field in document["components"]["schemas"][name]["properties"]}

    assert fields == set(RULES)


async def test_every_answer_has_the_fields_of_its_schema_and_no_other(centre, document, click, message):
    await centre.take(click())
    await centre.sender.post("/v1/messages", json=message())
    schemas = document["components"]["schemas"]

    page = (await centre.sender.get("/v1/clicks")).json()
    stats = await centre.stats()
    problem = (await centre.take({})).json()

    for name, answer in {
        "ClicksPage": page,
        "FoundClickRecord": page["clicks"][0],
        "ClickStats": stats,
        "MissingClicks": stats["missing"],
        "Receipt": (await centre.take()).json(),
        "Readiness": (await centre.anyone.get("/-/ready")).json(),
        "Problem": problem,
    }.items():
        assert set(answer) == set(schemas[name]["properties"]), name


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_every_path_documents_its_refusals(document, route):
    responses = document["paths"][route.path][route.method.lower()]["responses"]

    assert {int(status) for status in responses} == {route.status, *statuses(route)}


def test_the_names_of_operations_are_a_promise(document):
    names = {
        f"{method.upper()} {path}": operation["operationId"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }

    assert names == {
        "GET /-/ready": "getReadiness",
        "GET /openapi.json": "getDocument",
        "GET /v1/clicks": "listClicks",
        "GET /v1/clicks/live": "followClicks",
        "GET /v1/clicks.csv": "tabulateClicks",
        "GET /messages/outbound/clicks": "listPostmarkClicks",
        "GET /messages/outbound/clicks/{messageid}": "listPostmarkMessageClicks",
        "GET /stats/outbound": "getPostmarkOverview",
        "GET /stats/outbound/clicks": "countPostmarkClicks",
        "GET /stats/outbound/clicks/{breakdown}": "breakDownPostmarkClicks",
        "GET /v1/stats/clicks": "countClicks",
        "GET /v1/stats/clicks/by/{dimension}": "getBreakdown",
        "GET /v1/stats/clicks/by/{dimension}.csv": "tabulateBreakdown",
        "GET /v1/stats/clicks/series": "getSeries",
        "GET /v1/stats/clicks/series.csv": "tabulateSeries",
        "DELETE /v1/withheld": "release",
        "GET /v1/export": "exportPerson",
        "GET /v1/messages": "listMessages",
        "GET /v1/messages.csv": "tabulateMessages",
        "GET /v1/messages/{message_id}": "getMessage",
        "GET /v1/routers": "listRouters",
        "GET /v1/take-backs": "listTakeBacks",
        "GET /v1/take-backs/status": "getTakeBacksStatus",
        "GET /v1/watched": "listWatched",
        "GET /v1/watched/events": "listWatchEvents",
        "POST /v1/clicks": "addClicks",
        "POST /v1/erasures": "erase",
        "POST /v1/messages": "addMessage",
        "POST /v1/take-backs": "addTakeBacks",
        "POST /v1/take-backs/matches": "countTakeBackMatches",
        "POST /v1/withheld": "withhold",
        "GET /v1/webhooks": "listWebhooks",
        "POST /v1/webhooks": "addWebhook",
        "GET /v1/webhooks/{id}": "getWebhook",
        "PATCH /v1/webhooks/{id}": "changeWebhook",
        "DELETE /v1/webhooks/{id}": "dropWebhook",
        "POST /v1/webhooks/{id}/test": "testWebhook",
        "POST /v1/webhooks/{id}/rotate-secret": "rotateWebhookSecret",
        "GET /v1/webhooks/{id}/deliveries": "listDeliveries",
        "POST /v1/webhooks/{id}/replay": "replayDeliveries",
    }

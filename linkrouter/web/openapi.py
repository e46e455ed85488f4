"""The API document (OpenAPI 3.1), written from the route table and the very types that check requests."""

import asyncio
from collections.abc import Sequence
from functools import cache
from inspect import getdoc
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from linkrouter.web.problems import DETAILS
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["api_document", "statuses", "with_document"]


def with_document(routes: Sequence[Route], title: str, version: str) -> tuple[Route, ...]:
    """Give *routes* and one more, `/openapi.json`, which describes them all."""

    @cache
    def write() -> dict[str, Any]:
        return api_document([*routes, own], title, version)

    async def describe(_: object, __: Caller) -> dict[str, Any]:
        """Give this document."""
        return await asyncio.to_thread(write)  # the first time takes longer than a start should, or a request

    own = Route(
        operation="getDocument", method="GET", path="/openapi.json", scope=None, gives=dict[str, Any], answer=describe
    )
    return (*routes, own)


def api_document(routes: Sequence[Route], title: str, version: str) -> dict[str, Any]:
    """Describe *routes*."""
    refs, schemas = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {route.dialect.scheme: dict(route.dialect.security) for route in routes},
        },
    }


def statuses(route: Route) -> tuple[int, ...]:
    """Give every status that *route* can refuse with."""
    found = {500, 503, *((507,) if route.method != "GET" else ()), *route.refuses}
    if route.scope is not None:
        found |= {401, 403}
    if route.body is not None:
        found |= {400, 408, 413, 415, 422}
    if route.query is not None:
        found |= {422}
        if "{" in route.path:
            found |= {404}
    return tuple(sorted(found))


def _schemas(routes: Sequence[Route]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """Give a reference to the schema of each type, and the schemas."""
    asked = [kind for route in routes for kind in (route.body, route.query) if kind is not None]
    modes: dict[Any, JsonSchemaMode] = dict.fromkeys(asked, "validation")
    modes |= dict.fromkeys(
        [*(route.dialect.problem for route in routes), *(route.gives for route in routes)], "serialization"
    )
    inputs = [(kind, mode, TypeAdapter(kind)) for kind, mode in modes.items()]
    refs, definitions = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    return {kind: schema for (kind, _), schema in refs.items()}, definitions["$defs"]


def _operation(route: Route, refs: dict[Any, dict[str, Any]], schemas: dict[str, Any]) -> dict[str, Any]:
    summary, _, more = (getdoc(getattr(route.answer, "func", route.answer)) or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": summary,
        "responses": {str(route.status): _given(route, refs)},
        "security": [] if route.scope is None else [{route.dialect.scheme: [route.scope]}],
    }
    if more:
        operation["description"] = " ".join(more.split())
    for status in statuses(route):
        problem = {route.dialect.media_type: {"schema": refs[route.dialect.problem]}}
        operation["responses"][str(status)] = {
            "description": route.refuses.get(status) or DETAILS[status],
            "content": problem,
        }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": refs[route.body]}}}
    if route.query is not None:
        operation["parameters"] = _parameters(route, schemas[route.query.__name__])
    return operation


def _given(route: Route, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    # OpenAPI 3.1 has no word for a stream of events: the schema is that of the JSON in one of them.
    media_type = "text/event-stream" if route.streams else "text/csv" if route.csv else "application/json"
    given: dict[str, Any] = {"description": "done", "content": {media_type: {"schema": refs[route.gives]}}}
    if route.location is not None:
        given["headers"] = {"Location": {"description": "where it can be asked for", "schema": {"type": "string"}}}
    return given


def _parameters(route: Route, schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": "Last-Event-ID" if name == "last_event_id" else name,
            "in": "header" if name == "last_event_id" else "path" if f"{{{name}}}" in route.path else "query",
            "required": name in schema.get("required", ()),
            "description": of.get("description", ""),
            "schema": {key: value for key, value in of.items() if key not in ("description", "title")},
        }
        for name, of in schema["properties"].items()
    ]

"""The paths of the check, on top of the HTTP kit."""

from collections.abc import Awaitable, Callable
from typing import Any

from linkrouter.checker.api import models
from linkrouter.checker.api.checks import CheckApi
from linkrouter.web.problems import Refusal
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["NOT_INSTALLED", "TOO_MANY", "TOO_MANY_STREAMS", "check_routes"]

TOO_MANY = "as many checks are running as may at once; try again"
TOO_MANY_STREAMS = "as many streams are open as may be at once; ask for the check itself instead"
NOT_INSTALLED = "this needs more packages where central runs: pip install 'linkrouter[check]'"


def check_routes(api: CheckApi | None) -> tuple[Route, ...]:
    """Give the paths of *api*; they are there without one, too, and say so."""

    def route(ask: Callable[[CheckApi, Any, Caller], Awaitable[Any]], refuses: dict[int, str], **more: Any) -> Route:
        async def answer(asked: Any, caller: Caller) -> Any:
            return Refusal(501) if api is None else await ask(api, asked, caller)

        answer.__doc__ = ask.__doc__
        return Route(
            scope="checks", rules=models.CHECK_RULES, refuses={501: NOT_INSTALLED, **refuses}, answer=answer, **more
        )

    return (
        route(
            CheckApi.start_check,
            {429: TOO_MANY},
            operation="startCheck",
            method="POST",
            path="/v1/checks",
            body=models.CheckRequest,
            max_body_bytes=models.MAX_CHECK_BODY_BYTES,
            gives=models.CheckResult,
            status=202,
            location=lambda result: f"/v1/checks/{result['id']}",
        ),
        route(
            CheckApi.get_check,
            {},
            operation="getCheck",
            method="GET",
            path="/v1/checks/{id}",
            query=models.CheckQuery,
            gives=models.CheckResult,
        ),
        route(
            CheckApi.follow_check,
            {429: TOO_MANY_STREAMS},
            operation="followCheck",
            method="GET",
            path="/v1/checks/{id}/events",
            query=models.CheckEventsQuery,
            gives=models.LinkEvent,
            streams=True,
        ),
    )

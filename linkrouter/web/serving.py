"""From HTTP to the answers and back: tokens, bodies, queries, refusals.

Promise: what is refused is refused before the store is asked, with a constant text; whatever goes wrong, nothing of a
request reaches an answer or a log, not even where aiohttp itself would quote it.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from aiohttp import ClientError, ETag, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from linkrouter.errors import SettingsError, StoreError, StoreFull
from linkrouter.log import log, quiet_exception_handler
from linkrouter.web.dialects import OWN_DIALECT, Dialect
from linkrouter.web.headers import SAFE_HEADERS
from linkrouter.web.problems import Fault, Refusal, find_fault
from linkrouter.web.routes import Route
from linkrouter.web.streaming import send_events, send_table
from linkrouter.web.tokens import ANYONE, Caller, Tokens

__all__ = [
    "BODY_DEADLINE_S",
    "OBSERVE",
    "OPERATION",
    "SIGNED_IN",
    "TOKENS",
    "Handler",
    "Observe",
    "QuietRunner",
    "SignedIn",
    "TokenBox",
    "refuse_plainly",
    "serve_route",
]

RETRY_AFTER_S = 5
LARGE_BODY_BYTES = 1024**2  # reading one takes milliseconds

# Making one takes milliseconds, and many routes ask for the same.
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


class TokenBox:
    """The tokens of now: a reload puts new ones in while requests are answered."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def reload(self, load: Callable[[], Tokens]) -> None:
        """Put in what *load* gives; tokens that cannot be read keep the old ones."""
        try:
            self.tokens = load()
        except SettingsError:
            log("tokens.kept")
        else:
            log("tokens.loaded")


TOKENS = web.AppKey("tokens", TokenBox)
BODY_DEADLINE_S = web.AppKey("body_deadline_s", float)
OPERATION = web.RequestKey("operation", str)  # what was asked for
DIALECT = web.RequestKey("dialect", Dialect)  # how it is answered
Observe = Callable[[str, int, float], None]  # gets operation, status and seconds of each request
OBSERVE: web.AppKey[Observe] = web.AppKey("observe")
SignedIn = Callable[[web.Request], Caller | None]  # gives who is signed in to the pages that ask
SIGNED_IN: web.AppKey[SignedIn] = web.AppKey("signed_in")


class Handler:
    """What aiohttp calls for one route."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._body = _adapter(route.body) if route.body is not None else None
        self._query = _adapter(route.query) if route.query is not None else None
        self._large_body = asyncio.Lock()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer *request*."""
        request[OPERATION], request[DIALECT] = self._route.operation, self._route.dialect
        result = await self._result(request)
        if isinstance(result, Refusal):
            return _refused(result, self._route.dialect, self._route.refuses)
        if self._route.streams:
            return await send_events(request, result)
        if self._route.csv:
            return await send_table(request, result)
        response = web.Response(
            status=self._route.status, body=to_json(result), content_type="application/json", headers=SAFE_HEADERS
        )
        if self._route.has_etag:
            response.etag = _etag_of(response)
            if response.etag in (request.if_none_match or ()):
                return web.Response(status=304, headers=SAFE_HEADERS | {"ETag": response.headers["ETag"]})
        if self._route.location is not None:
            response.headers["Location"] = self._route.location(result)
        return response

    async def _result(self, request: web.Request) -> Any:
        caller = self._caller(request)
        if isinstance(caller, Refusal):
            return caller
        asked = await self._asked(request)
        return asked if isinstance(asked, Refusal) else await self._route.answer(asked, caller)

    def _caller(self, request: web.Request) -> Caller | Refusal:
        if self._route.scope is None:
            return ANYONE
        token = self._route.dialect.read_token(request.headers)
        caller = request.app[TOKENS].tokens.find_caller(token) if token else request.app[SIGNED_IN](request)
        if caller is None:
            return Refusal(401)
        return caller if caller.may(self._route.scope) else Refusal(403)

    async def _asked(self, request: web.Request) -> Any:
        """Give the body or the query, checked; both where the route takes both."""
        query: Any = None
        try:
            if self._query is not None:
                given = [*self._route.dialect.read_query(request.query.items()), *request.match_info.items()]
                if self._route.streams and "Last-Event-ID" in request.headers:
                    given.append(("last_event_id", request.headers["Last-Event-ID"]))
                if len(dict(given)) < len(given):
                    return Refusal(422, Fault("a parameter stands there twice"))
                query = self._query.validate_python(dict(given))
            if self._body is None:
                return query
            chunks = await _read_body(request, self._route.max_body_bytes)
            if isinstance(chunks, Refusal):
                return chunks
            body = await self._check_body(self._body, chunks)
        except ValidationError as exc:
            fault = find_fault(exc, self._route.rules)
            return Refusal(422, fault) if fault else Refusal(400)
        return body if self._query is None else (query, body)

    async def _check_body(self, kind: TypeAdapter[Any], chunks: list[bytes]) -> Any:
        if sum(map(len, chunks)) <= LARGE_BODY_BYTES:
            return kind.validate_json(b"".join(chunks))
        async with self._large_body:  # what takes milliseconds is done one by one, with a turn for others in between
            await asyncio.sleep(0)
            body = b"".join(chunks)
            await asyncio.sleep(0)
            return kind.validate_json(body)


def _etag_of(response: web.Response) -> ETag:
    assert isinstance(response.body, bytes), "JSON is bytes"
    return ETag(hashlib.sha256(response.body).hexdigest()[:32])


async def _read_body(request: web.Request, max_bytes: int) -> list[bytes] | Refusal:
    """Read a JSON body, which aiohttp unpacks as it comes."""
    too_large = Refusal(413, Fault(f"it must be at most {max_bytes} bytes, unpacked"))
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if request.content_type != "application/json" or coding not in ("gzip", "identity"):
        return Refusal(415)
    if (request.content_length or 0) > max_bytes:
        return too_large
    try:
        async with asyncio.timeout(request.app[BODY_DEADLINE_S]):
            return await _read_all(request, max_bytes)
    except TimeoutError:
        return Refusal(408)
    except web.HTTPRequestEntityTooLarge:
        return too_large
    except (web.RequestPayloadError, HttpProcessingError, ClientError, ConnectionError):
        return Refusal(400)  # not gzip, chunks that are none, or nobody there any more


async def _read_all(request: web.Request, max_bytes: int) -> list[bytes]:
    # Not request.read(): it waits for the whole of a large body and then copies it three times in one step.
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise web.HTTPRequestEntityTooLarge(max_bytes)
        chunks.append(chunk)
    return chunks


def _refused(
    refusal: Refusal, dialect: Dialect = OWN_DIALECT, details: Mapping[int, str] = MappingProxyType({})
) -> web.Response:
    response = web.Response(
        status=refusal.status,
        body=dialect.write_problem(refusal, details),
        content_type=dialect.media_type,
        headers=SAFE_HEADERS,
    )
    if refusal.status == 401 and dialect is OWN_DIALECT:
        response.headers["WWW-Authenticate"] = "Bearer"
    if refusal.status == 415:
        response.headers["Accept-Encoding"] = "gzip"
    if refusal.status in (429, 503, 507):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


@web.middleware
async def refuse_plainly(request: web.Request, handler: Any) -> web.StreamResponse:
    """Turn whatever goes wrong into a problem document with constant text."""
    begun = time.perf_counter()
    response = await _answer(request, handler)
    if OPERATION in request:
        request.app[OBSERVE](request[OPERATION], response.status, time.perf_counter() - begun)
    if response.status >= 400 and request.can_read_body:
        # What is left of the body may be endless or broken: the client must not send another request behind it.
        response.force_close()
    return response


async def _answer(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPMethodNotAllowed as exc:
        refused = _refused(Refusal(405))
        refused.headers["Allow"] = ", ".join(sorted(exc.allowed_methods))
        return refused
    except web.HTTPError as exc:
        return _refused(Refusal(exc.status))
    except StoreError as exc:
        log("central.store_failed", reason=type(exc.__cause__ or exc).__name__)
        return _refused(Refusal(507 if isinstance(exc, StoreFull) else 503), request.get(DIALECT, OWN_DIALECT))
    except Exception as exc:  # the border: a request that fails must not tell how
        quiet_exception_handler(asyncio.get_running_loop(), {"exception": exc})
        return _refused(Refusal(500), request.get(DIALECT, OWN_DIALECT))
    return response


def serve_route(route: Route) -> web.RouteDef:
    """Make *route* something aiohttp can register; GET brings HEAD with it."""
    if route.method == "GET":
        return web.get(route.path, Handler(route).handle, allow_head=not route.streams)
    return web.route(route.method, route.path, Handler(route).handle)


class _QuietProtocol(web.RequestHandler):
    """aiohttp's own answers to what is not HTTP quote the bytes they could not read; these do not."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = _refused(Refusal(status))
        response.force_close()
        return response


class _QuietServer(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _QuietProtocol(self, loop=self._loop, **self._kwargs)


class QuietRunner(web.AppRunner):
    """An `AppRunner` whose server never quotes a request."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _QuietServer(made.request_handler, request_factory=made.request_factory, **made._kwargs)

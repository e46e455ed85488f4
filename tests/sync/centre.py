"""A centre in memory, as sync sees it: it keeps each click once, and can be told to misbehave."""

import gzip
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import httpx

Misdeed = Callable[["Centre", httpx.Request], httpx.Response]


class Centre:
    """An `httpx` transport's handler. `misdeeds` are what it does instead of its work, one a request."""

    def __init__(self, poison: Iterable[str] = (), max_clicks: int = 1000) -> None:
        self.clicks: dict[str, dict[str, Any]] = {}
        self.losses: dict[str, dict[str, Any]] = {}
        self.misdeeds: deque[Misdeed] = deque()
        self.always: Misdeed | None = None
        self.poison = set(poison)
        self.max_clicks = max_clicks
        self.posts: list[int] = []  # clicks in each request
        self.headers = httpx.Headers()
        self.stored: Counter[str] = Counter()  # how often each click was told to be stored

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.headers = request.headers
        self.posts.append(len(self.read(request)["clicks"]))
        if self.misdeeds:
            return self.misdeeds.popleft()(self, request)
        return self.always(self, request) if self.always else self.work(request)

    @staticmethod
    def read(request: httpx.Request) -> dict[str, Any]:
        return json.loads(gzip.decompress(request.content))

    def work(self, request: httpx.Request) -> httpx.Response:
        batch = self.read(request)
        clicks = batch["clicks"]
        if len(clicks) > self.max_clicks:
            return httpx.Response(413)
        if any(click["id"] in self.poison for click in clicks):
            return httpx.Response(422, json={"title": "bad record"})
        fresh = {click["id"]: click for click in clicks if click["id"] not in self.clicks}
        self.clicks |= fresh
        self.stored.update(fresh.keys())
        self.losses |= {loss["id"]: loss for loss in batch.get("losses", ())}
        return httpx.Response(200, json={"stored": len(fresh), "duplicates": len(clicks) - len(fresh)})


def answer(status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> Misdeed:
    """Answer this and store nothing."""
    return lambda _, __: httpx.Response(status, headers=headers, content=content)


def fail(exc: Exception) -> Misdeed:
    """Break the connection and store nothing."""

    def misdeed(_: Centre, __: httpx.Request) -> httpx.Response:
        raise exc

    return misdeed


def lose_the_reply(centre: Centre, request: httpx.Request) -> httpx.Response:
    """Store the batch, then break the connection."""
    centre.work(request)
    raise httpx.ReadError("cut")

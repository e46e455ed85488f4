"""The list of take-backs as central hands it out: what is behind a number.

Promise: no answer, from central or from a proxy before it, is taken for a list unless it is one, and none can be larger
than a page. What the rules say is not looked at here.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from linkrouter.sync.delivery import POST_TIMEOUT_S
from linkrouter.sync.format import IngestAnswer, read_answer

__all__ = ["PAGE_RULES", "ListAnswer", "RuleSource"]

PAGE_RULES = 1000
MAX_RULE_SEQ = 9_999_999_999  # central takes no greater number back
MAX_ANSWER_BYTES = 16 * 1024**2  # a rule is at most 8,000 characters of link and a few hundred others


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """What central said; `rules`, as JSON gave them, go up to `seq`. They are none unless the outcome is "taken"."""

    said: IngestAnswer
    seq: int = 0
    rules: tuple[Any, ...] = ()


class RuleSource:
    """Asks *url*, the address of `GET /v1/take-backs`; *timeout_s* is for one page, *now* stands for time."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        url: str,
        token: str,
        router_id: str,
        timeout_s: float = POST_TIMEOUT_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._url = url
        self._token = token
        self._router_id = router_id
        self._timeout_s = timeout_s
        self._now = now
        self._seen: tuple[int, str] = (-1, "")  # the ETag of the last answer, and behind which number it was asked for

    def use_token(self, token: str) -> None:
        """Show central *token* from the next request on."""
        self._token = token

    async def fetch(self, after: int, applied: int) -> ListAnswer:
        """Ask for the rules behind number *after*; say that this router has those up to *applied* in force."""
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if self._seen[0] == after:
            headers["If-None-Match"] = self._seen[1]
        query: dict[str, str | int] = {
            "after": after,
            "limit": PAGE_RULES,
            "router": self._router_id,
            "applied": applied,
        }
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("GET", self._url, params=query, headers=headers, follow_redirects=False) as reply,
            ):
                body = await _read_page(reply)
        except TimeoutError:
            return ListAnswer(IngestAnswer("failed", "timeout"))
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            return ListAnswer(IngestAnswer("failed", type(exc).__name__, reached=False))
        except (httpx.HTTPError, httpx.StreamError, OSError) as exc:
            return ListAnswer(IngestAnswer("failed", type(exc).__name__))
        if reply.status_code == 304 and "If-None-Match" in headers:
            return ListAnswer(IngestAnswer("taken", "304"), after)
        if reply.status_code != 200:
            return ListAnswer(read_answer(reply.status_code, reply.headers.get("Retry-After"), b"", 0, self._now()))
        answer = _read_list(body, after)
        if answer.said.outcome == "taken" and "ETag" in reply.headers:
            self._seen = (after, reply.headers["ETag"])
        return answer


def _read_list(body: bytes, after: int) -> ListAnswer:
    garbage = ListAnswer(IngestAnswer("failed", "garbage"))
    try:
        said = json.loads(body)
        rules, seq = said["rules"], said["seq"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return garbage
    if type(rules) is not list or type(seq) is not int or not 0 <= seq <= MAX_RULE_SEQ or len(rules) > PAGE_RULES:
        return garbage
    if rules and seq <= after:
        return garbage  # a page of rules leads on, or reading would never end
    return ListAnswer(IngestAnswer("taken", "200"), seq, tuple(rules))


async def _read_page(reply: httpx.Response) -> bytes:
    """Read a page, or nothing of what cannot be one."""
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        return b""
    pieces, size = [], 0
    async for piece in reply.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            return b""
    return b"".join(pieces)

"""Google Web Risk, Update API: lists of hash prefixes kept here, and full hashes asked for where a prefix matches.

Promise: no URL leaves the house. Google learns that somebody holds a link whose hash begins with certain four octets,
and that only for the few links that may be listed. A list that could not be brought up to date in time is no list: then
every answer is unknown.
"""

import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linkrouter.checker.fetch.limits import Clock
from linkrouter.checker.fetch.single_flight import SingleFlight
from linkrouter.checker.reputation.hashed_urls import url_hashes
from linkrouter.checker.reputation.risk_lists import RiskLists
from linkrouter.checker.reputation.webrisk_api import (
    THREATS,
    WEBRISK_TIMEOUT_S,
    WEBRISK_URL,
    RiskClient,
    RiskUnavailable,
    read_threat,
    seconds_until,
)
from linkrouter.checker.verdict import Opinion

__all__ = ["MAX_ANSWERS_KEPT", "WebRiskUpdate"]

MAX_ANSWERS_KEPT = 10_000
_CLEAN = Opinion("clean")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What `hashes:search` said of a prefix: the threats by full hash, and until when all others are none."""

    threats: dict[bytes, tuple[Any, Any]] = field(repr=False)  # types, expireTime
    clean_until: float


class WebRiskUpdate:
    """The Update API with the API key that *key* gives; the lists are kept in the file *path*, if there is one."""

    name = "webrisk"

    def __init__(
        self,
        key: Callable[[], str],
        *,
        url: str = WEBRISK_URL,
        path: Path | None = None,
        clock: Clock = time.time,
        timeout_s: float = WEBRISK_TIMEOUT_S,
    ) -> None:
        self._client = RiskClient(key, url=url, timeout_s=timeout_s)
        self._clock = clock
        self._lists = RiskLists(self._client, path, clock)
        self._answers: dict[bytes, _Answer] = {}
        self._searches: SingleFlight[bytes, _Answer] = SingleFlight()

    def query_for(self, url: str) -> str | None:
        """Give *url* itself, which is hashed here."""
        return url

    async def ask(self, query: str) -> Opinion:
        """Look for the URL *query* in the lists, and ask for the full hashes where it may be in one."""
        try:
            await self._lists.refresh()
            found = [await self._judge(digest, prefix) for digest, prefix in self._lists.matches(url_hashes(query))]
        except RiskUnavailable as exc:
            return Opinion("unknown", why=str(exc))
        listed = [opinion for opinion in found if opinion.answer == "listed"]
        if listed:
            names = tuple(dict.fromkeys(name for opinion in listed for name in opinion.lists))
            holds_s = min(opinion.holds_s or 0.0 for opinion in listed)
            return Opinion("listed", names, any(opinion.blocks for opinion in listed), holds_s=holds_s)
        return min(found, key=lambda opinion: opinion.holds_s or 0.0, default=_CLEAN)

    async def close(self) -> None:
        """Stop what is under way, and close the connections."""
        await self._searches.close()
        await self._lists.close()
        await self._client.close()

    async def _judge(self, digest: bytes, prefix: bytes) -> Opinion:
        """Judge one full hash, from what is kept where that may still be used."""
        now = self._clock()
        kept = self._answers.get(prefix)
        opinion = _opinion(kept, digest, now) if kept is not None else None
        if opinion is None:
            answer = await self._searches.join(prefix, lambda: self._search(prefix))
            opinion = _opinion(answer, digest, now, fresh=True)
        assert opinion is not None
        return opinion

    async def _search(self, prefix: bytes) -> _Answer:
        params = {"hashPrefix": urlsafe_b64encode(prefix).decode("ascii"), "threatTypes": list(THREATS)}
        answer = _read_answer(await self._client.get("hashes:search", params), self._clock())
        if len(self._answers) >= MAX_ANSWERS_KEPT:
            self._answers.clear()
        self._answers[prefix] = answer
        return answer


def _opinion(answer: _Answer, digest: bytes, now: float, *, fresh: bool = False) -> Opinion | None:
    """Give what *answer* says of *digest*; None when it is too old to say anything, which a *fresh* one never is.

    A match that has expired is asked for again, even while other hashes of its prefix are known to be none.
    """
    if digest in answer.threats:
        opinion = read_threat(*answer.threats[digest], now)
        return opinion if fresh or opinion.holds_s else None
    if fresh or answer.clean_until > now:
        return Opinion("clean", holds_s=max(0.0, answer.clean_until - now))
    return None


def _read_answer(document: Any, now: float) -> _Answer:
    try:
        threats = {
            b64decode(threat["hash"], validate=True): (threat["threatTypes"], threat.get("expireTime"))
            for threat in document.get("threats", ())
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RiskUnavailable("the service answered garbage") from None
    if any(len(digest) != 32 for digest in threats):
        raise RiskUnavailable("the service answered garbage")
    return _Answer(threats, now + seconds_until(document.get("negativeExpireTime"), now))

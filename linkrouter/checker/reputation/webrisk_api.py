"""Google Web Risk over plain REST: one request, and what a threat in an answer means.

Promise: an answer counts only when it is what is documented; whatever else comes, from a quota error to a proxy's page,
is `RiskUnavailable` with the reason in our words. The key goes into a header, so that no URL holds it.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from linkrouter.checker.verdict import Opinion

__all__ = [
    "MAX_WEBRISK_ANSWER_BYTES",
    "MAX_WEBRISK_REQUESTS",
    "THREATS",
    "WEBRISK_TIMEOUT_S",
    "WEBRISK_URL",
    "RiskClient",
    "RiskUnavailable",
    "read_threat",
    "seconds_until",
]

WEBRISK_URL = "https://webrisk.googleapis.com"
WEBRISK_TIMEOUT_S = 5.0
MAX_WEBRISK_ANSWER_BYTES = 64 * 1024
MAX_WEBRISK_REQUESTS = 16  # in flight at once; the quota is 6,000 a minute

# (type, what it means, whether it alone stops a mail): extended coverage is documented as wrong in up to a tenth.
THREATS = {
    "MALWARE": ("malware", True),
    "SOCIAL_ENGINEERING": ("phishing", True),
    "UNWANTED_SOFTWARE": ("unwanted software", True),
    "SOCIAL_ENGINEERING_EXTENDED_COVERAGE": ("probably phishing", False),
}


class RiskUnavailable(Exception):
    """Web Risk did not answer, or not as it is documented; the message says why."""


class RiskClient:
    """Asks the service at *url* with the API key that *key* gives, which is read again for every request."""

    def __init__(self, key: Callable[[], str], *, url: str = WEBRISK_URL, timeout_s: float = WEBRISK_TIMEOUT_S) -> None:
        self._key = key
        self._url = url.rstrip("/") + "/v1/"
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(trust_env=False, timeout=timeout_s)
        self._requests = asyncio.Semaphore(MAX_WEBRISK_REQUESTS)

    async def get(
        self, method: str, params: dict[str, Any], *, max_bytes: int = MAX_WEBRISK_ANSWER_BYTES, times: float = 1
    ) -> Any:
        """Give the JSON that `GET /v1/METHOD` answers, within *times* the usual time.

        Raises:
            RiskUnavailable: there is none.
        """
        try:
            async with self._requests, asyncio.timeout(self._timeout_s * times):
                body = await self._read(method, params, max_bytes)
            return (
                await asyncio.to_thread(json.loads, body) if len(body) > MAX_WEBRISK_ANSWER_BYTES else json.loads(body)
            )
        except TimeoutError:
            raise RiskUnavailable("the service did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise RiskUnavailable("the service cannot be reached") from None
        except (ValueError, RecursionError):
            raise RiskUnavailable("the service answered garbage") from None

    async def _read(self, method: str, params: dict[str, Any], max_bytes: int) -> bytes:
        headers = {"X-Goog-Api-Key": self._key(), "Accept-Encoding": "identity"}
        async with self._client.stream("GET", self._url + method, params=params, headers=headers) as response:
            if response.status_code != 200:
                raise RiskUnavailable(f"the service answered {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > max_bytes:
                    raise RiskUnavailable("the service answered garbage")
            return bytes(body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def read_threat(types: Any, expire_time: Any, now: float) -> Opinion:
    """Give what a match on the lists *types* means.

    A list that nobody knows beside one that stops a mail changes nothing; alone it cannot be read.

    Raises:
        RiskUnavailable: it is not what is documented.
    """
    if not isinstance(types, list) or not types:
        raise RiskUnavailable("the service answered garbage")
    known: Sequence[tuple[str, bool]] = [THREATS[name] for name in types if isinstance(name, str) and name in THREATS]
    blocks = any(stops for _, stops in known)
    if len(known) < len(types) and not blocks:
        raise RiskUnavailable("the service answered garbage")
    lists = tuple(f"Web Risk: {meaning}" for meaning, _ in known)
    return Opinion("listed", lists, blocks, holds_s=seconds_until(expire_time, now))


def seconds_until(time: Any, now: float, *, without: float = 60.0) -> float:
    """Give how far away *time* (RFC 3339) is; *without* a proper one, a minute."""
    try:
        at = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        return without
    return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now)

"""Google Web Risk, Lookup API (`uris:search`), over plain REST.

Promise: an answer counts only when it is exactly what is documented: an empty object is clean, a threat with known
types is listed until its `expireTime` and no longer. Anything else, from a quota error to a proxy's page, is unknown.
"""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from linkrouter.checker.fetch.limits import Clock
from linkrouter.checker.verdict import Opinion
from linkrouter.errors import SettingsError
from linkrouter.settings import CheckSettings, read_secret

__all__ = [
    "MAX_WEBRISK_ANSWER_BYTES",
    "MAX_WEBRISK_REQUESTS",
    "WEBRISK_TIMEOUT_S",
    "WEBRISK_URL",
    "WebRisk",
    "open_webrisk",
]

WEBRISK_URL = "https://webrisk.googleapis.com"
WEBRISK_TIMEOUT_S = 5.0
MAX_WEBRISK_ANSWER_BYTES = 64 * 1024
MAX_WEBRISK_REQUESTS = 16  # in flight at once; the quota is 6,000 a minute

# (type, what it means, whether it alone stops a mail): extended coverage is documented as wrong in up to a tenth.
_THREATS = {
    "MALWARE": ("malware", True),
    "SOCIAL_ENGINEERING": ("phishing", True),
    "UNWANTED_SOFTWARE": ("unwanted software", True),
    "SOCIAL_ENGINEERING_EXTENDED_COVERAGE": ("probably phishing", False),
}


def open_webrisk(settings: CheckSettings) -> "WebRisk":
    """Return Web Risk as *settings* describe it; the key is read again for every request.

    Raises:
        SettingsError: the file with the key is not set, or cannot be used.
    """
    path = settings.webrisk_key_file
    if path is None:
        raise SettingsError("WEBRISK_KEY_FILE is not set; give --webrisk-key-file with a file that holds the API key")
    read_key = partial(_read_key, path)
    read_key()
    return WebRisk(read_key, url=settings.webrisk_url)


def _read_key(path: Path) -> str:
    return read_secret(path, "WEBRISK_KEY_FILE")


class WebRisk:
    """Web Risk with the API key that *key* gives; the key goes into a header, so that no URL holds it."""

    name = "webrisk"

    def __init__(
        self,
        key: Callable[[], str],
        *,
        url: str = WEBRISK_URL,
        clock: Clock = time.time,
        timeout_s: float = WEBRISK_TIMEOUT_S,
    ) -> None:
        self._key = key
        self._url = url.rstrip("/") + "/v1/uris:search"
        self._clock = clock
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(trust_env=False, timeout=timeout_s)
        self._requests = asyncio.Semaphore(MAX_WEBRISK_REQUESTS)

    def query_for(self, url: str) -> str | None:
        """Give *url* itself: Google knows single pages."""
        return url

    async def ask(self, query: str) -> Opinion:
        """Ask for the URL *query*."""
        params = {"threatTypes": list(_THREATS), "uri": query}
        try:
            async with self._requests, asyncio.timeout(self._timeout_s):
                headers = {"X-Goog-Api-Key": self._key(), "Accept-Encoding": "identity"}
                async with self._client.stream("GET", self._url, params=params, headers=headers) as response:
                    if response.status_code != 200:
                        return Opinion("unknown", why=f"the service answered {response.status_code}")
                    body = bytearray()
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > MAX_WEBRISK_ANSWER_BYTES:
                            return Opinion("unknown", why="the service answered garbage")
            return self._read(json.loads(body))
        except TimeoutError:
            return Opinion("unknown", why="the service did not answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return Opinion("unknown", why="the service cannot be reached")
        except (ValueError, RecursionError):
            return Opinion("unknown", why="the service answered garbage")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _read(self, document: Any) -> Opinion:
        """Read an answer.

        Raises:
            ValueError: it is not one that is documented.
        """
        if document == {}:
            return Opinion("clean")
        threat = document.get("threat") if isinstance(document, dict) else None
        if not isinstance(threat, dict):
            raise ValueError("not an answer of uris:search")
        types = threat.get("threatTypes")
        if not isinstance(types, list) or not types or not all(name in _THREATS for name in types):
            raise ValueError("not an answer of uris:search")
        lists = tuple(f"Web Risk: {_THREATS[name][0]}" for name in types)
        blocks = any(_THREATS[name][1] for name in types)
        return Opinion("listed", lists, blocks, holds_s=_seconds_until(threat.get("expireTime"), self._clock()))


def _seconds_until(expire_time: Any, now: float) -> float:
    """Give how long a match may be used; one without a proper `expireTime` is asked for again in a minute."""
    try:
        expires_at = datetime.fromisoformat(expire_time)
    except (TypeError, ValueError):
        return 60.0
    return max(0.0, expires_at.replace(tzinfo=expires_at.tzinfo or UTC).timestamp() - now)

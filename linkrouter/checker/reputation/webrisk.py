"""Google Web Risk as a source: by hash prefixes (`webrisk_update`) unless the lookup of whole URLs is chosen.

Promise: without a choice, no URL leaves the house. `WebRisk` here is the Lookup API (`uris:search`): it is asked for
the whole URL, and needs no list to be kept. An empty object is clean, a threat with known types is listed until its
`expireTime` and no longer.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from linkrouter.checker.fetch.limits import Clock
from linkrouter.checker.reputation.interface import Source
from linkrouter.checker.reputation.webrisk_api import (
    THREATS,
    WEBRISK_TIMEOUT_S,
    WEBRISK_URL,
    RiskClient,
    RiskUnavailable,
    read_threat,
)
from linkrouter.checker.reputation.webrisk_update import WebRiskUpdate
from linkrouter.checker.verdict import Opinion
from linkrouter.errors import SettingsError
from linkrouter.settings import CheckSettings, read_secret

__all__ = ["WebRisk", "open_webrisk"]


def open_webrisk(settings: CheckSettings) -> Source:
    """Return Web Risk as *settings* describe it; the key is read again for every request.

    Raises:
        SettingsError: the file with the key is not set, or cannot be used.
    """
    path = settings.webrisk_key_file
    if path is None:
        raise SettingsError("WEBRISK_KEY_FILE is not set; give --webrisk-key-file with a file that holds the API key")
    read_key = partial(_read_key, path)
    read_key()
    if settings.webrisk_api == "lookup":
        return WebRisk(read_key, url=settings.webrisk_url)
    kept = Path(f"{settings.cache}.webrisk") if settings.cache else None
    return WebRiskUpdate(read_key, url=settings.webrisk_url, path=kept)


def _read_key(path: Path) -> str:
    return read_secret(path, "WEBRISK_KEY_FILE")


class WebRisk:
    """The Lookup API with the API key that *key* gives."""

    name = "webrisk"

    def __init__(
        self,
        key: Callable[[], str],
        *,
        url: str = WEBRISK_URL,
        clock: Clock = time.time,
        timeout_s: float = WEBRISK_TIMEOUT_S,
    ) -> None:
        self._client = RiskClient(key, url=url, timeout_s=timeout_s)
        self._clock = clock

    def query_for(self, url: str) -> str | None:
        """Give *url* itself: Google knows single pages."""
        return url

    async def ask(self, query: str) -> Opinion:
        """Ask for the URL *query*."""
        try:
            document = await self._client.get("uris:search", {"threatTypes": list(THREATS), "uri": query})
            return self._read(document)
        except RiskUnavailable as exc:
            return Opinion("unknown", why=str(exc))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _read(self, document: Any) -> Opinion:
        if document == {}:
            return Opinion("clean")
        threat = document.get("threat") if isinstance(document, dict) else None
        if not isinstance(threat, dict):
            raise RiskUnavailable("the service answered garbage")
        return read_threat(threat.get("threatTypes"), threat.get("expireTime"), self._clock())

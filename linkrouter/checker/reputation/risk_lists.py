"""Web Risk's lists on this machine: when each is due, and that none is used for longer than it may.

Promise: whoever asks waits for a list only while there is none that may be used; a difference that does not fit is
thrown away and the list fetched anew. What is kept in the file is no secret, and a damaged file is as good as none.
"""

import asyncio
import hashlib
import json
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from linkrouter.checker.fetch.limits import Clock
from linkrouter.checker.reputation.prefix_list import PrefixList, apply_diff
from linkrouter.checker.reputation.webrisk_api import THREATS, RiskClient, RiskUnavailable, seconds_until
from linkrouter.secretfile import replace_file

__all__ = ["LIST_HOLDS_S", "MAX_LIST_BYTES", "RETRY_LIST_S", "RiskLists"]

LIST_HOLDS_S = 2 * 3600.0  # since it was last brought up to date; Google asks for every half hour or so
RETRY_LIST_S = 60.0
NEXT_DIFF_S = 1800.0  # where the service does not say
MAX_LIST_BYTES = 64 * 1024**2
MAX_ENTRIES = 2**20
_TIMES = 6  # of the usual time, for megabytes


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list, when it was brought up to date, and when it may be asked for again."""

    prefixes: PrefixList
    updated_at: float
    due_at: float


class RiskLists:
    """The lists of every threat, brought up to date through *client* and kept in the file *path*."""

    def __init__(self, client: RiskClient, path: Path | None, clock: Clock) -> None:
        self._client = client
        self._path = path
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._why = ""
        self._updating: asyncio.Task[None] | None = None
        self._is_loaded = path is None

    async def refresh(self) -> None:
        """Bring up to date what is due, and wait for it where nothing else may be used.

        Raises:
            RiskUnavailable: a list that can stop a mail is missing or too old.
        """
        now = self._clock()
        is_idle = self._updating is None or self._updating.done()
        if is_idle and (not self._is_loaded or any(self._is_due(name, now) for name in THREATS)):
            self._updating = asyncio.create_task(self._update())
        if self._updating is not None and not self._is_usable(now):
            await asyncio.shield(self._updating)
        if not self._is_usable(self._clock()):
            raise RiskUnavailable(self._why or "the lists are too old")

    def matches(self, digests: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """Give the full hashes that may be listed, each with the shortest prefix that says so."""
        found = []
        for digest in digests:
            prefixes = [prefix for kept in self._kept.values() if (prefix := kept.prefixes.find(digest))]
            if prefixes:
                found.append((digest, min(prefixes, key=len)))
        return found

    async def close(self) -> None:
        """Stop an update that is under way."""
        if self._updating is not None:
            self._updating.cancel()
            await asyncio.gather(self._updating, return_exceptions=True)

    def _is_due(self, name: str, now: float) -> bool:
        return name not in self._kept or self._kept[name].due_at <= now

    def _is_usable(self, now: float) -> bool:
        """Whether each list that alone stops a mail is there and fresh."""
        return all(
            name in self._kept and self._kept[name].updated_at + LIST_HOLDS_S > now
            for name, (_, stops) in THREATS.items()
            if stops
        )

    async def _update(self) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            self._kept = await asyncio.to_thread(_load, self._path)
        due = [name for name in THREATS if self._is_due(name, self._clock())]
        await asyncio.gather(*map(self._update_one, due))
        if due and self._path is not None:
            with suppress(OSError):  # then it is fetched again after the next start
                await asyncio.to_thread(_save, self._path, dict(self._kept))

    async def _update_one(self, name: str) -> None:
        before = self._kept.get(name, _Kept(PrefixList(), 0.0, 0.0))
        try:
            try:
                after, wait_s = await self._difference(name, before.prefixes)
            except ValueError:
                after, wait_s = await self._difference(name, PrefixList())
        except (RiskUnavailable, ValueError) as exc:
            self._why = str(exc)
            self._kept[name] = _Kept(before.prefixes, before.updated_at, self._clock() + RETRY_LIST_S)
            return
        now = self._clock()
        self._kept[name] = _Kept(after, now, now + max(RETRY_LIST_S, wait_s))

    async def _difference(self, name: str, known: PrefixList) -> tuple[PrefixList, float]:
        params = {
            "threatType": name,
            "constraints.maxDatabaseEntries": MAX_ENTRIES,
            "constraints.supportedCompressions": "RAW",
        }
        if known.version:
            params["versionToken"] = known.version
        document = await self._client.get("threatLists:computeDiff", params, max_bytes=MAX_LIST_BYTES, times=_TIMES)
        after = await asyncio.to_thread(apply_diff, known, document)
        return after, seconds_until(document.get("recommendedNextDiff"), self._clock(), without=NEXT_DIFF_S)


def _load(path: Path | None) -> dict[str, _Kept]:
    found: dict[str, _Kept] = {}
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        assert path is not None
        digest, _, rows = path.read_bytes().partition(b"\n")
        if digest != _digest(rows):
            return {}
        for name, row in json.loads(rows).items():
            longer = tuple(b64decode(prefix) for prefix in row["longer"])
            prefixes = PrefixList(row["version"], array("I", b64decode(row["short"])), longer)
            found[name] = _Kept(prefixes, float(row["updated_at"]), float(row["due_at"]))
    return found


def _save(path: Path, kept: dict[str, _Kept]) -> None:
    rows = {
        name: {
            "version": each.prefixes.version,
            "short": b64encode(each.prefixes.short.tobytes()).decode("ascii"),
            "longer": [b64encode(prefix).decode("ascii") for prefix in each.prefixes.longer],
            "updated_at": each.updated_at,
            "due_at": each.due_at,
        }
        for name, each in kept.items()
    }
    text = json.dumps(rows).encode("ascii")
    replace_file(path, _digest(text) + b"\n" + text)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode("ascii")

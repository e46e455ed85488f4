"""Sessions: who is signed in to the pages, for how long.

Promise: a session knows the digest of a token, never the token; what it may do is looked up at each request, so that a
revoked token ends all of its sessions at once. Sessions live in memory: a restart signs everybody out.
"""

import hashlib
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Sessions"]

SESSION_IDLE_S = 30 * 60
SESSION_LIFETIME_S = 12 * 60 * 60
MAX_SESSIONS = 10_000
MAX_FAILURES, FAILURES_WITHIN_S = 20, 60


@dataclass(slots=True)
class _Session:
    token: bytes  # its digest
    begun: float
    used: float


class Sessions:
    """All sessions of a process. *clock* gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: dict[bytes, _Session] = {}  # by the digest of the cookie, the last used last
        self._failures: deque[float] = deque()

    def begin(self, token: bytes) -> str:
        """Give the cookie of a new session for the token whose digest is *token*."""
        while self._sessions and (len(self._sessions) >= MAX_SESSIONS or self._is_over(self._longest_idle())):
            del self._sessions[next(iter(self._sessions))]
        cookie, now = secrets.token_urlsafe(32), self._clock()
        self._sessions[_digest_of(cookie)] = _Session(token, now, now)
        return cookie

    def find(self, cookie: str) -> bytes | None:
        """Give the digest of the token that *cookie* was given for; None when the session is over."""
        key = _digest_of(cookie)
        session = self._sessions.pop(key, None)
        if session is None or self._is_over(session):
            return None
        session.used = self._clock()
        self._sessions[key] = session
        return session.token

    def end(self, cookie: str) -> None:
        """End one session."""
        self._sessions.pop(_digest_of(cookie), None)

    def end_all(self, cookie: str) -> None:
        """End every session of the token that *cookie* was given for."""
        session = self._sessions.get(_digest_of(cookie))
        if session is not None:
            self._sessions = {key: one for key, one in self._sessions.items() if one.token != session.token}

    def note_failure(self) -> None:
        """Count a token that was not known."""
        self._failures.append(self._clock())

    def is_held(self) -> bool:
        """Whether so many unknown tokens came of late that no other is looked at for now."""
        while self._failures and self._failures[0] < self._clock() - FAILURES_WITHIN_S:
            self._failures.popleft()
        return len(self._failures) >= MAX_FAILURES

    def _is_over(self, session: _Session) -> bool:
        now = self._clock()
        return now >= session.used + SESSION_IDLE_S or now >= session.begun + SESSION_LIFETIME_S

    def _longest_idle(self) -> _Session:
        return next(iter(self._sessions.values()))


def _digest_of(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()

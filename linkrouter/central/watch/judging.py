"""When a destination is looked at again, what a look makes of it, and which are never looked at.

Promise: pure. An event needs two bad looks in a row at a destination that was fine, or a fine one at a destination that
was not; a look that could not tell counts for nothing. An address that may be good for one use is not looked at.
"""

import re
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote

from linkrouter.central.store.watch import WatchedLink

__all__ = ["BROKEN", "FINE", "FLAGGED", "Look", "is_one_time", "judge_look", "next_look_at"]

FINE, BROKEN, FLAGGED = "fine", "broken", "flagged"
FIRST_LOOKS_H = (1, 6, 24)
DAILY_H = 14 * 24  # for so long after a sending it is looked at daily, then weekly
CONFIRM_H = 1  # after a look that found something bad

# What stands in addresses that confirm, reset or sign in: following one may use it up.
_ONE_TIME_WORDS = re.compile(
    r"reset|passwor[dt]|passcode|confirm|verif(?:y|ic)|activat|validate|magic|one[-_]?time|invit|accept|revoke|delete"
    r"|best[aä]e?tig|freischalt|aktivier|einmal|zur[uü]e?cksetz"
    r"|[?&;][a-z_.-]*(?:token|otp|nonce|jwt|ticket|authcode|signature|session)[a-z_.-]*=",
    re.IGNORECASE,
)
# What nobody has typed or named: an identifier or a secret.
_OPAQUE = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{16,}"
    r"|(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[a-z])(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9_-]{16,}"
    r")(?![A-Za-z0-9_-])"
)


class Look(NamedTuple):
    """What a look found: a verdict of the check with its reason, and how many requests it took.

    `was_fine` says that the check knew it as fine before, as the pre-send check of the mail does.
    """

    verdict: str
    reason: str
    requests: int
    was_fine: bool = False


def is_one_time(url: str, messages: int) -> bool:
    """Whether *url* may be good for one use: it says so, or it was sent in one message and holds what looks secret."""
    path = unquote(url.partition("://")[2].partition("/")[2] or url.partition("?")[2])
    return _ONE_TIME_WORDS.search("?" + path) is not None or (messages == 1 and _OPAQUE.search(path) is not None)


def next_look_at(anchored_at: int, now: int, hour: int) -> int:
    """Give the time of the first look behind *now*; *hour* is how many microseconds count as one."""
    age = now - anchored_at
    for step_h in FIRST_LOOKS_H:
        if age < step_h * hour:
            return anchored_at + step_h * hour
    step = 24 * hour if age < DAILY_H * hour else 7 * 24 * hour
    return anchored_at + (age // step + 1) * step


def judge_look(before: WatchedLink, look: Look, now: int, hour: int) -> tuple[WatchedLink, str | None]:
    """Give what *before* is after *look*, and the event if it makes one: link.broken, .flagged or .recovered."""
    known = FINE if not before.looks and look.was_fine else before.standing
    standing, doubted, event = _judge(known, before.doubted, look.verdict)
    due_at = next_look_at(before.anchored_at, now, hour)
    if doubted and look.verdict in (BROKEN, FLAGGED):
        due_at = min(due_at, now + CONFIRM_H * hour)
    after = replace(
        before,
        standing=standing,
        doubted=doubted,
        verdict=look.verdict,
        reason=look.reason,
        looked_at=now,
        due_at=due_at,
        changed_at=before.changed_at if event is None else now,
    )
    return after, event


def _judge(standing: str, doubted: bool, verdict: str) -> tuple[str, bool, str | None]:
    if verdict == FINE:
        return FINE, False, "link.recovered" if standing in (BROKEN, FLAGGED) else None
    if verdict not in (BROKEN, FLAGGED):
        return standing, doubted, None
    if standing == verdict or standing == "new":  # what was never fine has not changed
        return standing, False, None
    if not doubted:
        return standing, True, None
    return verdict, False, f"link.{verdict}"

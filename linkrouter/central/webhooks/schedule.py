"""What follows from an attempt: when the event is tried again, and how its endpoint does.

Promise: pure. The times are those that Standard Webhooks 1.0 gives as its example, each with a fifth of chance; an
endpoint that takes nothing is asked ever more rarely, and after four days of that not any more.
"""

from collections.abc import Sequence
from typing import NamedTuple

from linkrouter.central.store.webhooks import Health
from linkrouter.retry import Uniform
from linkrouter.units import DAY_S, HOUR_S, SECOND_US

__all__ = ["MAX_ATTEMPTS", "Answer", "health_after", "next_attempt_us"]

RETRIES_S = (5, 5 * 60, 30 * 60, *(hours * HOUR_S for hours in (2, 5, 10, 14, 20, 24)))
MAX_ATTEMPTS = len(RETRIES_S) + 1
CHANCE = 0.2
FIRST_PAUSE_S = 5
LONGEST_PAUSE_S = 300
LONGEST_ASKED_PAUSE_S = HOUR_S  # by Retry-After; an event waits longer where that says so
GIVE_UP_AFTER_S = 4 * DAY_S
GONE_STATUS = 410
SLOW_DOWN = frozenset({429, 502, 503, 504})


class Answer(NamedTuple):
    """What an attempt got: a status, or why there is none in words of ours."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the event was taken; a redirect is none (nobody may send a secret elsewhere)."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_trouble(self) -> bool:
        """Whether the next event would fare no better."""
        return self.status is None or self.status >= 500 or self.status in SLOW_DOWN or self.status == GONE_STATUS


def next_attempt_us(attempts: int, answer: Answer, now_us: int, uniform: Uniform) -> int | None:
    """Give when an event is tried again that was tried *attempts* times; None when that was the last time."""
    if attempts >= MAX_ATTEMPTS:
        return None
    wait_s = RETRIES_S[attempts - 1] * uniform(1 - CHANCE, 1 + CHANCE)
    return now_us + int(max(wait_s, min(answer.retry_after_s or 0.0, DAY_S)) * SECOND_US)


def health_after(health: Health, answers: Sequence[Answer], now_us: int, uniform: Uniform) -> Health:
    """Give how an endpoint does after a round with *answers*."""
    if any(answer.status == GONE_STATUS for answer in answers):
        return Health("disabled", "gone", health.failures + 1, health.failing_since or now_us)
    asked_s = max((answer.retry_after_s or 0.0 for answer in answers if not answer.is_taken), default=0.0)
    pause_s = min(asked_s, LONGEST_ASKED_PAUSE_S)
    if any(answer.is_taken for answer in answers) or not answers:
        return Health(paused_until=now_us + int(pause_s * SECOND_US) if pause_s else 0)
    since = health.failing_since or now_us
    if now_us - since > GIVE_UP_AFTER_S * SECOND_US:
        return Health("disabled", "failing", health.failures + 1, since)
    backoff_s = min(FIRST_PAUSE_S * 2 ** min(health.failures, 10), LONGEST_PAUSE_S) * uniform(1 - CHANCE, 1 + CHANCE)
    paused_until = now_us + int(max(pause_s, backoff_s) * SECOND_US)
    return Health("active", "", health.failures + 1, since, paused_until)

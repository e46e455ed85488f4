"""When an event is tried again, and when an endpoint is not asked any more."""

import pytest

from linkrouter.central.store.webhooks import Health
from linkrouter.central.webhooks.schedule import MAX_ATTEMPTS, Answer, health_after, next_attempt_us
from linkrouter.units import DAY_S, HOUR_S, SECOND_US

NOW = 1_795_262_400_000_000
# Standard Webhooks 1.0: at once, then after these.
WAITS_S = [5, 300, 1800, 2 * HOUR_S, 5 * HOUR_S, 10 * HOUR_S, 14 * HOUR_S, 20 * HOUR_S, 24 * HOUR_S]


def middle(low, high):
    return (low + high) / 2


@pytest.mark.parametrize(("attempts", "wait_s"), list(enumerate(WAITS_S, 1)))
def test_an_event_waits_as_the_standard_says(attempts, wait_s):
    assert next_attempt_us(attempts, Answer(500), NOW, middle) == NOW + wait_s * SECOND_US
    assert next_attempt_us(attempts, Answer(500), NOW, min) == NOW + round(wait_s * 0.8 * SECOND_US)
    assert next_attempt_us(attempts, Answer(500), NOW, max) == NOW + round(wait_s * 1.2 * SECOND_US)


def test_an_event_that_nobody_took_ten_times_is_given_up():
    assert MAX_ATTEMPTS == 10
    assert next_attempt_us(10, Answer(500), NOW, middle) is None


def test_an_event_waits_longer_where_retry_after_says_so_and_never_more_than_a_day():
    assert next_attempt_us(1, Answer(503, retry_after_s=60), NOW, middle) == NOW + 60 * SECOND_US
    assert next_attempt_us(2, Answer(503, retry_after_s=60), NOW, middle) == NOW + 300 * SECOND_US
    assert next_attempt_us(1, Answer(503, retry_after_s=1e9), NOW, middle) == NOW + DAY_S * SECOND_US


def test_an_endpoint_that_takes_nothing_is_asked_ever_more_rarely_and_after_four_days_not_any_more():
    health, at, pauses = Health(), NOW, []
    while health.state == "active":
        health = health_after(health, [Answer(None, "timeout")], at, middle)
        pauses.append((health.paused_until - at) / SECOND_US)
        at = max(health.paused_until, at + 1)

    assert pauses[:8] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert (health.state, health.reason) == ("disabled", "failing")
    assert 4 * DAY_S < (at - NOW) / SECOND_US < 4 * DAY_S + 300


def test_an_endpoint_that_takes_one_event_is_well_again():
    ill = Health("active", "", 7, NOW - DAY_S * SECOND_US, NOW)

    assert health_after(ill, [Answer(500), Answer(204)], NOW, middle) == Health()


def test_an_endpoint_that_says_gone_is_disabled_at_once():
    health = health_after(Health(), [Answer(200), Answer(410)], NOW, middle)

    assert (health.state, health.reason) == ("disabled", "gone")


@pytest.mark.parametrize(
    ("answer", "taken", "trouble"),
    [
        (Answer(200), True, False),
        (Answer(299), True, False),
        (Answer(302), False, False),
        (Answer(400), False, False),
        (Answer(410), False, True),
        (Answer(429), False, True),
        (Answer(500), False, True),
        (Answer(None, "timeout"), False, True),
    ],
)
def test_what_an_answer_says(answer, taken, trouble):
    assert (answer.is_taken, answer.is_trouble) == (taken, trouble)

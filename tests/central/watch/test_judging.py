"""What a look makes of a destination, when the next one is, and which are never looked at."""

from dataclasses import replace

import pytest

from linkrouter.central.store.watch import WatchedLink
from linkrouter.central.watch.judging import Look, is_one_time, judge_look, next_look_at

HOUR = 3_600_000_000
DAY = 24 * HOUR
SENT = 1_795_262_400_000_000

# What the looks find, one after another, and the events that make of it.
ROWS = {
    "fine for ever": ("fine fine fine", ""),
    "one bad look": ("fine broken fine", ""),
    "two bad looks": ("fine broken broken", "link.broken"),
    "bad for ever is told once": ("fine broken broken broken broken", "link.broken"),
    "recovered": ("fine broken broken fine", "link.broken link.recovered"),
    "broken again": (
        "fine broken broken fine broken broken fine",
        "link.broken link.recovered link.broken link.recovered",
    ),
    "one bad look after a recovery": ("fine broken broken fine broken fine", "link.broken link.recovered"),
    "flagged": ("fine flagged flagged", "link.flagged"),
    "broken, then flagged": ("fine broken flagged", "link.flagged"),
    "flagged, then broken": ("fine flagged broken", "link.broken"),
    "from broken to flagged": ("fine broken broken flagged flagged", "link.broken link.flagged"),
    "from broken to flagged and back": ("fine broken broken flagged broken flagged", "link.broken"),
    "from flagged to broken": ("fine flagged flagged broken broken fine", "link.flagged link.broken link.recovered"),
    "never fine": ("broken broken flagged flagged", ""),
    "never fine, then fine": ("broken broken fine", ""),
    "never fine, then fine, then broken": ("broken fine broken broken", "link.broken"),
    "cannot be told": ("fine unverifiable unverifiable unverifiable", ""),
    "cannot be told between": ("fine broken unverifiable broken", "link.broken"),
    "cannot be told, then fine": ("fine broken broken unverifiable fine", "link.broken link.recovered"),
    "malformed and skipped": ("fine malformed malformed skipped skipped", ""),
}


def a_link(**changes):
    return WatchedLink(
        **{"tenant": 0, "url": "u", "anchored_at": SENT, "sent_at": SENT, "messages": 1, "clicks": 0} | changes
    )


@pytest.mark.parametrize("row", ROWS)
def test_two_bad_looks_in_a_row_make_an_event_and_one_fine_look_ends_it(row):
    verdicts, expected = ROWS[row]
    link, events = a_link(), []

    for number, verdict in enumerate(verdicts.split()):
        link, event = judge_look(link, Look(verdict, "not found", 2), SENT + number * HOUR, HOUR)
        events += [event] if event else []

    assert events == expected.split()
    assert (link.verdict, link.reason) == (verdict, "not found")


def test_what_the_check_before_the_sending_found_counts_as_a_fine_look():
    bad = Look("broken", "gone", 2, was_fine=True)
    link, first = judge_look(a_link(), bad, SENT, HOUR)
    _, second = judge_look(replace(link, looks=1), bad, SENT, HOUR)
    later, _ = judge_look(a_link(looks=1), bad, SENT, HOUR)

    assert (first, second, later.doubted) == (None, "link.broken", False)


def test_the_time_of_an_event_is_kept_until_the_next():
    link, _ = judge_look(a_link(standing="fine", doubted=True), Look("broken", "gone", 2), SENT + 5, HOUR)
    later, _ = judge_look(link, Look("broken", "gone", 2), SENT + 6, HOUR)

    assert (link.changed_at, later.changed_at, later.looked_at) == (SENT + 5, SENT + 5, SENT + 6)


def test_looks_come_after_1_6_and_24_hours_then_daily_then_weekly():
    found, now = [], SENT
    for _ in range(20):
        now = next_look_at(SENT, now, HOUR)
        found.append((now - SENT) // HOUR)

    assert found == [1, 6, *range(24, 14 * 24 + 1, 24), 21 * 24, 28 * 24, 35 * 24, 42 * 24]


def test_a_look_that_is_late_is_not_made_up_for():
    assert next_look_at(SENT, SENT + 10 * DAY + HOUR, HOUR) == SENT + 11 * DAY


@pytest.mark.parametrize(
    ("verdict", "before", "hours"),
    [
        ("broken", {"standing": "fine"}, 1),
        ("broken", {"standing": "fine", "doubted": True}, 24),
        ("unverifiable", {"standing": "fine", "doubted": True}, 24),
        ("fine", {"standing": "fine"}, 24),
        ("broken", {"standing": "new"}, 24),
        ("flagged", {"standing": "broken"}, 1),
    ],
)
def test_what_looks_bad_is_looked_at_again_within_the_hour(verdict, before, hours):
    now = SENT + 3 * DAY

    link, _ = judge_look(a_link(**before), Look(verdict, "", 2), now, HOUR)

    assert link.due_at == now + hours * HOUR


@pytest.mark.parametrize(
    ("url", "messages", "expected"),
    [
        ("https://example.com", 1, False),
        ("https://example.com/sale?utm_source=mail&utm_campaign=november-2026", 1, False),
        ("https://example.com/2026/11/how-to-cook-10-eggs-in-24-minutes-or-less", 1, False),
        ("https://example.com/offer?code=SUMMER20", 1, False),
        ("http://127.0.0.1:8080/page", 1, False),
        ("https://app.example.com/login", 1, False),
        ("https://resetera.example/news", 1, False),
        ("https://example.com/reset-password", 9, True),
        ("https://example.com/account/confirm?u=1", 9, True),
        ("https://example.com/konto/best%C3%A4tigen", 9, True),
        ("https://example.com?token=abc", 9, True),
        ("https://example.com/in?a=b&amp;login_token=abc", 9, True),
        ("https://example.com/magic/abc", 9, True),
        ("https://example.com/o/3f2504e0-4f89-11d3-9a0c-0305e82c3301", 1, True),
        ("https://example.com/o/3f2504e0-4f89-11d3-9a0c-0305e82c3301", 2, False),
        ("https://example.com/s/9f86d081884c7d659a2feaa0c55ad015", 1, True),
        ("https://docs.example/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/edit", 1, True),
        ("https://docs.example/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/edit", 2, False),
    ],
)
def test_an_address_that_may_be_good_for_one_use_is_told(url, messages, expected):
    assert is_one_time(url, messages) is expected

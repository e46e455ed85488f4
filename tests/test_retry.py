"""Trying again: what a server may ask for, and how waits grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.retry import find_retry_after, full_jitter

NOW = 1_795_262_400.0  # 2026-11-21T12:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        (" 5 ", 5),
        ("0", 0),
        ("007", 7),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("9" * 9, 999_999_999),
        ("9" * 10, None),
        ("9" * 5000, None),
        ("Sat, 21 Nov 2026 12:01:30 GMT", 90),
        ("Sat, 21 Nov 2026 12:01:30", 90),
        ("Saturday, 21-Nov-26 12:01:30 GMT", 90),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 99 Nov 2026 11:00:00 GMT", None),
        ("Sat, 21 Nov 2026 12:01:30 +9999999999", None),
    ],
)
def test_reads_retry_after(text, seconds):
    assert find_retry_after(text, NOW) == seconds


@given(st.text(max_size=60) | st.text("0123456789:,+- GMTSatNov", max_size=40))
def test_no_retry_after_breaks_it(text):
    seconds = find_retry_after(text, NOW)

    assert seconds is None or 0 <= seconds < 1e12


def test_waits_double_from_the_first_to_the_longest():
    waits = [full_jitter(failures, 1.0, 60.0, lambda _, most: most) for failures in (0, 1, 2, 3, 6, 7, 10_000)]

    assert waits == [1, 1, 2, 4, 32, 60, 60]


def test_any_shorter_wait_is_as_likely():
    drawn = []

    full_jitter(3, 1.0, 60.0, lambda least, most: drawn.append((least, most)) or 0.0)

    assert drawn == [(0, 4)]

"""What sync says, and how it understands answers."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.clicks.store import Loss
from linkrouter.sync.format import MAX_RETRY_AFTER_S, read_answer, write_batch

NOW = 1_795_262_400.0  # 2026-11-21T12:00:00Z


def test_writes_records_as_they_are_and_names_the_router():
    body = gzip.decompress(b"".join(write_batch("ams-1", [b'{"id":"a"}', b'{"id":"b"}'])))

    assert body == b'{"router":"ams-1","clicks":[{"id":"a"},{"id":"b"}]}'


def test_writes_losses_beside_the_clicks():
    loss = Loss("x", "queue_full", 3, since=1_795_262_400_000_000, until=1_795_262_400_000_001)

    assert json.loads(gzip.decompress(b"".join(write_batch("ams-1", [], [loss])))) == {
        "router": "ams-1",
        "clicks": [],
        "losses": [
            {
                "id": "x",
                "reason": "queue_full",
                "count": 3,
                "since": "2026-11-21T12:00:00.000000Z",
                "until": "2026-11-21T12:00:00.000001Z",
            }
        ],
    }


@pytest.mark.parametrize(
    ("body", "stored", "duplicates"),
    [
        (b'{"stored":3,"duplicates":0}', 3, 0),
        (b'{"stored":0,"duplicates":3}', 0, 3),
        (b' {"duplicates": 1, "stored": 2, "more": true}', 2, 1),
    ],
)
def test_a_receipt_for_every_click_takes_the_batch(body, stored, duplicates):
    answer = read_answer(200, None, body, 3, NOW)

    assert (answer.outcome, answer.stored, answer.duplicates) == ("taken", stored, duplicates)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"null",
        b"[]",
        b"{}",
        b"3",
        b"<html>Welcome to the hotel</html>",
        b'{"stored":3}',
        b'{"stored":"3","duplicates":0}',
        b'{"stored":3.0,"duplicates":0}',
        b'{"stored":true,"duplicates":2}',
        b'{"stored":2,"duplicates":0}',
        b'{"stored":3,"duplicates":1}',
        b'{"stored":4,"duplicates":-1}',
        b'{"stored":3,"duplicates":0',
        b'\xff\xfe{"stored":3,"duplicates":0}',
        b"[" * 100_000,
    ],
)
def test_any_other_body_takes_nothing(body):
    assert read_answer(200, None, body, 3, NOW).outcome == "failed"


@given(st.integers(100, 599).filter(lambda status: status != 200), st.binary(max_size=50))
def test_no_other_status_takes_a_batch(status, body):
    assert read_answer(status, None, body, 0, NOW).outcome != "taken"


@given(st.binary(max_size=200), st.integers(0, 1000))
def test_no_body_breaks_it(body, sent):
    read_answer(200, None, body, sent, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 0), ("soon", 0), ("120", 120), ("Sat, 21 Nov 2026 12:01:30 GMT", 90), ("9" * 9, MAX_RETRY_AFTER_S)],
)
def test_waits_as_long_as_it_is_asked_to_but_not_for_days(text, seconds):
    assert read_answer(503, text, b"", 3, NOW).retry_after_s == seconds

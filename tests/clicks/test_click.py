"""The click as it is written down, and its identity."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.clicks.click import Click, iso_utc, mint_click_ids, write_click


@given(
    agent=st.none() | st.text(max_size=200),
    ip=st.none() | st.ip_addresses().map(str),
    clicked_at=st.integers(0, 4_000_000_000_000_000),
    kind=st.sampled_from(["click", "head", "prefetch"]),
)
def test_is_written_as_the_json_the_ingest_api_takes(agent, ip, clicked_at, kind):
    click = Click("0193a5c4-1", "-----w", 7, "text", clicked_at, ip, agent, kind)

    written = write_click(click)

    assert written.isascii()
    assert b"\n" not in written
    read = json.loads(written)
    moment = datetime.datetime.fromisoformat(read.pop("clicked_at"))
    assert moment == datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=clicked_at)
    assert read == {
        "id": "0193a5c4-1",
        "link_id": "-----w",
        "tenant": 7,
        "part": "text",
        "ip": ip,
        "user_agent": agent,
        "kind": kind,
    }


def test_names_the_rule_only_of_a_click_that_has_one():
    plain = Click("0193a5c4-1", "-----w", 7, "text", 1, None, None, "click")
    turned = plain._replace(takeback="AgICAgICAgICAgICAgICAg")

    assert json.loads(write_click(turned)) == json.loads(write_click(plain)) | {"takeback": "AgICAgICAgICAgICAgICAg"}


def test_a_click_does_not_show_what_it_knows():
    click = Click("0193a5c4-1", "-----w", 7, "text", 1, "192.0.2.77", "Agent/77", "click")

    assert repr(click) == "<Click click text tenant=7>"


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_795_541_618_123_456, "2026-11-24T17:33:38.123456Z"),
        (999_999, "1970-01-01T00:00:00.999999Z"),
    ],
)
def test_writes_times_as_rfc_3339(time_us, text):
    assert iso_utc(time_us) == text


@given(times=st.lists(st.integers(1, 2**50), min_size=2, max_size=50))
def test_ids_are_fresh_whatever_the_clock_does(times):
    mint = mint_click_ids(b"12345678")

    ids = [mint(time_us) for time_us in times]

    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_ids_are_uuids_of_version_7():
    import uuid

    minted = uuid.UUID(mint_click_ids(b"\xff" * 8)(1_795_541_618_123_456))

    assert minted.version == 7
    assert minted.variant == uuid.RFC_4122
    assert minted.int >> 80 == 1_795_541_618_123


def test_ids_are_fresh_when_the_clock_stands_still():
    mint = mint_click_ids(b"12345678")

    ids = [mint(1_795_541_618_123_456) for _ in range(200_000)]

    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert {len(minted) for minted in ids} == {36}


def test_two_processes_mint_different_ids():
    assert mint_click_ids(b"12345678")(5) != mint_click_ids(b"12345679")(5)

"""Frames are found wherever their bytes are, and nothing else is."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.clicks.click import MAX_USER_AGENT_BYTES, Click, write_click
from linkrouter.clicks.spool.frame import MAX_RECORD_BYTES, SCAN_BYTES, frame, read_frame, scan_file
from linkrouter.errors import DamagedFrame

clicks = st.builds(
    Click,
    st.text(max_size=36),
    st.just("-----w"),
    st.integers(0, 2**32 - 1),
    st.sampled_from(("html", "text")),
    st.integers(0, 2**52),
    st.none() | st.just("2001:db8::1"),
    st.none() | st.text(max_size=40),
    st.sampled_from(("click", "head", "prefetch")),
    st.none() | st.just("AAECAwQFBgcICQoLDA0ODw"),
)
seqs = st.integers(1, 2**40 - 1)


@given(seqs, clicks)
def test_reads_back_what_was_framed(seq, click):
    assert read_frame(seq, frame(seq, write_click(click))) == write_click(click)


@given(seqs, clicks, st.data())
def test_refuses_a_frame_with_any_byte_changed(seq, click, data):
    framed = bytearray(frame(seq, write_click(click)))
    at = data.draw(st.integers(0, len(framed) - 1))
    framed[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(DamagedFrame):
        read_frame(seq, bytes(framed))


@given(seqs, seqs, clicks)
def test_refuses_a_frame_under_another_number(seq, other, click):
    if seq != other:
        with pytest.raises(DamagedFrame):
            read_frame(other, frame(seq, write_click(click)))


@given(st.lists(clicks, max_size=20), st.binary(max_size=200), st.integers(0, 5000))
def test_finds_every_frame_between_any_other_bytes(tmp_path_factory, found, noise, lead):
    path = tmp_path_factory.mktemp("scan") / "file"
    records = dict(enumerate(map(write_click, found), 1))
    path.write_bytes(bytes(lead) + noise + b"".join(frame(seq, record) + noise for seq, record in records.items()))

    assert dict(scan_file(path)) == records


def test_finds_a_frame_across_every_piece_it_reads(tmp_path):
    record = write_click(Click("id", "-----w", 0, "html", 0, None, "x" * 400, "click"))
    count = 3 * SCAN_BYTES // len(record)
    path = tmp_path / "file"
    path.write_bytes(b"".join(frame(seq, record) for seq in range(1, count + 1)))

    assert {seq for seq, _ in scan_file(path)} == set(range(1, count + 1))


@given(seqs, clicks, seqs)
def test_takes_no_user_agent_for_a_frame(tmp_path_factory, seq, click, forged_seq):
    forged = frame(forged_seq, write_click(click)).decode("ascii")
    path = tmp_path_factory.mktemp("scan") / "file"
    record = write_click(click._replace(user_agent=forged))
    path.write_bytes(frame(seq, record) if len(record) <= MAX_RECORD_BYTES else b"")

    assert [found for found, _ in scan_file(path)] in ([seq], [])


def test_the_longest_click_fits_into_a_page():
    agent = "\x7f\udc80" * (MAX_USER_AGENT_BYTES // 2)
    click = Click(
        "f" * 128, "A" * 22, 2**32 - 1, "html", 2**52, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", agent, "prefetch"
    )

    assert len(write_click(click)) <= MAX_RECORD_BYTES


def test_a_missing_file_has_no_frames(tmp_path):
    assert list(scan_file(tmp_path / "gone")) == []


def test_a_file_that_may_not_be_read_is_not_mistaken_for_an_empty_one(tmp_path):
    os.symlink("loop", tmp_path / "loop")

    with pytest.raises(OSError, match="symbolic"):
        list(scan_file(tmp_path / "loop"))

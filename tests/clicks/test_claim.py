"""One owner at a time, and a note that is believed only when it is whole."""

import os

from hypothesis import given
from hypothesis import strategies as st

from linkrouter.clicks.spool.claim import NOTE_BYTES, Note, claim, read_note, segment_names

NAME = "0" * 16 + "-" + "0" * 8
OTHER = "1" * 16 + "-" + "0" * 8
notes = st.builds(Note, st.integers(0, 2**40 - 1), st.integers(0, 2**40 - 1), st.integers(0, 2**63 - 1))


def read(path, content: bytes, name: str = NAME) -> Note | None:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_note(descriptor, name)
    finally:
        os.close(descriptor)


@given(notes)
def test_reads_back_what_was_noted(tmp_path_factory, note):
    line = note.line(NAME)

    assert len(line) == NOTE_BYTES
    assert read(tmp_path_factory.getbasetemp() / "note", line) == note


@given(notes)
def test_believes_no_note_of_another_segment(tmp_path_factory, note):
    assert read(tmp_path_factory.getbasetemp() / "note", note.line(NAME), OTHER) is None


@given(notes, st.integers(0, NOTE_BYTES - 1), st.integers(1, 255))
def test_believes_no_note_with_a_byte_changed(tmp_path_factory, note, at, change):
    line = bytearray(note.line(NAME))
    line[at] ^= change

    assert read(tmp_path_factory.getbasetemp() / "note", bytes(line)) is None


@given(st.binary(max_size=NOTE_BYTES + 5))
def test_no_bytes_break_it(tmp_path_factory, content):
    read(tmp_path_factory.getbasetemp() / "note", content)


def test_a_segment_has_one_owner_until_it_is_let_go(tmp_path):
    first = claim(tmp_path, NAME)
    assert claim(tmp_path, NAME) is None

    first.write_note(committed=7)
    first.release()
    second = claim(tmp_path, NAME)

    assert second.note == Note(committed=7)
    second.release()


def test_lists_segments_newest_first_and_nothing_else(tmp_path):
    for name in (f"{NAME}.db", f"{NAME}.lock", f"{OTHER}.db-wal", "notes.txt", f"{NAME}.db.bak", f"x{NAME}.db"):
        (tmp_path / name).touch()

    assert segment_names(tmp_path) == [OTHER, NAME]

"""One owner at a time, and a checkpoint that is believed only when it is whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from hypothesis import given
from hypothesis import strategies as st

from linkrouter.clicks.spool.claim import CHECKPOINT_BYTES, Checkpoint, claim, read_checkpoint, segment_names

NAME = "0" * 16 + "-" + "0" * 8
OTHER = "1" * 16 + "-" + "0" * 8
checkpoints = st.builds(Checkpoint, st.integers(0, 2**40 - 1), st.integers(0, 2**40 - 1), st.integers(0, 2**63 - 1))


def read(path, content: bytes, name: str = NAME) -> Checkpoint | None:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_checkpoint(descriptor, name)
    finally:
        os.close(descriptor)


@given(checkpoints)
def test_reads_back_what_was_written(tmp_path_factory, checkpoint):
    line = checkpoint.line(NAME)

    assert len(line) == CHECKPOINT_BYTES
    assert read(tmp_path_factory.getbasetemp() / "checkpoint", line) == checkpoint


@given(checkpoints)
def test_believes_no_note_of_another_segment(tmp_path_factory, checkpoint):
    assert read(tmp_path_factory.getbasetemp() / "checkpoint", checkpoint.line(NAME), OTHER) is None


@given(checkpoints, st.integers(0, CHECKPOINT_BYTES - 1), st.integers(1, 255))
def test_believes_no_note_with_a_byte_changed(tmp_path_factory, checkpoint, at, change):
    line = bytearray(checkpoint.line(NAME))
    line[at] ^= change

    assert read(tmp_path_factory.getbasetemp() / "checkpoint", bytes(line)) is None


@given(st.binary(max_size=CHECKPOINT_BYTES + 5))
def test_no_bytes_break_it(tmp_path_factory, content):
    read(tmp_path_factory.getbasetemp() / "checkpoint", content)


def test_a_segment_has_one_owner_until_it_is_let_go(tmp_path):
    first = claim(tmp_path, NAME)
    assert claim(tmp_path, NAME) is None

    first.write_checkpoint(committed=7)
    first.release()
    second = claim(tmp_path, NAME)

    assert second.checkpoint == Checkpoint(committed=7)
    second.release()


def test_two_threads_that_let_go_at_once_close_one_file(tmp_path):
    together = Barrier(4)

    def let_go(owned):
        together.wait()
        owned.release()

    with ThreadPoolExecutor(4) as threads:
        for _ in range(300):
            for done in [threads.submit(let_go, owned) for owned in [claim(tmp_path, NAME)] * 4]:
                done.result()  # a second close fails, or closes another's file

    last = claim(tmp_path, NAME)
    assert last is not None
    last.release()


def test_lists_segments_newest_first_and_nothing_else(tmp_path):
    for name in (f"{NAME}.db", f"{NAME}.lock", f"{OTHER}.db-wal", "checkpoints.txt", f"{NAME}.db.bak", f"x{NAME}.db"):
        (tmp_path / name).touch()

    assert segment_names(tmp_path) == [OTHER, NAME]

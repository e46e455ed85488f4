"""The frame: how one click lies on disk, so that it can be found and checked without asking a database.

Promise: a click that was written is recognised wherever its bytes still are, and bytes that changed are never taken for
a click. SQLite alone does not give that: it silently ignores everything in a write-ahead log behind one bad word, and
hands out a row whose bytes have changed.

A frame is 22 characters of lower-case hexadecimal, then the record: CRC-32 of the record started from its sequence
number (8), length of the record in bytes (4), sequence number within the segment from 1 (10).
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from linkrouter.errors import DamagedFrame

__all__ = ["MAX_RECORD_BYTES", "frame", "read_frame", "scan_file"]

HEADER_BYTES = 22
# A row within one page of 4,096 bytes is never split; SQLite allows 4,061 for its cell, less its header and ours.
MAX_RECORD_BYTES = 4000
# How every record starts. In JSON it cannot stand inside a string, so no user agent can be mistaken for a frame.
RECORD_START = b'{"id":"'
SCAN_BYTES = 64 * 1024
SCAN_PAUSE_S = 0.001  # after each: on a shared core a thread would run on for a slice of milliseconds
BAD_BLOCK_BYTES = 4096  # what a scan steps over when the disk cannot read it


_never = threading.Event()


def frame(seq: int, record: bytes) -> bytes:
    """Wrap *record*, the JSON of a click, as number *seq* of its segment."""
    assert len(record) <= MAX_RECORD_BYTES, "a click is longer than a page: agent and id must be cut before"
    return b"%08x%04x%010x%b" % (crc32(record, seq), len(record), seq, record)


def read_frame(seq: int, framed: bytes) -> bytes:
    """Give the record of a row.

    Raises:
        DamagedFrame: it is not the record that was written as number *seq*.
    """
    record = framed[HEADER_BYTES:]
    if framed[:HEADER_BYTES] != b"%08x%04x%010x" % (crc32(record, seq), len(record), seq):
        raise DamagedFrame(f"row {seq} of a segment is damaged")
    return record


def scan_file(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield sequence number and record of every intact frame in the bytes of *path*, in no order, some twice.

    A missing file has none; blocks that cannot be read are stepped over. Blocks and sleeps: meant for a thread.

    Raises:
        OSError: the file is there but may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        for piece in _pieces(descriptor, os.fstat(descriptor).st_size):
            yield from _frames(piece)
            _never.wait(SCAN_PAUSE_S)  # time.sleep raises under libfaketime, whose clock the tests step
    finally:
        os.close(descriptor)


def _pieces(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield the file in pieces that overlap by a frame, so that each frame is whole in one of them."""
    offset, kept = 0, b""
    while offset < size:
        try:
            piece = os.pread(descriptor, SCAN_BYTES if kept else BAD_BLOCK_BYTES, offset)
        except OSError:
            offset, kept = offset + BAD_BLOCK_BYTES, b""
            continue
        if not piece:
            return
        offset += len(piece)
        yield kept + piece
        kept = (kept + piece)[-(MAX_RECORD_BYTES + HEADER_BYTES) :]


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = data.find(RECORD_START)
    while at >= 0:
        header = data[max(at - HEADER_BYTES, 0) : at]
        try:
            seq, length = int(header[12:], 16), int(header[8:12], 16)
            record = data[at : at + length]
            if header == b"%08x%04x%010x" % (crc32(record, seq), len(record), seq):
                yield seq, record
        except (ValueError, OverflowError):
            pass
        at = data.find(RECORD_START, at + 1)

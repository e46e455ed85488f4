"""The group: how the clicks of one turn of the loop lie in a ring, so that they can be found and checked. Pure.

Promise: a group that was written whole is recognised wherever its bytes are, and bytes that changed, are torn or come
from an earlier lap are never taken for one that is due.

A group begins at a multiple of 16: CRC-32 of the rest (4 bytes), length of the payload (4), number of its first click
(8), then the payload, which is the records with a line feed between them (a record is ASCII JSON and has none). What
does not fit before the end of the ring starts over at its beginning; a group of length `SKIP` says so.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple
from zlib import crc32

__all__ = ["ALIGNMENT", "GROUP_HEADER", "ClickGroup", "find_group", "pack_group", "pack_skip", "read_group"]

ALIGNMENT = 16  # so that a header always fits before the end
GROUP_HEADER = Struct("<IIQ")
REST = Struct("<IQ")
SKIP = 0xFFFFFFFF


class ClickGroup(NamedTuple):
    """Clicks that were written together; `first` is the number of the first one, from 0, and `end` where they end."""

    first: int
    records: Sequence[bytes]
    end: int  # in the ring's data, a multiple of `ALIGNMENT`


def pack_group(first: int, records: Sequence[bytes]) -> bytes:
    """Give the bytes of a group of *records*, of which number *first* is the first."""
    payload = b"\n".join(records)
    length = len(payload)
    check = crc32(payload, crc32(REST.pack(length, first)))
    return GROUP_HEADER.pack(check, length, first) + payload + bytes(-length % ALIGNMENT)


def pack_skip(first: int) -> bytes:
    """Give the mark that the rest of the lap is empty."""
    return GROUP_HEADER.pack(crc32(REST.pack(SKIP, first)), SKIP, first)


def read_group(data: "memoryview[int]", at: int) -> ClickGroup | None:
    """Give the group that begins at *at*, or None when there is no whole one. A skip is a group without records."""
    check, length, first = GROUP_HEADER.unpack_from(data, at)
    if length == SKIP:
        return ClickGroup(first, (), len(data)) if check == crc32(REST.pack(SKIP, first)) else None
    start = at + GROUP_HEADER.size
    if not 0 < length <= len(data) - start:
        return None
    payload = bytes(data[start : start + length])
    if check != crc32(payload, crc32(REST.pack(length, first))):
        return None
    return ClickGroup(first, payload.split(b"\n"), start + length + -length % ALIGNMENT)


def find_group(data: "memoryview[int]", at: int, until: int, due: int) -> tuple[int, ClickGroup] | None:
    """Give the first whole group from *at* on whose number is not below *due*, and where it begins."""
    for place in range(at, until, ALIGNMENT):
        group = read_group(data, place)
        if group is not None and group.first >= due:
            return place, group
    return None

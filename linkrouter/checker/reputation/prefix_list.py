"""A list of hash prefixes, as Web Risk's `threatLists:computeDiff` keeps it up to date.

Promise: pure. What a difference makes of a list is checked against the checksum that came with it; a list that would be
another than Google's is not made at all. A million prefixes take four megabytes.
"""

import hashlib
import sys
from array import array
from base64 import b64decode
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PrefixList", "apply_diff"]

_SHORT = 4  # octets of nearly every prefix
_SIZES = range(_SHORT, 33)


@dataclass(frozen=True, slots=True)
class PrefixList:
    """Prefixes of 4 octets as numbers, longer ones as they are; both sorted. *version* is for the next difference."""

    version: str = ""
    short: "array[int]" = field(default_factory=lambda: array("I"), repr=False)
    longer: tuple[bytes, ...] = field(default=(), repr=False)

    def find(self, digest: bytes) -> bytes | None:
        """Give the prefix in the list that *digest* begins with, the shortest one, or None."""
        number = int.from_bytes(digest[:_SHORT], "big")
        place = bisect_left(self.short, number)
        if place < len(self.short) and self.short[place] == number:
            return digest[:_SHORT]
        return next((prefix for prefix in self.longer if digest.startswith(prefix)), None) if self.longer else None

    def __iter__(self) -> Iterator[bytes]:
        """Give every prefix, in no particular order."""
        packed = array("I", self.short)
        if sys.byteorder == "little":
            packed.byteswap()
        octets = packed.tobytes()
        yield from (octets[at : at + _SHORT] for at in range(0, len(octets), _SHORT))
        yield from self.longer


def apply_diff(known: PrefixList, document: Any) -> PrefixList:
    """Give *known* after the difference *document*.

    Raises:
        ValueError: it is none that is documented, or the result has another checksum.
    """
    try:
        is_reset = {"RESET": True, "DIFF": False}[document["responseType"]]
        prefixes = [] if is_reset else sorted(known)
        removed = set(document.get("removals", {}).get("rawIndices", {}).get("indices", ()))
        if removed:
            prefixes = [prefix for number, prefix in enumerate(prefixes) if number not in removed]
        prefixes += _additions(document.get("additions", {}))
        prefixes.sort()
        checksum = b64decode(document["checksum"]["sha256"], validate=True)
        version = document["newVersionToken"]
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError("not an answer of threatLists:computeDiff") from exc
    if not isinstance(version, str) or hashlib.sha256(b"".join(prefixes)).digest() != checksum:
        raise ValueError("the list has another checksum than it should")
    return _made(version, prefixes)


def _additions(additions: Any) -> Iterator[bytes]:
    if "riceHashes" in additions:
        raise ValueError("a compressed list, which nobody asked for")
    for entry in additions.get("rawHashes", ()):
        size, octets = entry["prefixSize"], b64decode(entry.get("rawHashes", ""), validate=True)
        if size not in _SIZES or len(octets) % size:
            raise ValueError("prefixes of an odd size")
        yield from (octets[at : at + size] for at in range(0, len(octets), size))


def _made(version: str, prefixes: Iterable[bytes]) -> PrefixList:
    short = array("I")
    longer = []
    octets = bytearray()
    for prefix in prefixes:
        if len(prefix) == _SHORT:
            octets += prefix
        else:
            longer.append(prefix)
    short.frombytes(bytes(octets))
    if sys.byteorder == "little":
        short.byteswap()
    return PrefixList(version, short, tuple(longer))

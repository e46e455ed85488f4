"""Bodies that come packed although nobody asked for it.

Promise: a bomb costs what was asked for, and a body cut short gives what can be read of it.
"""

import zlib
from dataclasses import replace

from linkrouter.checker.fetch.classify import HttpAnswer

__all__ = ["unpacked"]

_WINDOW = {"gzip": 47, "x-gzip": 47, "deflate": 15}  # 47: gzip or zlib


def unpacked(answer: HttpAnswer, max_bytes: int) -> HttpAnswer:
    """Give *answer* with the first *max_bytes* of its body as a browser would read it."""
    window = _WINDOW.get(answer.headers.get("content-encoding", "").strip().lower())
    if window is None or not answer.body:
        return answer
    try:
        body = zlib.decompressobj(window).decompress(answer.body, max_bytes)
    except zlib.error:
        return answer
    return replace(answer, body=body)

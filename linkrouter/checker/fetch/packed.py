"""Bodies that come packed although nobody asked for it.

Promise: a bomb costs `MAX_PAGE_BYTES`, and a body cut short gives what can be read of it.
"""

import zlib
from dataclasses import replace

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.fetch.http1 import MAX_PAGE_BYTES

__all__ = ["unpacked"]

_WINDOW = {"gzip": 47, "x-gzip": 47, "deflate": 15}  # 47: gzip or zlib


def unpacked(answer: HttpAnswer) -> HttpAnswer:
    """Give *answer* with its body as a browser would read it."""
    window = _WINDOW.get(answer.headers.get("content-encoding", "").strip().lower())
    if window is None or not answer.body:
        return answer
    try:
        body = zlib.decompressobj(window).decompress(answer.body, MAX_PAGE_BYTES)
    except zlib.error:
        return answer
    return replace(answer, body=body)

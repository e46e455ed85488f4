"""A large mail is read by a process of its own.

Promise: reading never holds up the event loop, since one search in 10 MB keeps the whole interpreter busy; what it
took of memory is gone with the process, and one that takes too long is ended.
"""

import asyncio
import binascii
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple
from typing import IO, Any, NamedTuple

from linkrouter.checker.mail.content import ContentType
from linkrouter.checker.mail.extract import LinkToCheck, extract
from linkrouter.checker.verdict import LinkPlace

__all__ = ["READING_TIMEOUT_S", "SMALL_CHARS", "ToRead", "read_apart", "read_here"]

SMALL_CHARS = 64 * 1024  # reading it takes no longer than starting a process
READING_TIMEOUT_S = 30.0
_PLACES_A_LINE = 300  # taken in between two turns of the event loop
_NICE = 10  # whoever answers requests goes first


class ToRead(NamedTuple):
    """What is to be read: text, or a message in base64."""

    kind: ContentType
    content: str
    local: bool
    images: bool
    max_bytes: int
    max_links: int

    def __repr__(self) -> str:
        return f"<ToRead {self.kind}, {len(self.content)} characters>"


def read_here(to_read: ToRead) -> tuple[LinkToCheck, ...] | None:
    """Give the links, or None when a message is no base64 or too large."""
    content: str | bytes = to_read.content
    if to_read.kind == "message":
        try:
            content = binascii.a2b_base64(to_read.content, strict_mode=True)
        except ValueError:
            return None
        if len(content) > to_read.max_bytes:
            return None
    options: dict[str, Any] = {"local": to_read.local, "images": to_read.images, "max_links": to_read.max_links}
    return extract(content, to_read.kind, **options)


async def read_apart(to_read: ToRead) -> tuple[LinkToCheck, ...] | None:
    """Do what `read_here` does, beside the event loop.

    Raises:
        OSError: no process can be started, or it ended before its work; a TimeoutError when that took too long.
    """
    if len(to_read.content) <= SMALL_CHARS:
        return await asyncio.to_thread(read_here, to_read)
    started: list[subprocess.Popen[bytes]] = []
    try:
        written = await asyncio.to_thread(_ask_a_process, to_read, started)
    except asyncio.CancelledError:  # nobody waits for it any more, and the thread would hold up our own end
        for process in started:
            process.kill()
        raise
    links: list[LinkToCheck] = []
    start = 0
    while (end := written.find(b"\n", start)) >= 0:
        batch = json.loads(memoryview(written)[start:end].tobytes())
        if batch is None:
            return None
        links += map(_link, batch)
        start = end + 1
        await asyncio.sleep(0)
    return tuple(links)


def _ask_a_process(to_read: ToRead, started: "list[subprocess.Popen[bytes]]") -> bytes:
    # Files in memory, because a pipe would have to be served; and Popen, because it forks without copying.
    with _memory_file() as given, _memory_file() as answer:
        given.write(json.dumps(to_read._replace(content="")).encode() + b"\n")
        given.write(to_read.content.encode("utf-8", "surrogatepass"))
        given.flush()
        given.seek(0)
        command = [sys.executable, "-P", "-m", __name__]
        process = subprocess.Popen(command, stdin=given, stdout=answer, stderr=subprocess.DEVNULL)  # noqa: S603
        started.append(process)
        try:
            code = process.wait(READING_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise TimeoutError("reading took too long") from None
        finally:
            process.kill()
            process.wait()
        if code:
            raise OSError("the process that reads a mail has ended before its work")
        answer.seek(0)
        return answer.read()


def _memory_file() -> IO[bytes]:
    return os.fdopen(os.memfd_create("mail"), "r+b")


def _link(row: list[Any]) -> LinkToCheck:
    url, key, settled, places, is_image = row
    places = tuple(LinkPlace(*place) for place in places)
    return LinkToCheck(url, key, tuple(settled) if settled else None, places, is_image)


def _batches(links: tuple[LinkToCheck, ...]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    places = 0
    for link in links:
        batch.append(astuple(link))
        places += len(link.places)
        if places >= _PLACES_A_LINE:
            yield batch
            batch, places = [], 0
    yield batch


def _main() -> None:
    with suppress(OSError):  # a unit may forbid it
        os.nice(_NICE)
    head, _, content = sys.stdin.buffer.read().partition(b"\n")
    links = read_here(ToRead(*json.loads(head))._replace(content=content.decode("utf-8", "surrogatepass")))
    for batch in [None] if links is None else _batches(links):
        sys.stdout.buffer.write(json.dumps(batch).encode() + b"\n")


if __name__ == "__main__":
    _main()

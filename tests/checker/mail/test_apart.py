"""Reading a large mail beside the event loop."""

import asyncio
import base64
import time

import pytest
from processes import HANG_S, room

from linkrouter.checker.mail.apart import SMALL_CHARS, ToRead, read_apart, read_here

PAGE = '<p>{}<a href="https://a.example/{}?ä">see <b>this</b></a><img src="https://i.example/{}.png"></p>\n'


def to_read(kind, content, **options):
    return ToRead(kind, content, False, True, 1024**2 * 11, 10_000)._replace(**options)


def large(links=700, filling=200):
    return "".join(PAGE.format("x" * filling, number, number) for number in range(links))


@pytest.mark.parametrize("kind", ["html", "text", "message", "markdown", "mjml", "feed"])
async def test_a_process_of_its_own_reads_the_same(kind):
    content = large() + "\ud800 {{tag}}"
    if kind == "message":
        raw = b"Content-Type: text/html; charset=utf-8\r\n\r\n" + large().encode()
        content = base64.b64encode(raw).decode()
    asked = to_read(kind, content)

    assert len(asked.content) > SMALL_CHARS
    assert await read_apart(asked) == read_here(asked)
    assert await read_apart(asked)


async def test_what_is_no_base64_or_too_large_is_none():
    assert await read_apart(to_read("message", "!" * 100_000)) is None
    assert await read_apart(to_read("message", base64.b64encode(b"x" * 100_000).decode(), max_bytes=99_999)) is None
    assert await read_apart(to_read("message", "=")) is None


async def test_reading_ends_one_link_beyond_the_limit():
    assert len(await read_apart(to_read("html", large(), max_links=100))) == 101


async def test_a_link_has_a_few_places_and_no_more():
    [link] = await read_apart(to_read("html", '<a href="https://a.example/">x</a>\n' * 5_000))

    assert len(link.places) == 20


async def test_a_process_that_cannot_work_is_an_error(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")

    with pytest.raises(OSError, match="has ended before its work"):
        await read_apart(to_read("html", large()))


async def test_reading_ends_when_nobody_waits_for_it_any_more(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reading = asyncio.create_task(read_apart(to_read("html", large())))
    await asyncio.sleep(0.5)
    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    async with asyncio.timeout(HANG_S):
        await asyncio.get_running_loop().shutdown_default_executor()


@pytest.mark.slow
async def test_the_event_loop_goes_on_while_large_mails_are_read():
    raw = b"Content-Type: text/html\r\n\r\n" + large(9_000, 1_000).encode()
    asked = to_read("message", base64.b64encode(raw).decode())
    longest, done = 0.0, asyncio.Event()

    async def watch():
        nonlocal longest
        while not done.is_set():
            before = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - before)

    watching = asyncio.create_task(watch())
    started = time.monotonic()
    found = await asyncio.gather(read_apart(asked), read_apart(asked))
    took = time.monotonic() - started
    done.set()
    await watching

    assert [len(links) for links in found] == [10_001, 10_001]
    assert longest < took / 5
    assert longest < 0.5 * room()  # 20 to 35 ms on a machine with nothing else to do

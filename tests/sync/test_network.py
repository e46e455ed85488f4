"""Sync over real sockets: connections that are cut, held, dripped into and answered with rubbish."""

import asyncio
import contextlib

import httpx
import pytest
from aiohttp import web

from linkrouter.clicks import StoreLimits
from linkrouter.clicks.click import write_click
from linkrouter.clicks.memory import open_memory
from linkrouter.metrics import Metrics
from linkrouter.sync import Sync, open_client
from linkrouter.sync.delivery import CONNECT_S, POST_TIMEOUT_S

DEADLINE_S = 120.0  # for a test as a whole, on a machine that is busy with others


async def cut_at_once(_, writer):
    writer.transport.abort()


async def cut_in_the_answer(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + b'{"stored":5,')
    writer.transport.close()


async def hold(reader, _):
    await reader.read()


async def drip(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def answer_rubbish(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(bytes(range(256)) * 20)
    writer.transport.close()


async def answer_forever(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
        await writer.drain()


async def claim_to_be_packed(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxxx")
    writer.transport.close()


@contextlib.asynccontextmanager
async def serving(handle):
    """Serve *handle* on a port of its own and give the address; its connections end with it."""
    open_tasks = set()

    async def guarded(reader, writer):
        open_tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handle(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/clicks"
    finally:
        server.close()
        for task in open_tasks:
            task.cancel()
        await asyncio.gather(*open_tasks, return_exceptions=True)


async def send(url, clicks, *, attempts=2, timeout_s=0.3):
    """Let sync try *attempts* times, and give what still waits and what it counted."""
    store, metrics = open_memory("memory:", StoreLimits()), Metrics()
    await store.append([write_click(click) for click in clicks])
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        if len(waits) == attempts:
            raise asyncio.CancelledError

    # As in `open_client`, connecting has less time than the whole: httpx leaks a handshake that is cancelled.
    patience = httpx.Timeout(timeout_s, connect=timeout_s / 3)
    async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(timeout=patience) as client:
        sync = Sync(
            store, client, url=url, token="token", router_id="r", metrics=metrics, timeout_s=timeout_s, sleep=sleep
        )
        with contextlib.suppress(asyncio.CancelledError):
            await sync.run()
    return (await store.status()).pending, metrics.counter("linkrouter_sync_batches")


@pytest.mark.parametrize(
    "handle",
    [cut_at_once, cut_in_the_answer, hold, drip, answer_rubbish, answer_forever, claim_to_be_packed],
    ids=lambda handle: handle.__name__,
)
async def test_a_centre_that_does_not_answer_properly_takes_nothing(make_clicks, handle):
    async with serving(handle) as url:
        pending, batches = await send(url, make_clicks(5))

    assert pending == 5
    assert (batches["taken"], batches["failed"]) == (0, 2)


async def test_nobody_listening_takes_nothing(make_clicks):
    async with serving(hold) as url:
        pass

    pending, batches = await send(url, make_clicks(5))

    assert pending == 5
    assert batches["failed"] == 2


async def test_plain_http_where_tls_was_meant_takes_nothing(make_clicks):
    async with serving(answer_rubbish) as url:
        pending, _ = await send(url.replace("http:", "https:"), make_clicks(5))

    assert pending == 5


async def test_a_working_centre_takes_everything_and_a_lost_reply_costs_a_resend(make_clicks):
    seen, cut = {}, []

    async def ingest(request):
        clicks = (await request.json())["clicks"]
        fresh = {click["id"] for click in clicks} - seen.keys()
        seen.update({click["id"]: click for click in clicks})
        if not cut:
            cut.append(True)
            request.transport.abort()
        return web.json_response({"stored": len(fresh), "duplicates": len(clicks) - len(fresh)})

    app = web.Application()
    app.router.add_post("/v1/clicks", ingest)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/clicks"
        pending, batches = await send(url, make_clicks(500), attempts=2, timeout_s=POST_TIMEOUT_S)
    finally:
        await runner.cleanup()

    assert pending == 0
    assert len(seen) == 500
    assert (batches["failed"], batches["taken"]) == (1, 1)


async def test_deadlines_are_those_that_are_promised():
    async with open_client() as client:
        assert (client.timeout.connect, client.timeout.read, POST_TIMEOUT_S, CONNECT_S) == (3.0, 10.0, 10.0, 3.0)

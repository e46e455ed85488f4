"""A real router on a free loopback port, and a client that sends raw bytes."""

import asyncio
import contextlib
import ipaddress
from dataclasses import dataclass, field

import pytest
from processes import HANG_S

from linkrouter.clicks.click import Click, mint_click_ids
from linkrouter.link import Keyring
from linkrouter.metrics import Metrics
from linkrouter.router import RequestPolicy, Responder, RouterServer

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)


@dataclass
class Running:
    """A started router and what it recorded."""

    server: RouterServer
    responder: Responder
    ring: Keyring
    metrics: Metrics
    clicks: list[Click] = field(default_factory=list)

    async def talk(self, *pieces: bytes, close_half: bool = False) -> bytes:
        """Send *pieces* one after the other and give everything that comes until the router closes.

        With *close_half*, the client says at once that it will send no more.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                for _ in range(3):  # let the router read this piece before the next is there
                    await asyncio.sleep(0)
            if close_half:
                writer.write_eof()
            async with asyncio.timeout(HANG_S):
                return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def start_router():
    """A function that starts a router; all are stopped in the end."""
    running = []

    async def start(*, ready=True, trusted_proxies=LOOPBACK, record=None, **options) -> Running:
        ring, metrics = Keyring.create(), Metrics()
        clicks: list[Click] = []
        responder = Responder(
            open_link=ring.open,
            record=record or clicks.extend,
            is_ready=lambda: ready,
            metrics=metrics,
            mint_id=mint_click_ids(b"12345678"),
            policy=RequestPolicy(trusted_proxies),
        )
        server = RouterServer(responder, **options)
        await server.start("127.0.0.1", 0)
        running.append(server)
        return Running(server, responder, ring, metrics, clicks)

    yield start
    for server in running:
        await server.stop()

"""A client that never retries: open loop, one id a request, and what became of each.

Requests are due at fixed times, however long the answers take, so a router that stalls is not spared. Each carries an
`X-Request-Id`; the router takes 127.0.0.1 for a trusted proxy, so that id is the click's identity to the centre.
"""

import asyncio
import itertools
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from linkrouter.link import Keyring

CANARY = "CANARYq9z"
ADDRESS = "198.51.100.77"
LINKS = 400  # distinct links, so that one link's clicks fit into one page of the centre's answers


class TrackedLink(NamedTuple):
    """A link as the load knows it."""

    link_id: str
    path: str
    destination: str


@dataclass(slots=True)
class Request:
    """One request; times are of the monotonic clock. `fault` tells why it did not get its exact redirect."""

    id: str
    link: TrackedLink
    sent_at: float
    answered_at: float = 0.0
    fault: str = "no answer"

    @property
    def is_answered(self) -> bool:
        return not self.fault


def make_links(ring: Keyring, count: int = LINKS) -> list[TrackedLink]:
    """Sign links to destinations that bear the canary and that nothing on the way may re-encode."""
    urls = [
        f"https://{CANARY.lower()}.example/{CANARY}/{n}?u=https%3A%2F%2Fz.example%2F&x=%7e&n={n}" for n in range(count)
    ]
    paths = [ring.sign(url) for url in urls]
    return [TrackedLink(path.split("/")[-2], path, url) for path, url in zip(paths, urls, strict=True)]


@dataclass
class Load:
    """*rate* requests a second to *port* from `start` to `stop`, by a thread with a loop of its own."""

    port: int
    links: list[TrackedLink]
    rate: float = 200.0
    give_up_s: float = 5.0
    requests: list[Request] = field(default_factory=list)
    _idle: deque = field(default_factory=deque)
    is_paused: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and return when every request has its answer or has given up."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    async def _run(self) -> None:
        name, start = secrets.token_hex(4), time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number, link in zip(itertools.count(), itertools.cycle(self.links)):
                due = start + number / self.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self._stopping.is_set():
                    break
                if self.is_paused:
                    continue
                request = Request(f"{name}-{number:06d}", link, time.monotonic())
                self.requests.append(request)
                tasks.create_task(self._send(request))
        for _, writer in self._idle:
            writer.transport.abort()

    async def _send(self, request: Request) -> None:
        writer = None
        try:
            async with asyncio.timeout(self.give_up_s):
                reader, writer = self._take_idle() or await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(_write_request(request))
                head = await reader.readuntil(b"\r\n\r\n")
            request.answered_at = time.monotonic()
            request.fault = _find_fault(head, request.link.destination)
        except (OSError, EOFError, TimeoutError) as exc:
            request.answered_at = time.monotonic()
            request.fault = type(exc).__name__
        if request.is_answered and b"\r\nconnection: close" not in head.lower():
            self._idle.append((reader, writer))
        elif writer is not None:
            writer.transport.abort()

    def _take_idle(self):
        """Give a connection that is open as far as this side knows, as any client would."""
        while self._idle:
            reader, writer = self._idle.popleft()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return None


def _write_request(request: Request) -> bytes:
    return (
        f"GET {request.link.path} HTTP/1.1\r\nHost: click.example\r\nUser-Agent: Agent/{CANARY}\r\n"
        f"X-Forwarded-For: {ADDRESS}\r\nX-Request-Id: {request.id}\r\n\r\n"
    ).encode("ascii")


def _find_fault(head: bytes, destination: str) -> str:
    status, *lines = head.decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 302 "):
        return f"status {status[9:12]}"
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return "" if headers.get("location") == destination else "another Location"

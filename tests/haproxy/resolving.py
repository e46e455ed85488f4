"""Recipients who find a region by DNS, through a resolver that remembers, and note when they were not answered."""

import asyncio
import math
import secrets
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from haproxy.load import HOST

GIVE_UP_S = 2.0
EVERY_S = 1.0


def resolve(server: str, name: str = HOST) -> tuple[list[str], int]:
    """Ask *server* for the addresses of *name*; give them and their TTL in seconds."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
    number = secrets.token_bytes(2)
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(GIVE_UP_S)
        asking.sendto(number + b"\1\0\0\1\0\0\0\0\0\0" + question, (server, 53))
        answer = asking.recv(4096)
    assert answer[:2] == number
    count, place, found, ttl = struct.unpack_from(">H", answer, 6)[0], 12 + len(question), [], 0
    for _ in range(count):
        _, kind, _, ttl, length = struct.unpack_from(">HHHIH", answer, place)
        place += 12 + length
        if kind == 1:
            found.append(socket.inet_ntoa(answer[place - length : place]))
    return found, ttl


@dataclass
class Recipient:
    """One who asks for a page each second; `seen` is a moment, and the region's address or None, for each."""

    server: str
    tls: ssl.SSLContext
    expires: float
    address: str = ""
    seen: list[tuple[float, str | None]] = field(default_factory=list)

    async def run(self, until: float) -> None:
        """Ask until the clock says *until*."""
        while (began := time.monotonic()) < until:
            if began >= self.expires or not self.address:
                addresses, ttl = resolve(self.server)
                self.address, self.expires = addresses[0], max(self.expires, began) + ttl
            self.seen.append((began, self.address if await self._ask() else None))
            await asyncio.sleep(max(0.0, began + EVERY_S - time.monotonic()))

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(GIVE_UP_S):
                reader, writer = await asyncio.open_connection(self.address, 443, ssl=self.tls, server_hostname=HOST)
                writer.write(f"GET /robots.txt HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                good = b" 200 " in await reader.readline()
                writer.transport.abort()
                return good
        except OSError:
            return False

    def waited_s(self, since: float) -> float:
        """Give how long after *since* the first good answer after the first bad one came; 0 when none was bad."""
        bad = next((moment for moment, region in self.seen if region is None and moment >= since), None)
        return 0.0 if bad is None else self.moved_s(self.regions(), bad) + bad - since

    def moved_s(self, to: set[str], since: float) -> float:
        """Give how long after *since* the first answer of one of *to* came; infinity when none did."""
        return next((moment - since for moment, region in self.seen if region in to and moment > since), math.inf)

    def regions(self) -> set[str]:
        """Give the addresses that answered."""
        return {region for _, region in self.seen if region}


async def watch(server: str, ca: Path, count: int, ttl: int, longest_s: float, events) -> list[Recipient]:
    """Let *count* recipients, whose resolvers' answers run out one after the other, ask while *events* happen."""
    now, tls = time.monotonic(), ssl.create_default_context(cafile=ca)
    recipients = [Recipient(server, tls, now + ttl * number / count) for number in range(count)]
    async with asyncio.TaskGroup() as group:
        for recipient in recipients:
            recipient.address = resolve(server)[0][0]
            group.create_task(recipient.run(now + longest_s))
        group.create_task(events())
    return recipients

"""A next hop that does as it is told, and a relay before it, both on free ports of this process."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP
from processes import HANG_S

from linkrouter.integrations.acceptances import Acceptances
from linkrouter.integrations.delivery import Delivery
from linkrouter.integrations.next_hop import NextHop
from linkrouter.integrations.smtp import SmtpRelay
from linkrouter.integrations.smtp_rules import RelayLimits
from linkrouter.integrations.smtp_session import RelayContext
from linkrouter.integrations.tracking import Tracker
from linkrouter.link import Keyring
from linkrouter.metrics import Metrics
from linkrouter.settings import Address

KEYRING = Keyring.create()
BASE_URL = "https://click.example.com"


@dataclass
class Taken:
    """A mail that the next hop took."""

    sender: str
    recipients: list
    content: bytes
    options: list


@dataclass
class Hop:
    """What the next hop took, and what it says: by the address of a sender or recipient, and to content."""

    taken: list = field(default_factory=list)
    says: dict = field(default_factory=dict)  # address, or b"words" of the content: reply, or an event to wait for
    connections: int = 0
    port: int = 0
    offers: dict = field(default_factory=dict)  # what aiosmtpd takes
    sessions: list = field(default_factory=list)

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address in self.says:
            return self.says[address]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 sender ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.says:
            return self.says[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 recipient ok"

    async def handle_DATA(self, server, session, envelope):
        for words, answer in self.says.items():
            if (isinstance(words, bytes) and words in envelope.original_content) or words == tuple(envelope.rcpt_tos):
                if isinstance(answer, asyncio.Event):
                    await answer.wait()
                elif callable(answer):
                    answer(server)
                    return "250 2.0.0 never read"
                else:
                    return answer
        options = list(envelope.mail_options)
        self.taken.append(Taken(envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content, options))
        return f"250 2.0.0 taken as {len(self.taken)}"

    def make(self):
        self.connections += 1
        server = SMTP(self, **{"enable_SMTPUTF8": True, "hostname": "hop.example", **self.offers})
        self.sessions.append(server)
        return server


@asynccontextmanager
async def running_hop(**offers):
    """Run a next hop."""
    hop = Hop(offers=offers)
    server = await asyncio.get_running_loop().create_server(hop.make, "127.0.0.1", 0)
    hop.port = server.sockets[0].getsockname()[1]
    try:
        yield hop
    finally:
        server.close()
        for session in hop.sessions:
            if session.transport is not None:
                session.transport.close()


@asynccontextmanager
async def running_relay(hop_port, folder, *, limits=None, delivery=None, hop=None, **options):
    """Run a relay, and give it; `port` is where it listens."""
    acceptances = Acceptances(folder / "acceptances")
    given = Delivery(Tracker(BASE_URL, KEYRING), acceptances, Metrics(), **(delivery or {}))
    next_hop = NextHop(Address("127.0.0.1", hop_port), **{"timeout_s": 5.0, **(hop or {})})
    relay = SmtpRelay(RelayContext(delivery=given, next_hop=next_hop, limits=limits or RelayLimits(), **options))
    server = await relay.listen("127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.stop(within_s=3)
        acceptances.close()


class Talk:
    """A client that says exactly what it is told."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port, *, hello=True):
        talk = cls(*await asyncio.open_connection("127.0.0.1", port))
        await talk.read()
        if hello:
            await talk.say("EHLO client.example")
        return talk

    async def read(self):
        lines = []
        async with asyncio.timeout(HANG_S):
            while line := await self.reader.readline():
                lines.append(line.decode("utf-8", "surrogateescape").rstrip("\r\n"))
                if line[3:4] != b"-":
                    break
        return "\n".join(lines)

    async def say(self, *lines):
        """Send lines at once, and give the answer to each."""
        self.writer.write(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))
        answers = [await self.read() for _ in lines]
        return answers[-1] if len(answers) == 1 else answers

    async def send(self, content, *recipients, sender="a@example.com", options=""):
        """Send one mail; give the answer to its end, or the first that is no."""
        for line in (f"MAIL FROM:<{sender}>{options}", *(f"RCPT TO:<{one}>" for one in recipients), "DATA"):
            answer = await self.say(line)
            if answer[0] not in "23":
                return answer
        self.writer.write(content + b".\r\n")
        return await self.read()

    def close(self):
        self.writer.close()

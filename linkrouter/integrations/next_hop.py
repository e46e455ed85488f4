"""The next hop: where mail goes on to, over SMTP connections that are kept open.

Promise: what the next hop says is given as it said it, and trouble on the way is 451. A connection that went away while
it was idle costs nobody anything; one that goes away behind the message is never tried again by us, because the next
hop may have it.
"""

import asyncio
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from linkrouter.dial.trust import trusting_context
from linkrouter.errors import SettingsError
from linkrouter.integrations.hop_connection import GONE, Heed, HopConnection
from linkrouter.integrations.smtp_reply import Reply
from linkrouter.integrations.witness import Witness
from linkrouter.settings import Address

__all__ = ["Envelope", "NextHop", "NextHopTls", "Transaction"]

NextHopTls = Literal["auto", "off", "starttls", "tls"]

MAX_IDLE_S = 30.0  # servers begin to hang up after a minute or so
MAX_IDLE_CONNECTIONS = 32
CLOSING = 421

UNREACHABLE = Reply(451, "4.4.1 the next hop does not answer; try again")
NO_UTF8 = Reply(550, "5.6.7 the next hop takes no SMTPUTF8")
NO_8BIT = Reply(554, "5.6.3 the next hop takes no 8BITMIME")


@dataclass(frozen=True, slots=True)
class Envelope:
    """From whom a mail is, as it stands between the angle brackets of MAIL, and what was said of the mail there."""

    sender: str = field(repr=False)
    utf8: bool = False
    eight_bit: bool = False


class Transaction:
    """One mail on its way; `end` it, whatever happened.

    The next hop hears of the sender with the first recipient, and what it says against the sender is the answer to
    each recipient.
    """

    def __init__(self, hop: "NextHop", connection: HopConnection, envelope: Envelope, *, is_reused: bool) -> None:
        self._hop = hop
        self._connection = connection
        self._envelope = envelope
        self._is_reused = is_reused
        self._is_begun = False

    async def add_recipient(self, address: str) -> Reply:
        """Give the next hop a recipient, and what it says."""
        if self._is_begun:
            [reply] = await self._connection.ask(f"RCPT TO:<{address}>")
            return _passed_on(reply)
        reply = await self._begin(address)
        if self._is_reused and (reply is GONE or reply.code == CLOSING):  # it went, or wanted to go, while it was idle
            self._connection.close()
            connection = await self._hop.connect()
            if connection is None:
                return UNREACHABLE
            self._connection, self._is_reused = connection, False
            reply = await self._begin(address)
        return _passed_on(reply)

    async def begin_copy(self, address: str) -> Reply:
        """Begin anew on the same connection, with one recipient."""
        return _passed_on(await self._begin(address))

    async def _begin(self, address: str) -> Reply:
        lines = [_mail_line(self._connection, self._envelope), f"RCPT TO:<{address}>"]
        *before, sender, recipient = await self._connection.ask(*(["RSET"] if self._is_begun else []), *lines)
        self._is_begun = sender.is_good
        return next((reply for reply in (*before, sender) if not reply.is_good), recipient)

    def begin_data(self, content: bytes) -> Reply | None:
        """Say that a mail like *content* comes, so that the next hop makes ready; what hinders it is given."""
        if not content.isascii() and not self._connection.offers("8bitmime"):
            return NO_8BIT
        self._connection.begin_data()
        return None

    async def send(self, content: bytes, key: str, report: bytes, heed: Heed) -> Reply:
        """See `HopConnection.send`."""
        reply = await self._connection.send(content, key, report, heed)
        self._is_begun = False
        return _passed_on(reply)

    async def end(self) -> None:
        """Give the connection back, or close it when it is not where a mail may begin."""
        if self._is_begun and self._connection.is_idle:
            [reply] = await self._connection.ask("RSET")
            self._is_begun = not reply.is_good
        if self._is_begun or not self._connection.is_idle:
            self._connection.close()
        self._is_begun = False
        self._hop.give_back(self._connection)


def _passed_on(reply: Reply) -> Reply:
    """Give what the next hop said to whoever waits; that it closes its connection is no reason to close ours."""
    return Reply(451, reply.text) if reply.code == CLOSING or not 200 <= reply.code < 600 else reply


def _mail_line(connection: HopConnection, envelope: Envelope) -> str:
    line = f"MAIL FROM:<{envelope.sender}>"
    if envelope.eight_bit and connection.offers("8bitmime"):
        line += " BODY=8BITMIME"
    return line + " SMTPUTF8" if envelope.utf8 else line


class NextHop:
    """Connections to *address*, opened when they are needed. How many there are at once is up to the callers.

    Args:
        address: Where the next hop listens.
        tls: "auto" takes STARTTLS where it is offered, "starttls" insists on it; both unchecked against no certificate
            but a good one. "tls" begins with TLS, "off" never does.
        login: Name and password for AUTH.
        witness: Who hears the next hop out when this process is killed.
        ca_file: Who may have signed the next hop's certificate, besides whom the system trusts.
        timeout_s: Seconds for each answer; it must be below what our own clients wait.

    Raises:
        SettingsError: *ca_file* cannot be read.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: NextHopTls = "auto",
        login: tuple[str, str] | None = None,
        ca_file: str | None = None,
        timeout_s: float = 120.0,
        hostname: str = "linkrouter.invalid",
        witness: Witness | None = None,
    ) -> None:
        self._address = address
        self._tls = tls
        self._login = login
        self._timeout_s = timeout_s
        self._hostname = hostname
        self._context = _tls_context(ca_file, checked=tls != "auto")
        self._idle: deque[tuple[HopConnection, float]] = deque()
        self._witness = witness
        self._closed = False

    async def begin(self, envelope: Envelope) -> Transaction | Reply:
        """Begin a mail, of which the next hop hears with the first recipient; give what hinders it."""
        reused = self._take_idle()
        connection = reused or await self.connect()
        if connection is None:
            return UNREACHABLE
        if envelope.utf8 and not connection.offers("smtputf8"):
            self.give_back(connection)
            return NO_UTF8
        return Transaction(self, connection, envelope, is_reused=reused is not None)

    def _take_idle(self) -> HopConnection | None:
        while self._idle:
            connection, since = self._idle.pop()  # the one used last: the others may go
            if connection.is_idle and time.monotonic() - since < MAX_IDLE_S:
                return connection
            connection.close()
        return None

    async def connect(self) -> HopConnection | None:
        """Open a connection; None when there is none to be had."""
        name, password = self._login or (None, None)
        client = SMTP(
            hostname=self._address.host,
            port=self._address.port,
            use_tls=self._tls == "tls",
            start_tls={"auto": None, "starttls": True}.get(self._tls, False),
            tls_context=self._context,
            username=name,
            password=password,
            local_hostname=self._hostname,
            timeout=self._timeout_s,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            return HopConnection(client, self._timeout_s, self._witness)
        except SMTPResponseException:
            client.close()
        except (SMTPException, OSError, ValueError):
            pass
        return None

    def give_back(self, connection: HopConnection) -> None:
        """Keep *connection* for the next mail."""
        if self._closed or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            connection.close()
        elif connection.is_idle:
            self._idle.append((connection, time.monotonic()))
        while self._idle and time.monotonic() - self._idle[0][1] > MAX_IDLE_S:
            self._idle.popleft()[0].close()

    async def close(self) -> None:
        """Say goodbye on each idle connection; those in use are closed when they are given back."""
        self._closed = True
        connections = [connection for connection, _ in self._idle]
        self._idle.clear()
        await asyncio.gather(*(connection.quit() for connection in connections))


def _tls_context(ca_file: str | None, *, checked: bool) -> ssl.SSLContext:
    context = trusting_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise SettingsError(f"NEXT_HOP_CA: {ca_file!r} cannot be read as certificates in PEM") from exc
    elif not checked:
        # Opportunistic TLS (RFC 7435): a certificate that is not checked is better than none.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

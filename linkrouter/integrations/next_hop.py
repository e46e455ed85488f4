"""The next hop: where mail goes on to, over SMTP connections that are kept open.

Promise: what the next hop says is given as it said it, and trouble on the way is 451. A connection that went away while
it was idle costs nobody anything; one that goes away behind the message is never tried again by us, because the next
hop may have it.
"""

import asyncio
import re
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakKeyDictionary, finalize

from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPResponseException

from linkrouter.dial.trust import trusting_context
from linkrouter.errors import SettingsError
from linkrouter.integrations.witness import Witness
from linkrouter.settings import Address

__all__ = ["Envelope", "NextHop", "NextHopTls", "Reply", "Transaction"]

NextHopTls = Literal["auto", "off", "starttls", "tls"]

MAX_IDLE_S = 30.0  # servers begin to hang up after a minute or so
MAX_IDLE_CONNECTIONS = 32
CLOSING = 421

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Reply:
    """What SMTP answered: a code and its text, which may have several lines and begins with an enhanced code."""

    code: int
    text: str = field(repr=False)  # servers like to put addresses into it

    @property
    def is_good(self) -> bool:
        """Whether it says yes."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        *before, last = _CONTROL.sub(" ", self.text).split("\n") or [""]
        return "\r\n".join([*(f"{self.code}-{line}" for line in before), f"{self.code} {last}"])


UNREACHABLE = Reply(451, "4.4.1 the next hop does not answer; try again")
GONE = Reply(451, "4.4.2 the next hop went away before it answered; try again")
NO_UTF8 = Reply(550, "5.6.7 the next hop takes no SMTPUTF8")
NO_8BIT = Reply(554, "5.6.3 the next hop takes no 8BITMIME")


@dataclass(frozen=True, slots=True)
class Envelope:
    """From whom a mail is, as it stands between the angle brackets of MAIL, and what was said of the mail there."""

    sender: str = field(repr=False)
    utf8: bool = False
    eight_bit: bool = False


class Transaction:
    """One mail on its way, from the MAIL that the next hop took; `end` it, whatever happened."""

    def __init__(self, hop: "NextHop", client: SMTP, envelope: Envelope) -> None:
        self._hop = hop
        self._client = client
        self._envelope = envelope
        self._open = True

    async def begin_again(self) -> Reply:
        """Give the next hop MAIL once more, for another copy of the mail on the same connection."""
        if self._open:
            reply = await self._command("RSET")
            if not reply.is_good:
                return reply
        reply = await self._command(_mail_line(self._client, self._envelope))
        self._open = reply.is_good
        return reply

    async def add_recipient(self, address: str) -> Reply:
        """Give the next hop a recipient, and what it says."""
        return await self._command(f"RCPT TO:<{address}>")

    def has_answer(self) -> None:
        """Say that what the answer means is written down."""
        self._hop.tell_heard(self._client)

    async def send(self, content: bytes, key: str = "", report: bytes = b"") -> Reply:
        """Hand over *content*, whose lines end with CRLF, and give the next hop's answer.

        The answer to a mail with a *key* is heard, with its *report*, even if this process is killed before.
        """
        if not content.isascii() and not self._client.supports_extension("8bitmime"):
            return NO_8BIT
        self._open = False
        if key:
            self._hop.tell_witness(self._client, key, report)
        try:
            said = await self._client.data(content)
        except SMTPDataError as exc:
            return _passed_on(exc.code, exc.message)
        except (SMTPException, OSError, ValueError):
            self._client.close()
            return GONE
        return Reply(said.code, said.message)

    async def end(self) -> None:
        """Give the connection back, or close it when it is not where a mail may begin."""
        if self._open and not (await self._command("RSET")).is_good:
            self._client.close()
        self._open = False
        self._hop.give_back(self._client)

    async def _command(self, line: str) -> Reply:
        try:
            said = await self._client.execute_command(line.encode("utf-8", "surrogateescape"))
        except (SMTPException, OSError, ValueError):
            self._client.close()
            return GONE
        return _passed_on(said.code, said.message)


def _passed_on(code: int, text: str) -> Reply:
    """Give what the next hop said to whoever waits; that it closes its connection is no reason to close ours."""
    return Reply(451, text) if code == CLOSING or not 200 <= code < 600 else Reply(code, text)


def _mail_line(client: SMTP, envelope: Envelope) -> str:
    line = f"MAIL FROM:<{envelope.sender}>"
    if envelope.eight_bit and client.supports_extension("8bitmime"):
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
        self._idle: deque[tuple[SMTP, float]] = deque()
        self._witness = witness
        self._shared: WeakKeyDictionary[SMTP, int] = WeakKeyDictionary()
        self._closed = False

    async def begin(self, envelope: Envelope) -> Transaction | Reply:
        """Begin a mail; what the next hop says instead of yes, or what hinders us, is given as it is to be said."""
        while self._idle:
            client, since = self._idle.pop()  # the one used last: the others may go
            if not client.is_connected or time.monotonic() - since > MAX_IDLE_S:
                client.close()
                continue
            begun = await self._mail(client, envelope)
            if begun is not GONE and client.is_connected:
                return begun
        try:
            client = await self._connect()
        except (SMTPException, OSError, ValueError):
            return UNREACHABLE
        return await self._mail(client, envelope)

    async def _mail(self, client: SMTP, envelope: Envelope) -> Transaction | Reply:
        if envelope.utf8 and not client.supports_extension("smtputf8"):
            self.give_back(client)
            return NO_UTF8
        transaction = Transaction(self, client, envelope)
        transaction._open = False
        reply = await transaction.begin_again()
        if reply.is_good:
            return transaction
        self.give_back(client)
        return reply

    async def _connect(self) -> SMTP:
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
        except SMTPResponseException:
            client.close()
            raise
        self._share(client)
        return client

    def tell_witness(self, client: SMTP, key: str, report: bytes) -> None:
        """See `Transaction.send`."""
        if client in self._shared and self._witness is not None:
            self._witness.sending(self._shared[client], key, report)

    def tell_heard(self, client: SMTP) -> None:
        """See `Transaction.has_answer`."""
        if client in self._shared and self._witness is not None:
            self._witness.heard(self._shared[client])

    def _share(self, client: SMTP) -> None:
        """Share a connection with the witness, unless only this process can read it."""
        if self._witness is None or client.get_transport_info("sslcontext") is not None:
            return
        number = self._shared[client] = self._witness.share(client.get_transport_info("socket").fileno())
        finalize(client, self._witness.forget, number)

    def give_back(self, client: SMTP) -> None:
        """Keep *client* for the next mail."""
        if self._closed or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            client.close()
        elif client.is_connected:
            self._idle.append((client, time.monotonic()))
        while self._idle and time.monotonic() - self._idle[0][1] > MAX_IDLE_S:
            self._idle.popleft()[0].close()

    async def close(self) -> None:
        """Say goodbye on each idle connection; those in use are closed when they are given back."""
        self._closed = True
        clients = [client for client, _ in self._idle]
        self._idle.clear()
        await asyncio.gather(*map(_quit, clients), return_exceptions=True)


async def _quit(client: SMTP) -> None:
    try:
        await client.quit(timeout=1.0)
    finally:
        client.close()


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

"""One sender's connection to the relay.

Promise: what two servers could read in two ways goes nowhere: a mail with a bare CR or LF, commands in front of TLS.
Addresses and content are passed on as they came.

aiosmtpd has the session; what it does with addresses, data and STARTTLS is done here: it would write addresses anew,
refuse the empty sender of a bounce, take ten times as long to read a mail, and obey what was sent behind STARTTLS.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, syntax

from linkrouter.integrations import smtp_rules as rules
from linkrouter.integrations.delivery import Delivered, Delivery, MailInHand
from linkrouter.integrations.next_hop import Envelope, NextHop, Transaction
from linkrouter.integrations.smtp_reply import Reply
from linkrouter.integrations.smtp_syntax import (
    BAD_PATH,
    MAIL_TOO_LARGE,
    has_bare_line_ends,
    parse_mail,
    parse_recipient,
    read_data,
)
from linkrouter.log import log

__all__ = ["RelayContext", "RelaySession"]


@dataclass(slots=True, kw_only=True, eq=False)
class RelayContext:
    """What all sessions of a relay share: how they are to be, and who is there.

    Args:
        delivery: What becomes of a mail.
        next_hop: Where it goes.
        limits: What is taken.
        tenant: Whose mails come from senders that need no password.
        tls: The certificate for STARTTLS.
        find_sender: With it, senders must give a name and a password.
        auth_needs_tls: Whether they may only do so behind STARTTLS.
        hostname: The name in the greeting.
    """

    delivery: Delivery
    next_hop: NextHop
    limits: rules.RelayLimits
    tenant: int = 0
    tls: ssl.SSLContext | None = None
    find_sender: rules.FindSender | None = None
    auth_needs_tls: bool = True
    hostname: str = "linkrouter"
    is_stopping: bool = field(default=False, init=False)
    sessions: "set[RelaySession]" = field(default_factory=set, init=False)
    tasks: "set[asyncio.Task[Any]]" = field(default_factory=set, init=False)

    def start(self, work: "Coroutine[Any, Any, Any]") -> "asyncio.Task[Any]":
        """Run *work* to its end, whoever waits for it."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


class _Exceptions:
    """What aiosmtpd asks what to say of an exception."""

    async def handle_exception(self, error: Exception) -> str:
        log("relay.failed", exception=type(error).__name__)
        return str(rules.FAILED)


class RelaySession(SMTP):
    """One connection of a sender."""

    line_length_limit = 4096  # of commands
    command_size_limit = 4096

    def __init__(self, relay: RelayContext) -> None:
        super().__init__(
            _Exceptions(),
            data_size_limit=relay.limits.message_bytes,
            enable_SMTPUTF8=True,
            hostname=relay.hostname,
            ident="ESMTP linkrouter",
            tls_context=relay.tls,
            timeout=relay.limits.idle_s,
            auth_require_tls=relay.auth_needs_tls,
            loop=asyncio.get_running_loop(),
        )
        self.command_size_limits = defaultdict(lambda: RelaySession.command_size_limit)
        self._auth_required = relay.find_sender is not None
        self._relay = relay
        self._tenant = relay.tenant
        self._envelope = Envelope("")
        self._transaction: Transaction | None = None
        self._recipients: list[str] = []
        self._has_mail = False  # a mail is being sent by the client, or by us
        self._unconfirmed: list[str] = []  # keys of what was taken, of which the client may not know yet

    async def _handle_client(self) -> None:
        if self._relay.is_stopping or len(self._relay.sessions) >= self._relay.limits.connections:
            await self._say(rules.STOPPING if self._relay.is_stopping else rules.BUSY)
            self.hang_up()
            return
        self._relay.sessions.add(self)
        try:
            await super()._handle_client()
        finally:
            self._relay.sessions.discard(self)
            self._relay.delivery.acceptances.orphan(self._unconfirmed)
            self._abandon()

    def task(self) -> "asyncio.Task[None]":
        """Give what ends with the connection. No property: aiosmtpd looks at all of them before there is one."""
        assert self._handler_coroutine is not None
        return self._handler_coroutine

    def turn_away_if_idle(self) -> None:
        """Say goodbye to a client whose mail is not on its way."""
        if not self._has_mail:
            self._writer.write(f"{rules.STOPPING}\r\n".encode())
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection when what was written is sent."""
        if self.transport is not None:
            self.transport.close()
            self.task().cancel()  # or commands that are here already would be obeyed

    async def _say(self, reply: Reply) -> None:
        await self.push(str(reply).encode("utf-8", "surrogateescape"))

    def _abandon(self) -> None:
        """Let go of the mail that was begun."""
        if self._transaction is not None:
            self._relay.start(self._transaction.end())
        self._transaction = None
        self._recipients = []

    def _confirm(self) -> None:
        """The client has gone on: it has read the answer to its last mail."""
        self._relay.delivery.acceptances.confirm(self._unconfirmed)
        self._unconfirmed = []

    def _authenticate(self, mechanism: str, auth_data: Any) -> AuthResult:
        found = None
        if isinstance(auth_data, LoginPassword) and self._relay.find_sender is not None:
            name, password = (text.decode("utf-8", "replace") for text in (auth_data.login, auth_data.password))
            found = self._relay.find_sender(name, password)
        if found is None:
            return AuthResult(success=False, handled=False)  # with handled=True nothing would be answered
        self._tenant = found
        return AuthResult(success=True)

    @syntax("EHLO hostname")
    async def smtp_EHLO(self, hostname: str) -> None:
        """Say what is offered."""
        if not hostname:
            await self._say(Reply(501, "5.5.4 give EHLO hostname"))
            return
        assert self.session is not None
        self._confirm()
        self._abandon()
        self.session.extended_smtp, self.session.host_name = True, hostname
        offers = [self.hostname, "PIPELINING", f"SIZE {self.data_size_limit}", "8BITMIME", "SMTPUTF8"]
        if self.tls_context and not self._tls_protocol:
            offers.append("STARTTLS")
        if self._auth_required and (self._tls_protocol or not self._auth_require_tls):
            offers.append("AUTH LOGIN PLAIN")
        await self._say(Reply(250, "\n".join([*offers, "HELP"])))

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str) -> None:
        """Go on behind TLS, unless somebody may have put commands in front of it (RFC 3207, section 6)."""
        if self._reader._buffer:  # type: ignore[attr-defined]
            await self._say(rules.BEHIND_STARTTLS)
            self.hang_up()
            await asyncio.sleep(0)  # it ends here
        self._abandon()
        await super().smtp_STARTTLS(arg)

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_MAIL(self, arg: str | None) -> None:
        """Begin a mail here and at the next hop."""
        if await self.check_helo_needed() or await self.check_auth_needed("MAIL"):
            return
        self._confirm()
        await self._say(await self._begin(arg or ""))

    async def _begin(self, arg: str) -> Reply:
        if self._transaction is not None:
            return rules.TWO_MAILS
        parsed = parse_mail(arg, self._relay.limits.message_bytes)
        if isinstance(parsed, Reply):
            return parsed
        begun = await self._relay.next_hop.begin(parsed)
        if isinstance(begun, Reply):
            return begun
        self._envelope, self._transaction = parsed, begun
        return rules.GOOD

    @syntax("RCPT TO: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_RCPT(self, arg: str | None) -> None:
        """Ask the next hop for a recipient."""
        if await self.check_helo_needed() or await self.check_auth_needed("RCPT"):
            return
        await self._say(await self._add_recipient(arg or ""))

    async def _add_recipient(self, arg: str) -> Reply:
        if self._transaction is None:
            return rules.NO_MAIL
        address = parse_recipient(arg, utf8=self._envelope.utf8)
        if isinstance(address, Reply):
            return address
        if len(self._recipients) >= self._relay.limits.recipients:
            return rules.TOO_MANY_RECIPIENTS
        reply = await self._transaction.add_recipient(address)
        if reply.is_good and address not in self._recipients:
            self._recipients.append(address)
        return reply

    @syntax("RSET")
    async def smtp_RSET(self, arg: str) -> None:
        """Let go of the mail that was begun."""
        self._confirm()
        self._abandon()
        await super().smtp_RSET(arg)

    @syntax("QUIT")
    async def smtp_QUIT(self, arg: str) -> None:
        """Say goodbye."""
        self._confirm()
        await super().smtp_QUIT(arg)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:
        """Take the mail, send it on, and say what the next hop said."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if arg or not self._recipients or self._transaction is None:
            await self._say(BAD_PATH if arg else rules.NO_RECIPIENT if self._transaction else rules.NO_MAIL)
            return
        self._has_mail = True
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            reply = await self._take(
                await read_data(self._reader, self._relay.limits.message_bytes, self._reset_timeout)
            )
        finally:
            self._has_mail = False
        await self._say(reply)
        if self._relay.is_stopping:
            self._confirm()
            self.turn_away_if_idle()
            await asyncio.sleep(0)

    async def _take(self, content: bytes | None) -> Reply:
        """Say what becomes of the mail *content*, None if it was too large."""
        assert self._transaction is not None
        if content is None or has_bare_line_ends(content):
            self._relay.delivery.metrics.count(
                "linkrouter_mails_not_sent", "too_large" if content is None else "malformed"
            )
            self._abandon()
            return MAIL_TOO_LARGE if content is None else rules.BARE
        mail = MailInHand(self._envelope, tuple(self._recipients), content, self._tenant)
        work = self._relay.start(_deliver(self._relay.delivery, mail, self._transaction))
        self._transaction, self._recipients = None, []
        try:
            delivered: Delivered = await asyncio.shield(work)
        except asyncio.CancelledError:  # the client has gone; the next hop may have the mail, and has the word
            work.add_done_callback(self._orphan)
            raise
        if delivered.reply.is_good:
            self._unconfirmed = delivered.keys
        return delivered.reply

    def _orphan(self, work: "asyncio.Task[Delivered]") -> None:
        if not work.cancelled() and work.exception() is None:
            self._relay.delivery.acceptances.orphan(work.result().keys)


async def _deliver(delivery: Delivery, mail: MailInHand, transaction: Transaction) -> Delivered:
    try:
        delivered = await delivery.deliver(mail, transaction)
    finally:
        await transaction.end()
    if not delivered.reply.is_good:
        delivery.metrics.count("linkrouter_mails_not_sent", "later" if delivered.reply.code < 500 else "refused")
    return delivered

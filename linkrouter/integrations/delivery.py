"""One mail from the sender to the next hop: labels read, gate asked, links tracked, handed over, central told.

Promise: it is answered yes only behind the next hop's own yes for every recipient. Central's report is on disk before
that. No queue: what is not taken is the sender's still.
"""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from linkrouter.encoder import Rewritten
from linkrouter.integrations.acceptances import Acceptances, copy_key
from linkrouter.integrations.gating import MailGate
from linkrouter.integrations.mail_headers import MailLabels, find_message_id, take_labels
from linkrouter.integrations.manifest import manifest_entry
from linkrouter.integrations.next_hop import Envelope, Transaction
from linkrouter.integrations.reporting import Reporter
from linkrouter.integrations.smtp_reply import Reply
from linkrouter.integrations.tracking import Tracker
from linkrouter.log import log
from linkrouter.metrics import Metrics

__all__ = ["Copies", "Delivered", "Delivery", "GateMode", "MailInHand"]

Copies = Literal["each", "one"]
GateMode = Literal["off", "warn", "on"]

TAKEN_BEFORE = Reply(250, "2.0.0 this was taken before")


@dataclass(frozen=True, slots=True)
class MailInHand:
    """A mail as it came in; the lines of *content* end with CRLF."""

    envelope: Envelope
    recipients: tuple[str, ...] = field(repr=False)
    content: bytes = field(repr=False)
    tenant: int = 0
    message_id: str = field(default="", repr=False)  # what central is to know it by, if not by its header
    labels: MailLabels | None = None  # where the content does not bear them


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a mail: the answer for all of it, that of each recipient, and the keys of what was taken."""

    reply: Reply
    replies: tuple[Reply, ...]
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How mails go on; without a *reporter* central is not told."""

    tracker: Tracker
    acceptances: Acceptances
    metrics: Metrics
    reporter: Reporter | None = None
    gate: MailGate | None = None
    gate_warns: bool = False
    copies: Copies = "each"

    async def deliver(self, mail: MailInHand, transaction: Transaction) -> Delivered:
        """Send *mail* on in *transaction*, to which the next hop has its recipients said already.

        The transaction is not ended. What was taken of a mail that is answered no is known again (`Acceptances`).
        """
        began = time.monotonic()
        delivered = await self._deliver(mail, transaction)
        code = delivered.reply.code
        result = "taken" if delivered.reply.is_good else "later" if code < 500 else "refused"
        self.metrics.observe("linkrouter_mail_seconds", result, time.monotonic() - began)
        return delivered

    async def _deliver(self, mail: MailInHand, transaction: Transaction) -> Delivered:
        content, labels = (mail.content, mail.labels) if mail.labels else take_labels(mail.content)
        held = await self._held(content, mail.tenant)
        if held is not None:
            return Delivered(held, (held,) * len(mail.recipients))
        each = self.copies == "each" and len(mail.recipients) > 1
        groups = [(one,) for one in mail.recipients] if each else [mail.recipients]
        message_id = find_message_id(mail.content)
        replies: list[Reply] = []
        keys: list[str] = []
        for group in groups:
            key = copy_key(mail.tenant, mail.envelope.sender, group, mail.content)
            reply = TAKEN_BEFORE if self.acceptances.take_orphan(key) else None
            if reply is None:
                reply = await self._send_copy(mail, group, content, labels, message_id, key, transaction, again=each)
            if reply.is_good:
                keys.append(key)
            replies += [reply] * len(group)
        answer = _summary(replies)
        if not answer.is_good:
            self.acceptances.orphan(keys)
        return Delivered(answer, tuple(replies), keys)

    async def _held(self, content: bytes, tenant: int) -> Reply | None:
        if self.gate is None:
            return None
        began = time.monotonic()
        held = await self.gate.find_hold([("message", content)], tenant)
        self.metrics.observe("linkrouter_gate_seconds", "", time.monotonic() - began)
        if held is None:
            return None
        self.metrics.count("linkrouter_mails_held", held.why)
        if self.gate_warns:
            log("mail.held", reason=held.why, sent=1)
            return None
        return Reply(550, f"5.7.1 {held.reason}") if held.why == "flagged" else Reply(451, f"4.7.1 {held.reason}")

    async def _send_copy(
        self,
        mail: MailInHand,
        recipients: tuple[str, ...],
        content: bytes,
        labels: MailLabels,
        message_id: str,
        key: str,
        transaction: Transaction,
        *,
        again: bool,
    ) -> Reply:
        """Track the links of a copy and hand it over; what the next hop takes is counted, reported and remembered."""
        refused = await transaction.begin_copy(recipients[0]) if again else None
        if refused is None or refused.is_good:
            refused = transaction.begin_data(content)
        if refused is not None:
            return refused
        done = self.tracker.track(content, labels, mail.tenant)  # while the next hop makes ready
        entry = self._entry(mail, message_id, recipients, done, labels)

        def heed(reply: Reply) -> None:
            if not reply.is_good:
                return
            self.metrics.count("linkrouter_mails_sent", "tracked" if done.links else "untracked")
            if entry is not None and self.reporter is not None:
                self.reporter.report(entry)
            if message_id:  # it is known again by that
                self.acceptances.accept(key)

        report = json.dumps(entry).encode("ascii") if entry else b""
        return await transaction.send(done.content, key if message_id else "", report, heed)

    def _entry(
        self,
        mail: MailInHand,
        message_id: str,
        recipients: Sequence[str],
        done: Rewritten[bytes],
        labels: MailLabels,
    ) -> dict[str, object] | None:
        """Give what central is told of a copy, if it is told anything."""
        if self.reporter is None or not done.links:
            return None
        return manifest_entry(
            done.links,
            mail.message_id or message_id or str(uuid.uuid4()),
            recipients[0] if len(recipients) == 1 else None,
            labels.tag,
            mail.tenant,
            message_key=done.message_key,
            metadata=labels.metadata,
            count_only=self.tracker.is_counted_only(labels),
        )


def _summary(replies: Sequence[Reply]) -> Reply:
    """Give one answer for all copies: yes when all were taken, else try again if that may help any."""
    bad = [reply for reply in replies if not reply.is_good]
    if not bad:
        return replies[-1]
    worst = min(bad, key=lambda reply: reply.code)  # 4xx before 5xx
    taken = len(replies) - len(bad)
    if not taken:
        return worst
    code, _, text = worst.text.partition(" ")
    return Reply(worst.code, f"{code} taken for {taken} of {len(replies)} recipients; for others: {text}")

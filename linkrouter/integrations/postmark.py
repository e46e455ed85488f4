"""Postmark's send API, for clients made for it: `POST /email` and `/email/batch`.

Promise: a mail is answered OK behind the next hop's 250 for it. What goes wrong has an ErrorCode and a Message that
their clients know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from typing_extensions import TypedDict

from linkrouter.integrations.delivery import Delivery, MailInHand
from linkrouter.integrations.next_hop import NextHop
from linkrouter.integrations.postmark_mail import POSTMARK_FIELDS, ComposedMail, PostmarkMail, compose_mail
from linkrouter.integrations.smtp_reply import Reply
from linkrouter.web.postmark_dialect import POSTMARK_DIALECT
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["PostmarkSending", "send_routes"]

MAX_BATCH = 500
INVALID, INACTIVE, TRY_AGAIN, NO_TEMPLATE = 300, 406, 100, 1101
TEMPLATES = Refusal(422, Fault("templates are not rendered here; send HtmlBody and TextBody"), NO_TEMPLATE)


class PostmarkSent(TypedDict):
    """What became of a mail; `ErrorCode` 0 is OK."""

    To: str
    SubmittedAt: str
    MessageID: str
    ErrorCode: int
    Message: str


@dataclass(frozen=True, slots=True)
class PostmarkSending:
    """What the answers need."""

    delivery: Delivery
    next_hop: NextHop
    tenant: int = 0

    async def send(self, mail: PostmarkMail, caller: Caller) -> PostmarkSent | Refusal:
        """Send a mail, and answer when the next hop has it."""
        return await self._send(mail, caller)

    async def send_all(self, mails: list[PostmarkMail], caller: Caller) -> list[PostmarkSent] | Refusal:
        """Send up to 500 mails; each has its own answer."""
        if len(mails) > MAX_BATCH:
            return Refusal(422, Fault(f"a batch has at most {MAX_BATCH} mails"), INVALID)
        answers: list[PostmarkSent] = []
        for mail in mails:
            answer = await self._send(mail, caller)
            if isinstance(answer, Refusal):
                reason = answer.fault.reason if answer.fault is not None else "not sent"
                answer = _sent(mail, "", answer.code or INVALID, reason)
            answers.append(answer)
        return answers

    async def refuse_template(self, _: dict[str, Any], __: Caller) -> PostmarkSent | Refusal:
        """Refuse a template: they are not rendered here."""
        return TEMPLATES

    async def _send(self, given: PostmarkMail, caller: Caller) -> PostmarkSent | Refusal:
        try:
            mail = compose_mail(given)
        except ValueError as exc:
            return Refusal(422, Fault(str(exc)), INVALID)
        begun = await self.next_hop.begin(mail.envelope)
        if isinstance(begun, Reply):
            return _refusal(begun)
        try:
            said = [(address, await begun.add_recipient(address)) for address in mail.recipients]
            taken = tuple(address for address, reply in said if reply.is_good)
            if not taken:
                return _no_recipient(said)
            in_hand = MailInHand(
                mail.envelope,
                taken,
                mail.content,
                self.tenant if caller.tenant is None else caller.tenant,
                mail.id,
                mail.labels,
            )
            delivered = await self.delivery.deliver(in_hand, begun)
        finally:
            await begun.end()
        said += zip(taken, delivered.replies, strict=True)
        return _answer_to(given, mail, said, delivered.reply, has_sent=any(one.is_good for one in delivered.replies))


def _answer_to(
    given: PostmarkMail, mail: ComposedMail, said: Sequence[tuple[str, Reply]], reply: Reply, *, has_sent: bool
) -> PostmarkSent | Refusal:
    if not has_sent:
        return _refusal(reply)
    failed = dict.fromkeys(address for address, one in said if not one.is_good)
    words = f"Message OK, but will not deliver to these inactive addresses: {', '.join(failed)}." if failed else "OK"
    return _sent(given, mail.id, 0, words)


def _sent(mail: PostmarkMail, message_id: str, code: int, words: str) -> PostmarkSent:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "0Z")
    return {
        "To": mail.get("To") or "",
        "SubmittedAt": now,
        "MessageID": message_id,
        "ErrorCode": code,
        "Message": words,
    }


def _refusal(reply: Reply) -> Refusal:
    if reply.code < 500:
        return Refusal(503, Fault(str(reply)), TRY_AGAIN)
    return Refusal(422, Fault(str(reply)), INVALID)


def _no_recipient(said: Sequence[tuple[str, Reply]]) -> Refusal:
    if any(reply.code < 500 for _, reply in said):
        return _refusal(min((reply for _, reply in said), key=lambda reply: reply.code))
    addresses = ", ".join(address for address, _ in said)
    # Their clients look for the addresses behind these very words, at the end of the text.
    return Refusal(422, Fault(f"the next hop takes no mail for these inactive addresses: {addresses}."), INACTIVE)


def send_routes(sending: PostmarkSending, max_bytes: int) -> tuple[Route, ...]:
    """Give Postmark's paths; a mail has at most *max_bytes*."""
    post = partial(
        Route,
        method="POST",
        scope="messages:write",
        rules=POSTMARK_FIELDS,
        dialect=POSTMARK_DIALECT,
        refuses={422: "the mail was not sent", 503: "the mail was not sent, try again"},
    )
    refused = partial(post, body=dict[str, Any], gives=PostmarkSent, answer=sending.refuse_template)
    return (
        post(
            operation="sendPostmarkMail",
            path="/email",
            body=PostmarkMail,
            max_body_bytes=max_bytes * 3 // 2,
            gives=PostmarkSent,
            answer=sending.send,
        ),
        post(
            operation="sendPostmarkMails",
            path="/email/batch",
            body=list[PostmarkMail],
            max_body_bytes=max_bytes * 3,
            gives=list[PostmarkSent],
            answer=sending.send_all,
        ),
        refused(operation="sendPostmarkTemplate", path="/email/withTemplate"),
        refused(operation="sendPostmarkTemplates", path="/email/batchWithTemplates"),
    )

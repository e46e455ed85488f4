"""`POST /v1/rewrite`: tracked links for senders in any language, from a service beside them that has the keys.

Promise: what comes back is what came, but for its links, and with it what central is to know. Nothing is kept.
"""

import base64
import binascii
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from linkrouter.encoder import ContentKind, Mode, Rewritten
from linkrouter.integrations.gating import MailGate
from linkrouter.integrations.mail_headers import MailLabels, find_message_id
from linkrouter.integrations.manifest import manifest_entry
from linkrouter.integrations.reporting import Reporter
from linkrouter.integrations.tracking import Tracker
from linkrouter.metrics import Metrics
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["REWRITE_RULES", "Rewriting", "rewrite_routes"]

MAX_MAILS = 500
_STRICT = ConfigDict(extra="forbid", strict=True)

REWRITE_RULES = {
    "message": "a whole mail (RFC 5322) in base64",
    "html": "the HTML of a mail",
    "text": "the plain text of a mail",
    "mails": f"a list of at most {MAX_MAILS} mails",
    "mode": "html-and-text, html-only, text-only or none",
    "count_only": "true or false: whether clicks are recorded without address and agent",
    "message_id": "what central is to know the mail by; by default its Message-ID, or a fresh one",
    "recipient": "who gets it",
    "tag": "a word to count by",
    "metadata": "an object of names with texts",
}


def _about(name: str) -> Any:
    return Field(description=REWRITE_RULES[name])


class MailToRewrite(TypedDict):
    """A mail: either `message`, or `html` and `text` or one of them."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    message: NotRequired[Annotated[str | None, _about("message")]]
    html: NotRequired[Annotated[str | None, _about("html")]]
    text: NotRequired[Annotated[str | None, _about("text")]]
    mode: NotRequired[Annotated[Mode | None, _about("mode")]]
    count_only: NotRequired[Annotated[bool | None, _about("count_only")]]
    message_id: NotRequired[Annotated[str | None, _about("message_id")]]
    recipient: NotRequired[Annotated[str | None, _about("recipient")]]
    tag: NotRequired[Annotated[str | None, _about("tag")]]
    metadata: NotRequired[Annotated[dict[str, str] | None, _about("metadata")]]


class MailsToRewrite(TypedDict):
    """Several mails."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    mails: Annotated[list[MailToRewrite], Field(max_length=MAX_MAILS), _about("mails")]


class SkippedRecord(TypedDict):
    """A link that was left as it is, and why."""

    url: str
    part: Literal["html", "text"]
    position: int
    reason: str


class RewrittenMail(TypedDict):
    """The mail in the form in which it came; `manifest` is what `POST /v1/messages` takes, null without links."""

    message: NotRequired[str]
    html: NotRequired[str]
    text: NotRequired[str]
    manifest: dict[str, Any] | None
    skipped: list[SkippedRecord]
    reason: Annotated[str | None, Field(description="why nothing of it could be rewritten")]
    unread: Annotated[list[str], Field(description="why parts could not be read")]


class RewrittenMails(TypedDict):
    """The mails in the order in which they came."""

    mails: list[RewrittenMail]


class EncoderReadiness(TypedDict):
    """It answers."""

    status: Literal["ready"]


ONE_FORM = "give message, or html and text, or one of them"
NOT_BASE64 = "message must be base64"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What the answers need; without a *reporter* it is the sender who tells central."""

    tracker: Tracker
    metrics: Metrics
    tenant: int = 0
    reporter: Reporter | None = None
    gate: MailGate | None = None
    gate_warns: bool = False

    async def rewrite(self, mail: MailToRewrite, caller: Caller) -> RewrittenMail | Refusal:
        """Track the links of a mail."""
        parts = _read(mail)
        if isinstance(parts, str):
            return Refusal(422, Fault(parts))
        return await self._rewrite(mail, parts, caller)

    async def rewrite_all(self, batch: MailsToRewrite, caller: Caller) -> RewrittenMails | Refusal:
        """Track the links of several mails; all of them or none."""
        read = [_read(mail) for mail in batch["mails"]]
        for index, parts in enumerate(read):
            if isinstance(parts, str):
                return Refusal(422, Fault(parts, "mails", index))
        done: list[RewrittenMail] = []
        for mail, parts in zip(batch["mails"], read, strict=True):
            assert not isinstance(parts, str)
            rewritten = await self._rewrite(mail, parts, caller)
            if isinstance(rewritten, Refusal):
                return Refusal(
                    rewritten.status, Fault(rewritten.fault.reason if rewritten.fault else "", "mails", len(done))
                )
            done.append(rewritten)
        return {"mails": done}

    async def ready(self, _: object, __: Caller) -> EncoderReadiness:
        """Say that it answers."""
        return {"status": "ready"}

    async def _rewrite(
        self, mail: MailToRewrite, parts: Sequence[tuple[ContentKind, Any]], caller: Caller
    ) -> RewrittenMail | Refusal:
        tenant = self.tenant if caller.tenant is None else caller.tenant
        held = await self.gate.find_hold(parts, tenant) if self.gate is not None else None
        if held is not None and not self.gate_warns:
            self.metrics.count("linkrouter_mails_rewritten", "held")
            return Refusal(422 if held.why == "flagged" else 503, Fault(held.reason))
        labels = MailLabels(mode=mail.get("mode"), count_only=mail.get("count_only"))
        answer: dict[str, Any] = {}
        done: Rewritten[Any]
        if parts[0][0] == "message":
            done = self.tracker.track(parts[0][1], labels, tenant)
            answer["message"] = base64.b64encode(done.content).decode("ascii")
        else:
            done = self.tracker.encoder(labels, tenant).rewrite_parts(parts)  # type: ignore[arg-type]
            answer |= dict(zip((kind for kind, _ in parts), done.content, strict=True))
        self.metrics.count("linkrouter_mails_rewritten", "tracked" if done.links else "untracked")
        return _answer(answer, done, self._manifest(mail, parts, done, labels, tenant))

    def _manifest(
        self,
        mail: MailToRewrite,
        parts: Sequence[tuple[ContentKind, Any]],
        done: Rewritten[Any],
        labels: MailLabels,
        tenant: int,
    ) -> dict[str, object] | None:
        if not done.links:
            return None
        found = find_message_id(parts[0][1]) if parts[0][0] == "message" else ""
        entry = manifest_entry(
            done.links,
            mail.get("message_id") or found or str(uuid.uuid4()),
            mail.get("recipient"),
            mail.get("tag"),
            tenant,
            message_key=done.message_key,
            metadata=mail.get("metadata"),
            count_only=self.tracker.is_counted_only(labels),
        )
        if self.reporter is not None:
            self.reporter.report(entry)
        return entry


def _read(mail: MailToRewrite) -> list[tuple[ContentKind, Any]] | str:
    """Give the parts of *mail*, or what is wrong with it."""
    message, html, text = mail.get("message"), mail.get("html"), mail.get("text")
    if (message is None) == (html is None and text is None):
        return ONE_FORM
    if message is None:
        both: tuple[tuple[ContentKind, str | None], ...] = (("html", html), ("text", text))
        return [(kind, content) for kind, content in both if content is not None]
    try:
        return [("message", base64.b64decode(message, validate=True))]
    except (binascii.Error, ValueError):
        return NOT_BASE64


def _answer(answer: dict[str, Any], done: Rewritten[Any], manifest: dict[str, object] | None) -> RewrittenMail:
    skipped = [
        {"url": link.url, "part": link.part, "position": link.position, "reason": link.reason} for link in done.skipped
    ]
    answer |= {"manifest": manifest, "skipped": skipped, "reason": done.reason, "unread": list(done.unread)}
    return answer  # type: ignore[return-value]


def rewrite_routes(rewriting: Rewriting, max_bytes: int) -> tuple[Route, ...]:
    """Give the paths; a mail has at most *max_bytes*."""
    post = partial(
        Route,
        method="POST",
        scope="messages:write",
        rules=REWRITE_RULES,
        refuses={422: "this is not what the path takes, or a link of the mail is flagged", 503: "try again"},
    )
    return (
        post(
            operation="rewriteMail",
            path="/v1/rewrite",
            body=MailToRewrite,
            max_body_bytes=max_bytes * 3 // 2,
            gives=RewrittenMail,
            answer=rewriting.rewrite,
        ),
        post(
            operation="rewriteMails",
            path="/v1/rewrite/batch",
            body=MailsToRewrite,
            max_body_bytes=max_bytes * 3,
            gives=RewrittenMails,
            answer=rewriting.rewrite_all,
        ),
        Route(
            operation="getReadiness",
            method="GET",
            path="/-/ready",
            scope=None,
            gives=EncoderReadiness,
            answer=rewriting.ready,
        ),
    )

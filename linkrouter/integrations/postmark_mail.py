"""A mail as Postmark's clients give it, made into one that SMTP takes.

Promise: null, empty and missing are the same, as with them; what cannot be a mail is told by the name of its field,
and no field can put another header into the mail.
"""

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.errors import HeaderParseError, MessageError
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, getaddresses, localtime
from typing import Any, NotRequired

from typing_extensions import TypedDict

from linkrouter.integrations.mail_headers import TRACK_LINKS, MailLabels
from linkrouter.integrations.next_hop import Envelope

__all__ = ["POSTMARK_FIELDS", "ComposedMail", "PostmarkMail", "compose_mail"]

MAX_MAIL_RECIPIENTS = 50
OWN_HEADERS = {"from", "to", "cc", "bcc", "subject", "reply-to", "date", "message-id", "mime-version", "sender"}

POSTMARK_FIELDS = {
    "From": "one address",
    "To": "addresses, separated by commas",
    "Cc": "addresses, separated by commas",
    "Bcc": "addresses, separated by commas",
    "ReplyTo": "addresses, separated by commas",
    "Subject": "text",
    "Tag": "text",
    "HtmlBody": "text",
    "TextBody": "text",
    "TrackOpens": "true or false; opens are not tracked",
    "TrackLinks": "None, HtmlAndText, HtmlOnly or TextOnly",
    "Headers": "a list of objects with Name and Value",
    "Metadata": "an object of names with texts",
    "Attachments": "a list of objects with Name, Content in base64, ContentType and perhaps ContentID",
    "MessageStream": "text",
}


class PostmarkHeader(TypedDict):
    """One more header field."""

    Name: str
    Value: str


class PostmarkAttachment(TypedDict):
    """A file."""

    Name: str
    Content: str
    ContentType: NotRequired[str | None]
    ContentID: NotRequired[str | None]


class PostmarkMail(TypedDict):
    """A mail; fields that are not known are ignored."""

    From: str
    To: NotRequired[str | None]
    Cc: NotRequired[str | None]
    Bcc: NotRequired[str | None]
    ReplyTo: NotRequired[str | None]
    Subject: NotRequired[str | None]
    Tag: NotRequired[str | None]
    HtmlBody: NotRequired[str | None]
    TextBody: NotRequired[str | None]
    TrackOpens: NotRequired[bool | None]
    TrackLinks: NotRequired[str | None]
    Headers: NotRequired[list[PostmarkHeader] | None]
    Metadata: NotRequired[dict[str, Any] | None]
    Attachments: NotRequired[list[PostmarkAttachment] | None]
    MessageStream: NotRequired[str | None]


@dataclass(frozen=True, slots=True)
class ComposedMail:
    """A mail ready for SMTP; `id` is what its sender and central know it by."""

    id: str
    envelope: Envelope
    recipients: tuple[str, ...] = field(repr=False)
    content: bytes = field(repr=False)
    labels: MailLabels


def compose_mail(given: PostmarkMail) -> ComposedMail:
    """Make a mail of what was given.

    Raises:
        ValueError: it cannot be one; the message begins with the name of a field.
    """
    senders = _addresses("From", given["From"])
    recipients = (
        _addresses("To", given.get("To")) + _addresses("Cc", given.get("Cc")) + _addresses("Bcc", given.get("Bcc"))
    )
    if len(senders) != 1:
        raise ValueError("From must be one address")
    if not 1 <= len(recipients) <= MAX_MAIL_RECIPIENTS:
        raise ValueError(f"To, Cc and Bcc must be 1 to {MAX_MAIL_RECIPIENTS} addresses together")
    track = (given.get("TrackLinks") or "").lower()
    if track and track not in TRACK_LINKS:
        raise ValueError(f"TrackLinks must be {POSTMARK_FIELDS['TrackLinks']}")
    message_id = str(uuid.uuid4())
    try:
        message = _message(given, message_id, senders[0].domain)
        content = message.as_bytes(policy=SMTP.clone(utf8=_is_utf8(senders, recipients)))
    except (MessageError, HeaderParseError, UnicodeError, LookupError, IndexError, AttributeError) as exc:
        raise ValueError("Headers, Subject or addresses cannot be written as a mail") from exc
    metadata = {name: str(text) for name, text in (given.get("Metadata") or {}).items()}
    return ComposedMail(
        message_id,
        Envelope(senders[0].addr_spec, _is_utf8(senders, recipients), not content.isascii()),
        tuple(dict.fromkeys(address.addr_spec for address in recipients)),
        content,
        MailLabels(given.get("Tag") or "", metadata, TRACK_LINKS.get(track)),
    )


def _addresses(name: str, text: str | None) -> list[MailAddress]:
    if not text or not text.strip():
        return []
    try:
        found = [MailAddress(shown, addr_spec=address) for shown, address in getaddresses([text])]
        if all(address.username and address.domain for address in found):
            return found
    except (ValueError, MessageError, HeaderParseError, IndexError):
        pass
    raise ValueError(f"{name} must be {POSTMARK_FIELDS[name]}")


def _is_utf8(*groups: list[MailAddress]) -> bool:
    return any(not address.addr_spec.isascii() for group in groups for address in group)


def _message(given: PostmarkMail, message_id: str, domain: str) -> EmailMessage:
    text, html = given.get("TextBody"), given.get("HtmlBody")
    if not text and not html:
        raise ValueError("HtmlBody or TextBody must be given")
    message = EmailMessage(policy=SMTP)
    fields: dict[str, str | None] = {
        "From": given["From"],
        "To": given.get("To"),
        "Cc": given.get("Cc"),
        "ReplyTo": given.get("ReplyTo"),
    }
    for name, text_of in fields.items():
        if addresses := _addresses(name, text_of):
            message[name.replace("yT", "y-T")] = addresses
    message["Subject"] = _one_line("Subject", given.get("Subject") or "")
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = f"<{message_id}@{domain if domain.isascii() else 'linkrouter.invalid'}>"
    for header in given.get("Headers") or ():
        _add_header(message, header)
    if text:
        message.set_content(text)
    if html:
        (message.add_alternative if text else message.set_content)(html, subtype="html")
    for attachment in given.get("Attachments") or ():
        _attach(message, attachment)
    return message


def _add_header(message: EmailMessage, header: Mapping[str, Any]) -> None:
    name = header["Name"].strip()
    if name.lower() in OWN_HEADERS or name.lower().startswith("content-"):
        return
    if not name or not name.isascii() or any(not "!" <= letter <= "~" or letter == ":" for letter in name):
        raise ValueError("Headers must have names of printable ASCII without a colon")
    message[name] = _one_line("Headers", header["Value"])


def _one_line(name: str, text: str) -> str:
    if any((ord(letter) < 32 and letter != "\t") or letter == "\x7f" for letter in text):
        raise ValueError(f"{name} must not have line breaks or control characters")
    return text


def _attach(message: EmailMessage, attachment: PostmarkAttachment) -> None:
    try:
        content = base64.b64decode("".join(attachment["Content"].split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("Attachments must have their Content in base64") from None
    kind = (attachment.get("ContentType") or "application/octet-stream").partition(";")[0].strip()
    main, _, sub = kind.partition("/")
    if not main.isalpha() or not sub or not all(letter.isalnum() or letter in ".+-_" for letter in sub):
        raise ValueError("Attachments must have a ContentType such as image/png")
    if main == "message":
        main, sub = "application", "octet-stream"
    content_id = (attachment.get("ContentID") or "").removeprefix("cid:").strip("<>")
    name = _one_line("Attachments", attachment["Name"])
    html = message.get_body(("html",))
    if content_id and html is not None:
        html.add_related(
            content, main, sub, cid=f"<{_one_line('Attachments', content_id)}>", filename=name, disposition="inline"
        )
    else:
        message.add_attachment(content, main, sub, filename=name)

"""Message objects of the standard library and of Django, to bytes and back.

Promise: an object goes out as it would have gone out without us, but for its links. Its headers are never parsed from
their own output, which damages folded ones (python/cpython#99927): the object is copied, part by part, only the bodies
that hold links are set anew, and the copy must then write exactly the rewritten bytes.
"""

import copy
from email import message_from_bytes
from email.errors import MessageError
from email.message import Message
from typing import TypeVar

from linkrouter.encoder.report import SkipReason

__all__ = ["AnyMessage", "copy_with_bodies", "message_to_bytes"]

AnyMessage = TypeVar("AnyMessage", bound=Message)  # `EmailMessage`, `MIMEMultipart`, Django's `SafeMIMEText`, …

# All that the generator of the `email` package is known to raise; its Unicode errors are ValueErrors.
_GENERATOR_ERRORS = (ValueError, LookupError, TypeError, AttributeError, MessageError)
_TEXT_TYPES = ("text/plain", "text/html")


def message_to_bytes(message: object) -> tuple[bytes, SkipReason | None]:
    """Write *message* as it would be sent; where that cannot be done, return no bytes and the reason.

    Raises:
        TypeError: *message* is no message object.
    """
    if not isinstance(message, Message):
        raise TypeError(f"message must be bytes or an email.message.Message, not {type(message).__name__}")
    try:
        return message.as_bytes(), None
    except RecursionError:
        return b"", "too complex"
    except _GENERATOR_ERRORS:
        return b"", "not serialisable"


def copy_with_bodies(message: AnyMessage, rewritten: bytes) -> AnyMessage | None:
    """Copy *message* with the text bodies of *rewritten*, the bytes that it shall write; None if the copy does not.

    Every part keeps its class, its attributes and its very header values.
    """
    duplicate = _copy(message)
    pairs: list[tuple[Message, Message]] = [(duplicate, message_from_bytes(rewritten))]
    while pairs:
        part, parsed = pairs.pop()
        old, new = vars(part)["_payload"], vars(parsed)["_payload"]  # as it stands: get_payload() decodes 8-bit text
        if isinstance(old, list) and isinstance(new, list):
            pairs += zip(old, new, strict=False)
        elif isinstance(old, str) and isinstance(new, str) and parsed.get_content_type() in _TEXT_TYPES:
            _set_body(part, old, new)
    return duplicate if message_to_bytes(duplicate)[0] == rewritten else None


def _copy(message: AnyMessage) -> AnyMessage:
    """Copy a message and its parts, one by one: `deepcopy` fails on deep ones, and doubles attachments."""
    duplicate = _copy_part(message)
    waiting: list[Message] = [duplicate]
    while waiting:
        part = waiting.pop()
        payload = vars(part)["_payload"]
        if isinstance(payload, list):
            vars(part)["_payload"] = parts = [_copy_part(child) for child in payload]
            waiting += parts
    return duplicate


def _copy_part(part: AnyMessage) -> AnyMessage:
    duplicate = copy.copy(part)
    attributes = vars(duplicate)
    for name in ("_headers", "defects"):
        attributes[name] = list(attributes[name])
    return duplicate


def _set_body(part: Message, old: str, new: str) -> None:
    """Set the body *new*, with the line ends that *old* has in memory, where more than line ends differ."""
    if new.replace("\r\n", "\n") == old.replace("\r\n", "\n"):
        return
    # Not the class's own set_payload: Django's chooses a transfer encoding anew.
    Message.set_payload(part, new if "\r\n" in old else new.replace("\r\n", "\n"))

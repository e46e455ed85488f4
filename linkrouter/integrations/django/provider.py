"""What the backend that really sends tells of a mail: its id, and whether it was sent at all.

Promise: nothing of it is lost to the caller: what a backend writes onto the copy it was given, such as anymail's
`anymail_status`, is found on the caller's message afterwards.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.mail import EmailMessage

from linkrouter.encoder import Rewritten

__all__ = ["MessageWatch", "Outgoing", "hand_back", "takes_track_clicks", "were_sent"]

_OURS = {"body", "alternatives", "track_clicks", "message"}


class MessageWatch:
    """Stands in for the copy's `message()`, to note the Message-ID of what a backend builds: each time it is another.

    Queues pickle and copy a mail, so it can be pickled and copied with it.
    """

    def __init__(self, mail: Any) -> None:
        self.mail = mail
        self.built_id: str | None = None

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Build the MIME message as the class of the mail does."""
        built = type(self.mail).message(self.mail, *args, **options)
        self.built_id = str(built["Message-ID"] or "").strip("<> ") or None
        return built


@dataclass(slots=True, eq=False)
class Outgoing:
    """One mail on its way: the caller's message, the copy that is sent, and what the encoder did."""

    message: Any
    duplicate: Any
    done: Rewritten[tuple[str, ...]] | None = None
    count_only: bool = False

    @property
    def built_id(self) -> str | None:
        """The Message-ID of the MIME message, once a backend has built that."""
        watch = vars(self.duplicate).get("message")
        return watch.built_id if isinstance(watch, MessageWatch) else None

    @property
    def message_id(self) -> str:
        """The provider's id, else that of the MIME message, else one of our own."""
        return self.provider_id or self.built_id or f"{uuid.uuid4()}@linkrouter"

    @property
    def provider_id(self) -> str | None:
        """What anymail or django-ses tell of the mail; of several ids, one for each recipient, the first."""
        found = getattr(getattr(self.duplicate, "anymail_status", None), "message_id", None)
        if isinstance(found, set | frozenset):
            found = min((one for one in found if isinstance(one, str)), default=None)
        if found is None:
            found = (getattr(self.duplicate, "extra_headers", None) or {}).get("message_id")
        return str(found) if found else None


def hand_back(outgoing: Outgoing) -> None:
    """Give the caller's message what the backend wrote onto the copy."""
    before = vars(outgoing.message)
    for name, value in vars(outgoing.duplicate).items():
        if name not in _OURS and before.get(name, _OURS) is not value:
            before[name] = value


def were_sent(mails: Sequence[Outgoing], answer: object, failed: bool) -> list[Outgoing]:
    """Give the mails that a backend sent, by what it answered and what it left behind.

    A number tells of all or none. In between, a mail with a provider's id was sent; so was, as far as anybody knows,
    one whose MIME message was built, but for the last one when the backend raised.
    """
    if not failed and (not isinstance(answer, int) or answer == len(mails)):
        return list(mails)
    if not failed and answer == 0:
        return []
    built = [mail for mail in mails if mail.built_id]
    tried = {id(mail) for mail in (built[:-1] if failed else built)}
    return [mail for mail in mails if (mail.provider_id and not _is_refused(mail)) or id(mail) in tried]


def _is_refused(mail: Outgoing) -> bool:
    """Say whether anymail was told that no recipient gets it."""
    statuses = getattr(getattr(mail.duplicate, "anymail_status", None), "status", None) or {"unknown"}
    return set(statuses) <= {"invalid", "rejected", "failed"}


_taken: dict[tuple[type, bool], bool] = {}


def takes_track_clicks(backend: Any) -> bool:
    """Say whether `track_clicks = False` may be set on what *backend* sends.

    Anymail's backends of services that cannot switch click tracking off for one mail refuse a mail that asks for it.
    """
    if not hasattr(backend, "build_message_payload"):
        return True
    kind = (type(backend), bool(getattr(backend, "ignore_unsupported_features", False)))
    if kind not in _taken:
        _taken[kind] = _is_probe_taken(backend)
    return _taken[kind]


def _is_probe_taken(backend: Any) -> bool:
    """Have anymail put together a mail that asks for it, which is not sent."""
    probe: Any = EmailMessage("-", "-", "a@example.com", ["b@example.com"])
    probe.track_clicks = False
    try:
        backend.build_message_payload(probe, {})
    except Exception as exc:  # whatever else is wrong is told when a real mail is sent
        return type(exc).__name__ != "AnymailUnsupportedFeature"
    return True

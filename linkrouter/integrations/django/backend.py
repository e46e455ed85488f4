"""Django's e-mail backend that tracks links and hands the mail on to the backend that sends.

Promise: a mail is never lost here, and waits for nothing but the encoder, and for the gate where one is set. Whatever
goes wrong with tracking, the mail goes out as it came; central is told afterwards, beside the sending.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import django.core.mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string

from linkrouter.checker import gate_for_encoder
from linkrouter.errors import HeldMail, StoreError
from linkrouter.integrations.django.options import is_option, read_options
from linkrouter.integrations.django.provider import (
    MessageWatch,
    Outgoing,
    hand_back,
    takes_track_clicks,
    were_sent,
)
from linkrouter.integrations.django.rewriting import copy_with_links, find_recipient, parts_of, read_mode, read_tag
from linkrouter.integrations.django.sender import encoder_for, find_reporter, read_keyring
from linkrouter.integrations.manifest import manifest_entry
from linkrouter.log import log

__all__ = ["EmailBackend"]


class EmailBackend(BaseEmailBackend):
    """Wraps the backend `LINKROUTER["BACKEND"]`, or the mailer *send_using* of `MAILERS`.

    Any key of `LINKROUTER` can be given in small letters for one mailer; other options are for the wrapped backend, and
    unknown ones where that is a mailer.

    Raises:
        ImproperlyConfigured: a setting is missing or wrong, and named.
    """

    def __init__(self, fail_silently: bool = False, *, send_using: str | None = None, **options: Any) -> None:
        ours = {name: options.pop(name) for name in list(options) if is_option(name)}
        if send_using is None:
            kept = {name: options.pop(name) for name in ("alias", "_ignore_unknown_kwargs") if name in options}
            self._inner_options = options
            super().__init__(**kept)
        else:
            super().__init__(**options)
        self.fail_silently = fail_silently
        self.options = read_options(ours)
        self._send_using = send_using
        self._inner: Any = None
        self._keyring = read_keyring(self.options)
        encoder_for(self.options, self._keyring, self.options.mode, self.options.count_only)
        self.reporter = find_reporter(self.options)
        if self.options.gate is not None:
            _load_gate().read_check_settings(self.options)
        if send_using is None and self.options.backend is None:
            raise ImproperlyConfigured(
                "LINKROUTER['BACKEND'] is missing: the backend that sends; with MAILERS it is OPTIONS 'send_using'"
            )

    @property
    def inner(self) -> Any:
        """The backend that sends.

        Raises:
            ImproperlyConfigured: it cannot be imported, or is this one again.
        """
        if self._inner is None:
            self._inner = self._open_mailer() if self._send_using is not None else self._open_backend()
            if isinstance(self._inner, EmailBackend):
                raise ImproperlyConfigured("LINKROUTER['BACKEND'] or 'send_using' names the backend that tracks, again")
        return self._inner

    def open(self) -> Any:
        """Open the connection of the wrapped backend, and give what that says."""
        return self.inner.open()

    def close(self) -> None:
        """Close the connection of the wrapped backend."""
        if self._inner is not None:
            self._inner.close()

    def send_messages(self, email_messages: Iterable[Any]) -> Any:
        """Send copies with tracked links, and give what the wrapped backend answers.

        Raises:
            HeldMail: the gate refuses one of them; none of them is sent.
        """
        return self.deliver(email_messages)[0]

    def deliver(self, messages: Iterable[Any]) -> tuple[Any, list[Outgoing]]:
        """Send as `send_messages` does, and give the mails that were handed on, too.

        Raises:
            HeldMail: see `send_messages`.
        """
        track_clicks = takes_track_clicks(self.inner)
        mails = [self._prepare(message, track_clicks) for message in self._admitted(messages)]
        if not mails:
            return 0, []
        answer, failed = None, True
        try:
            answer = self.inner.send_messages([mail.duplicate for mail in mails])
            failed = False
        finally:
            for mail in mails:
                hand_back(mail)
            self._report(were_sent(mails, answer, failed))
        return answer, mails

    def _admitted(self, messages: Iterable[Any]) -> Sequence[Any]:
        """Give the messages that the gate lets through."""
        if self.options.gate is None:
            return list(messages)
        admitted = []
        for message in messages:
            try:
                self._ask_gate(message)
            except (HeldMail, StoreError) as exc:
                log("mail.held", reason=type(exc).__name__, links=len(getattr(exc, "links", ())))
                if self.options.gate == "refuse" and not self.fail_silently:
                    raise
                if self.options.gate == "refuse":
                    continue
            admitted.append(message)
        return admitted

    def _ask_gate(self, message: Any) -> None:
        decision = _load_gate().ask_gate(self.options, parts_of(message))
        gate_for_encoder(decision)(())

    def _prepare(self, message: Any, track_clicks: bool) -> Outgoing:
        try:
            outgoing = self._rewrite(message)
            vars(outgoing.duplicate).setdefault("message", MessageWatch(outgoing.duplicate))
            if track_clicks:
                outgoing.duplicate.track_clicks = False  # of anymail's: or the provider wraps our links again
        except Exception as exc:  # a mail is worth more than its links
            log("mail.untracked", reason=type(exc).__name__)
            return Outgoing(message, message)
        return outgoing

    def _rewrite(self, message: Any) -> Outgoing:
        mode = read_mode(message, self.options.mode)
        if mode is None:
            log("mail.untracked", reason="track_links")
        count_only = bool(getattr(message, "count_only", self.options.count_only))
        encoder = encoder_for(self.options, self._keyring, mode, count_only) if mode not in (None, "none") else None
        duplicate, done = copy_with_links(message, encoder)
        return Outgoing(message, duplicate, done, count_only)

    def _report(self, mails: Iterable[Outgoing]) -> None:
        if self.reporter is None:
            return
        for mail in mails:
            if mail.done is None or not mail.done.links:
                continue
            try:
                self.reporter.report(self._entry(mail))
            except Exception as exc:  # the mail is out; what went wrong here must not look as if it were not
                log("report.dropped", reports=1, reason=type(exc).__name__)

    def _entry(self, mail: Outgoing) -> dict[str, object]:
        assert mail.done is not None
        metadata = getattr(mail.message, "metadata", None)
        return manifest_entry(
            mail.done.links,
            mail.message_id,
            find_recipient(mail.message),
            read_tag(mail.message),
            self.options.tenant,
            message_key=mail.done.message_key,
            metadata=metadata if isinstance(metadata, dict) else None,
            count_only=mail.count_only,
        )

    def _open_mailer(self) -> Any:
        mailers = getattr(django.core.mail, "mailers", None)
        if mailers is None:
            raise ImproperlyConfigured("OPTIONS 'send_using' needs MAILERS, which Django has from 6.1 on")
        inner = mailers[self._send_using]
        if self.fail_silently:
            inner.fail_silently = True
        return inner

    def _open_backend(self) -> Any:
        try:
            backend = import_string(self.options.backend)
        except ImportError as exc:
            raise ImproperlyConfigured(f"LINKROUTER['BACKEND']: {self.options.backend!r} cannot be imported") from exc
        silently = {"fail_silently": True} if self.fail_silently else {}  # not for each Django may it be given as False
        return backend(**self._inner_options, **silently)


def _load_gate() -> Any:
    """Import the gate when it is asked for: what the checker needs is slow to import, and may be missing."""
    try:
        from linkrouter.integrations.django import gate
    except ImportError as exc:
        raise ImproperlyConfigured(
            "LINKROUTER['GATE'] needs more packages; run \"pip install 'linkrouter[check]'\""
        ) from exc
    return gate

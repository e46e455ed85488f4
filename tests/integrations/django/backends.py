"""Backends to be wrapped, each with a habit of one that there is."""

import pickle
import smtplib

from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend as Locmem


class Recorder(BaseEmailBackend):
    """Keeps what it gets, and builds nothing."""

    kept: list = []  # noqa: RUF012

    def send_messages(self, messages):
        self.kept[:] = messages
        return len(messages)


class Failing(Locmem):
    """Sends two messages, and fails at the third."""

    def send_messages(self, messages):
        for number, message in enumerate(messages):
            message.message()
            if number == 2:
                raise smtplib.SMTPServerDisconnected("away")
        return len(messages)


class Quiet(Locmem):
    """Says that nothing was sent."""

    def send_messages(self, messages):
        for message in messages:
            message.message()
        return 0


class Queue(Locmem):
    """Pickles what it gets, as queues in a database do."""

    def send_messages(self, messages):
        return super().send_messages(pickle.loads(pickle.dumps(list(messages))))


class Opened(Locmem):
    """Notes what it was given."""

    given: dict = {}  # noqa: RUF012
    calls: list = []  # noqa: RUF012

    def __init__(self, fail_silently=False, **options):
        type(self).given = {"fail_silently": fail_silently, **options}
        super().__init__()

    def open(self):
        self.calls.append("open")
        return True

    def close(self):
        self.calls.append("close")


class Esp(BaseEmailBackend):
    """Like one of anymail's whose service cannot switch click tracking for one mail."""

    class AnymailUnsupportedFeature(ValueError):
        pass

    def build_message_payload(self, message, defaults):
        if getattr(message, "track_clicks", None) is not None:
            raise self.AnymailUnsupportedFeature

    def send_messages(self, messages):
        for message in messages:
            self.build_message_payload(message, {})
            message.anymail_status = "as it was written"
        return len(messages)

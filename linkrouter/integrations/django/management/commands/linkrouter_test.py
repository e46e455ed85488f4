"""`manage.py linkrouter_test ADDRESS`: check the settings, send a mail with a tracked link, see central take it.

Promise: it uses what the project uses, the same backend, keys, token and spool; whatever does not work is said with the
cure, and the command fails.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.core.management.base import BaseCommand, CommandError

from linkrouter.integrations.django.backend import EmailBackend
from linkrouter.integrations.django.checks import check_settings, find_mailers
from linkrouter.integrations.django.provider import Outgoing
from linkrouter.integrations.reporting import ReportAnswer, Reporter

__all__ = ["Command"]

REPORTED_WITHIN_S = 15.0
_CURES = {
    "taken": "other reports still wait for central",
    "poison": "central does not take its manifest, which is in dead-letters.jsonl in SPOOL",
    "denied": "central refuses the token; CENTRAL_TOKEN_FILE needs scope messages:write and this tenant",
    "wrong_address": "this is not central; look at CENTRAL_URL",
    "failed": "central cannot be reached; the report is kept, and goes with the next mail",
}


class Command(BaseCommand):
    """Sends the test mail."""

    help = "Check the settings of linkrouter and send a mail with a tracked link to ADDRESS."
    requires_system_checks: list[str] = []  # noqa: RUF012 - ours are printed, and all others are not asked for

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take who gets the mail, and which mailer sends it."""
        parser.add_argument("address")
        parser.add_argument("--mailer", help="A name of MAILERS; by default the first that tracks links.")
        parser.add_argument("--link", default="https://example.com/", help="Where the link in the mail leads.")
        parser.add_argument("--from", dest="sender", help="The sender; DEFAULT_FROM_EMAIL by default.")

    def handle(self, **options: Any) -> None:
        """Run the command.

        Raises:
            CommandError: something does not work.
        """
        for finding in check_settings():
            self.stderr.write(str(finding))
        backend = _open_backend(options["mailer"])
        message = EmailMultiAlternatives(
            "linkrouter: a test", f"A tracked link: {options['link']}\n", options["sender"], [options["address"]]
        )
        message.attach_alternative(f'<p>A <a href="{options["link"]}">tracked link</a></p>', "text/html")
        try:
            [mail] = backend.deliver([message])[1]
        except Exception as exc:  # a backend's own words may hold its secrets
            raise CommandError(f"the mail could not be sent ({type(exc).__name__}); --traceback says more") from exc
        self._tell(mail, backend.reporter)

    def _tell(self, mail: Outgoing, reporter: Reporter | None) -> None:
        if mail.done is None or not mail.done.links:
            raise CommandError("the mail was sent without a tracked link; look at MODE and --link")
        self.stdout.write(f"sent, as {mail.message_id}")
        for link in mail.done.links:
            self.stdout.write(f"  {link.part}: {link.tracked_url}")
        if reporter is None:
            self.stdout.write("central was not told: CENTRAL_URL is not set")
            return
        is_told = reporter.flush(REPORTED_WITHIN_S)
        answer = reporter.last_answer or ReportAnswer("failed", "no answer")
        if answer.outcome != "taken" or not is_told:
            raise CommandError(f"the mail was sent, but {_CURES[answer.outcome]} ({answer.reason})")
        self.stdout.write("central was told; click the link, and look for the message there")


def _open_backend(alias: str | None) -> EmailBackend:
    mailers = find_mailers()
    name = f"MAILERS[{alias!r}]" if alias else next(iter(mailers), None)
    if name not in mailers:
        raise CommandError(f"{name or 'no setting'} names no backend that tracks links; see docs/django.md")
    try:
        return EmailBackend(**mailers[name])
    except ImproperlyConfigured as exc:
        raise CommandError(str(exc)) from exc

"""The backend in one process, whatever Django is installed."""

import asyncio
import logging
import re
import smtplib
import warnings

import pytest

pytest.importorskip("django", reason="Django is not installed; the extra 'django' has it")

from checker.reputation.lists import rbldnsd
from checker.servers import site, status
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import override_settings
from django.utils.functional import lazystr
from django.utils.safestring import SafeString, mark_safe
from integrations.django.backends import Opened, Recorder

from linkrouter import HeldMail, Keyring
from linkrouter.integrations.django import EmailBackend
from linkrouter.integrations.django.checks import check_settings
from linkrouter.integrations.django.gate import check_message
from linkrouter.link import Key
from linkrouter.link.codec import decode_base64url

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")

CANARY = "https://canary.example/secret-of-a-person"
HERE = "integrations.django.backends"


def a_mail(
    text=f"Look: {CANARY}", html=f'<p><a href="{CANARY}">look</a></p>', to=("reader@example.net",), **attributes
):
    made = EmailMultiAlternatives("News", text, "shop@example.com", list(to))
    if html is not None:
        made.attach_alternative(html, "text/html")
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def send(*messages, **options):
    return EmailBackend(**options).send_messages(list(messages))


def link_in(text, keys):
    return Keyring.load(keys).verify(re.search(r"https://click\.example\.com(/2s?/[^\s\"<]+)", text)[1])


@pytest.fixture(autouse=True)
def _configured(configured):
    pass


def test_both_parts_are_tracked_and_are_one_mail(outbox, keys):
    assert send(a_mail()) == 1

    [sent] = outbox
    text, html = link_in(sent.body, keys), link_in(sent.alternatives[0][0], keys)
    assert (text.destination, text.part, html.destination, html.part) == (CANARY, "text", CANARY, "html")
    assert text.link_id[:8] == html.link_id[:8]


def test_the_message_of_the_caller_stays_as_it_was(outbox):
    message = a_mail()
    before = {name: value for name, value in vars(message).items() if name != "alternatives"}
    alternatives = list(message.alternatives)

    send(message)
    send(message)

    assert {name: vars(message)[name] for name in before} == before
    assert message.alternatives == alternatives
    assert len(outbox) == 2
    assert outbox[0].body != outbox[1].body


def test_an_html_body_is_html(outbox, keys):
    message = EmailMessage("News", f'<a href="{CANARY}">x</a>', "shop@example.com", ["reader@example.net"])
    message.content_subtype = "html"

    send(message)

    assert link_in(outbox[0].body, keys).part == "html"


@pytest.mark.parametrize("kind", [tuple, list])
def test_an_alternative_keeps_its_class(kind, configured):
    configured(BACKEND=f"{HERE}.Recorder")
    message = a_mail()
    message.alternatives = [kind((f'<a href="{CANARY}">x</a>', "text/html")), kind((CANARY, "text/x-amp-html"))]

    send(message)

    html, amp = Recorder.kept[0].alternatives
    assert type(html) is type(amp) is kind
    assert CANARY not in html[0]
    assert amp[0] == CANARY


def test_an_alternative_of_django_keeps_its_class(outbox):
    message = a_mail()

    send(message)

    assert type(outbox[0].alternatives[0]) is type(message.alternatives[0])


def test_a_safe_text_stays_safe_and_a_lazy_one_is_tracked(outbox):
    lazy = lazystr(f"Look: {CANARY}")

    send(a_mail(text=lazy, html=mark_safe(f'<a href="{CANARY}">x</a>')))

    assert CANARY not in outbox[0].body
    assert type(outbox[0].alternatives[0][0]) is SafeString


@pytest.mark.parametrize(
    ("attributes", "parts"),
    [
        ({"track_links": False}, ""),
        ({"track_links": "None"}, ""),
        ({"track_links": "none"}, ""),
        ({"track_links": "HtmlOnly"}, "html"),
        ({"track_links": "text-only"}, "text"),
        ({"track_links": "HtmlAndText"}, "html text"),
        ({"track_links": True}, "html text"),
        ({"track_links": "whatever"}, ""),
        ({"track_clicks": False}, ""),
        ({"track_clicks": True}, "html text"),
        ({"track_clicks": False, "track_links": True}, "html text"),
    ],
)
def test_a_message_says_what_is_tracked(attributes, parts, outbox):
    send(a_mail(**attributes))

    [sent] = outbox
    found = {"html": CANARY not in sent.alternatives[0][0], "text": CANARY not in sent.body}
    assert {part for part, tracked in found.items() if tracked} == set(parts.split())


def test_a_message_may_be_counted_only(outbox, keys, configured):
    send(a_mail(count_only=True), a_mail())
    configured(COUNT_ONLY=True)
    send(a_mail(), a_mail(count_only=False))

    assert [link_in(sent.body, keys).count_only for sent in outbox] == [True, False, True, False]


def test_the_provider_is_told_to_track_no_clicks(outbox):
    send(a_mail(track_clicks=True), a_mail(track_links=False))

    assert [sent.track_clicks for sent in outbox] == [False, False]


class Odd(EmailMultiAlternatives):
    """A message whose copy fails."""

    def __copy__(self):
        raise RuntimeError(CANARY)


def test_a_mail_that_cannot_be_rewritten_goes_out_untouched(outbox, caplog):
    odd = Odd("News", CANARY, "shop@example.com", ["reader@example.net"])

    assert send(odd) == 1
    assert outbox[0].body == CANARY
    assert "mail.untracked" in caplog.messages
    assert "canary" not in caplog.text


def test_bytes_and_odd_bodies_go_out_as_they_are(configured):
    configured(BACKEND=f"{HERE}.Recorder")
    for body in (b"bytes", None, ""):
        send(a_mail(text=body, html=None))

        assert Recorder.kept[0].body == (body or "")


def test_a_queue_can_pickle_what_it_gets(outbox, configured):
    configured(BACKEND=f"{HERE}.Queue")

    assert send(a_mail()) == 1
    assert CANARY not in outbox[0].body
    assert outbox[0].message()["Message-ID"]


class TestReports:
    @pytest.fixture(autouse=True)
    def _central(self, configured, central, token_file, tmp_path):
        reported = {"CENTRAL_URL": central.url, "CENTRAL_TOKEN_FILE": token_file, "SPOOL": tmp_path / "spool"}
        self.configure = lambda **options: configured(**reported | options)
        self.central, self.tmp_path = central, tmp_path
        self.configure()

    def send(self, *messages, **options):
        backend = EmailBackend(**options)
        try:
            backend.send_messages(list(messages))
        finally:
            assert backend.reporter.flush(10)
        return sorted(self.central.told, key=lambda entry: entry.get("tag", ""))

    def test_central_is_told_with_the_id_that_was_sent(self, outbox):
        [entry] = self.send(a_mail(tag="news", metadata={"order": 7}, to=["Reader <reader@example.net>"]))

        assert entry["recipient"] == "reader@example.net"
        assert (entry["tag"], entry["metadata"]) == ("news", {"order": "7"})
        assert [link["url"] for link in entry["links"]] == [CANARY, CANARY]
        assert len(decode_base64url(entry["message_key"])) == 8
        assert "@" in entry["message_id"]

    def test_the_id_of_a_given_header_is_reported(self):
        message = a_mail()
        message.extra_headers["Message-ID"] = "<given@example.com>"

        [entry] = self.send(message)

        assert entry["message_id"] == "given@example.com"

    def test_the_first_of_several_tags_is_reported(self):
        [entry] = self.send(a_mail(tags=["first", "second"]))

        assert entry["tag"] == "first"

    def test_nobody_is_named_where_there_are_two_recipients_or_no_consent(self):
        entries = self.send(
            a_mail(tag="a", to=["a@example.net", "b@example.net"]),
            a_mail(tag="b", count_only=True, metadata={"name": "x"}),
        )

        assert ["recipient" in entry or "metadata" in entry for entry in entries] == [False, False]

    def test_a_mail_without_tracked_links_is_not_reported(self):
        assert self.send(a_mail("no link", None), a_mail(track_links=False)) == []

    def test_what_failed_is_not_reported_and_what_went_before_is(self):
        self.configure(BACKEND=f"{HERE}.Failing")

        with pytest.raises(smtplib.SMTPServerDisconnected):
            self.send(*(a_mail(tag=str(number)) for number in range(5)))

        assert {entry["tag"] for entry in self.central.told} == {"0", "1"}

    def test_what_the_backend_did_not_send_is_not_reported(self):
        self.configure(BACKEND=f"{HERE}.Quiet")

        assert self.send(a_mail()) == []

    def test_each_tenant_has_a_spool_of_its_own(self):
        self.send(a_mail(), tenant=7)

        assert [entry["tenant"] for entry in self.central.told] == [7]
        assert (self.tmp_path / "spool" / "tenant-7").is_dir()

    def test_a_central_that_is_away_delays_no_mail_and_loses_no_report(self, outbox):
        self.configure(CENTRAL_URL="http://127.0.0.1:1")

        for _ in range(3):
            assert EmailBackend().send_messages([a_mail()]) == 1

        self.configure()
        backend = EmailBackend()
        backend.send_messages([a_mail()])
        assert backend.reporter.flush(20)
        assert len({entry["message_id"] for entry in self.central.told}) == len(outbox) == 4

    def test_nothing_secret_is_logged(self, caplog):
        caplog.set_level(logging.DEBUG)

        self.send(a_mail(tag="t" * 300))

        assert "canary" not in caplog.text + repr(EmailBackend().options)
        assert "secret-of-the-sender" not in caplog.text + repr(EmailBackend().reporter.__dict__)


def test_options_go_to_the_wrapped_backend_and_so_do_open_and_close(configured):
    configured(BACKEND=f"{HERE}.Opened")
    Opened.calls.clear()

    with EmailBackend(fail_silently=True, username="u", password="p", tenant=3) as backend:
        assert backend.options.tenant == 3

    assert Opened.given == {"fail_silently": True, "username": "u", "password": "p"}
    assert Opened.calls == ["open", "close"]


def test_keys_that_are_rotated_sign_the_next_mail(outbox, keys):
    send(a_mail())
    Keyring([Key(1, bytes(range(32)), "verify"), Key(2, bytes(32), "sign")]).save(keys, replace_existing=True)
    send(a_mail())
    keys.write_text("half a file")
    send(a_mail())

    both = Keyring([Key(1, bytes(range(32)), "verify"), Key(2, bytes(32), "sign")])
    paths = [re.search("/2s/.*", sent.body)[0] for sent in outbox]
    assert [both.verify(path).key_id for path in paths] == [1, 2, 2]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"BASE_URL": None}, "LINKROUTER['BASE_URL'] is missing"),
        ({"BASE_URL": "http://click.example.com"}, "LINKROUTER['BASE_URL']: base URL must be https"),
        ({"BASE_URL": 7}, "LINKROUTER['BASE_URL']: must be a text"),
        ({"KEYS": "/nowhere/keys.json"}, "LINKROUTER['KEYS']: "),
        ({"KEYS": ""}, "LINKROUTER['KEYS'] is missing"),
        ({"BACKEND": None}, "LINKROUTER['BACKEND'] is missing"),
        ({"BASE_URLS": "x"}, "unknown key 'BASE_URLS'; did you mean 'BASE_URL'?"),
        ({"TENANT": "7"}, "LINKROUTER['TENANT']: must be a whole number"),
        ({"TENANT": True}, "LINKROUTER['TENANT']: must be a whole number"),
        ({"MODE": "html"}, "LINKROUTER['MODE']: it must be one of html-and-text"),
        ({"TRAP_LINK": "yes"}, "LINKROUTER['TRAP_LINK']: must be True or False"),
        ({"EXCLUDED_DOMAINS": "example.com"}, "LINKROUTER['EXCLUDED_DOMAINS']: "),
        ({"EXCLUDED_DOMAINS": ["a b"]}, "LINKROUTER['EXCLUDED_DOMAINS']: "),
        ({"CENTRAL_URL": "https://central.example"}, "LINKROUTER['CENTRAL_TOKEN_FILE'] is missing"),
        ({"CENTRAL_TOKEN_FILE": "token"}, "LINKROUTER['CENTRAL_URL'] is missing"),
        ({"CENTRAL_URL": "central.example", "CENTRAL_TOKEN_FILE": "t"}, "LINKROUTER['CENTRAL_URL']: must be an http"),
        ({"CENTRAL_URL": "https://[", "CENTRAL_TOKEN_FILE": "t"}, "LINKROUTER['CENTRAL_URL']: "),
        (
            {"CENTRAL_URL": "https://u:secret@c.example", "CENTRAL_TOKEN_FILE": "t"},
            "LINKROUTER['CENTRAL_URL']: must not",
        ),
        ({"CENTRAL_URL": "https://c.example", "CENTRAL_TOKEN_FILE": "t"}, "LINKROUTER['SPOOL'] is missing"),
        ({"CENTRAL_URL": "https://c.example", "CENTRAL_TOKEN_FILE": "t", "SPOOL": "s"}, "['CENTRAL_TOKEN_FILE']: 't'"),
        ({"GATE": "on"}, "LINKROUTER['GATE']: it must be one of refuse, warn"),
        ({"GATE": "refuse"}, "LINKROUTER['CHECK'] has no 'cache'"),
        ({"GATE": "refuse", "CHECK": {"cash": "x"}}, "LINKROUTER['CHECK'] has an unknown key 'cash'"),
        ({"GATE": "refuse", "CHECK": {"cache": "c", "timeout": "x"}}, "LINKROUTER['CHECK']: TIMEOUT"),
        ({"GATE": "refuse", "CHECK": "c"}, "LINKROUTER['CHECK']: must be a dict"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_wrong_setting_is_named(wrong, words, configured):
    pytest.importorskip("h2", reason="the extra 'check' is not installed")
    configured(**wrong)

    with pytest.raises(ImproperlyConfigured) as caught:
        EmailBackend()

    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("backend", ["nowhere.Backend", "linkrouter.integrations.django.EmailBackend"])
def test_a_backend_that_cannot_be_wrapped_is_named(backend, configured):
    configured(BACKEND=backend)

    with pytest.raises(ImproperlyConfigured, match=r"LINKROUTER\['BACKEND'\]"):
        send(a_mail())


def test_no_setting_at_all_is_said():
    with override_settings(LINKROUTER=[]), pytest.raises(ImproperlyConfigured, match="LINKROUTER must be a dict"):
        EmailBackend()
    with override_settings(LINKROUTER={}), pytest.raises(ImproperlyConfigured, match="is missing"):
        EmailBackend()


def test_a_service_that_cannot_switch_click_tracking_gets_its_mail(configured):
    configured(BACKEND=f"{HERE}.Esp")
    message = a_mail()

    assert send(message) == 1
    assert message.anymail_status == "as it was written"


class TestChecks:
    def ids(self):
        return [finding.id for finding in check_settings()]

    def test_a_project_that_tracks_nothing_is_told(self):
        assert self.ids() == ["linkrouter.W001"]

    def test_what_is_wrong_is_an_error_with_the_setting(self, configured):
        configured(TENANT=-1)

        with override_settings(EMAIL_BACKEND="linkrouter.integrations.django.EmailBackend"):
            [finding] = check_settings()

        assert finding.id == "linkrouter.E001"
        assert finding.msg.startswith("EMAIL_BACKEND: LINKROUTER['TENANT']")

    def test_a_queue_may_be_what_tracks(self, configured, central, token_file, tmp_path):
        configured(CENTRAL_URL=central.url, CENTRAL_TOKEN_FILE=token_file, SPOOL=tmp_path / "spool")

        with override_settings(CELERY_EMAIL_BACKEND="linkrouter.integrations.django.EmailBackend"):
            assert self.ids() == []

    def test_a_spool_that_cannot_be_written_is_a_warning(self, configured, central, token_file, keys):
        configured(CENTRAL_URL=central.url, CENTRAL_TOKEN_FILE=token_file, SPOOL=keys / "spool")

        with override_settings(EMAIL_BACKEND="linkrouter.integrations.django.EmailBackend"):
            assert self.ids() == ["linkrouter.W002"]


class TestGate:
    @pytest.fixture(autouse=True)
    def _cache(self, configured, tmp_path):
        pytest.importorskip("h2", reason="the extra 'check' is not installed")
        self.configure = lambda **options: configured(
            **{"GATE": "refuse", "CHECK": {"cache": tmp_path / "checks.db"}} | options
        )
        self.configure()

    def test_a_mail_whose_links_were_never_checked_is_refused_and_none_is_sent(self, outbox, caplog):
        with pytest.raises(HeldMail) as caught:
            send(a_mail("no link", None), a_mail())

        assert caught.value.links == (CANARY,)
        assert "canary" not in str(caught.value) + repr(caught.value) + caplog.text
        assert outbox == []

    def test_a_mail_without_links_passes(self, outbox):
        send(a_mail("no link", None))

        assert len(outbox) == 1

    def test_where_it_only_warns_the_mail_goes(self, outbox, caplog):
        self.configure(GATE="warn")

        send(a_mail())

        assert len(outbox) == 1
        assert "mail.held" in caplog.messages

    def test_who_fails_silently_gets_what_passes(self, outbox):
        assert send(a_mail("no link", None), a_mail(), fail_silently=True) == 1

    async def test_a_checked_mail_goes_tracked_and_one_with_a_flagged_link_does_not(self, outbox, keys, tmp_path):
        listed = ["test.surbl.org :127.0.0.254:", "1.0.0.127 :127.0.0.8:"]

        def look(zone, server, url):
            where = {"dns_server": "{}:{}".format(*server), "surbl_zone": zone, "allow_network": ["127.0.0.0/8"]}
            self.configure(CHECK={"cache": tmp_path / zone, "reputation": ["surbl"], **where})
            mail = a_mail(f"Look: {url}", None)
            return check_message(mail), mail

        async with site(status(200)) as (origin, _):
            with rbldnsd(s_test=listed[:1], t_test=listed) as server:
                clean, mail = await asyncio.to_thread(look, "s.test", server, f"{origin}/seeds")
                sent = await asyncio.to_thread(send, mail)
                flagged, mail = await asyncio.to_thread(look, "t.test", server, f"{origin}/seeds")
                with pytest.raises(HeldMail) as caught:
                    await asyncio.to_thread(send, mail)

        assert (clean.may_send, sent, len(outbox)) == (True, 1, 1)
        assert link_in(outbox[0].body, keys).destination == f"{origin}/seeds"
        assert (flagged.may_send, [finding.why for finding in flagged.blocks]) == (False, ["PH: phishing"])
        assert caught.value.links == (f"{origin}/seeds",)

    def test_verdicts_that_cannot_be_read_open_no_gate(self, outbox, tmp_path):
        (tmp_path / "checks.db").write_bytes(b"no database" * 999)

        with pytest.raises(Exception, match="checks"):
            send(a_mail())
        assert outbox == []


def test_nothing_is_warned_of_when_a_mail_is_sent(configured):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        send(a_mail())

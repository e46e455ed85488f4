"""Message objects: each goes out as it would have gone out without us, but for its links."""

import email
import email.policy
import re
from email.message import EmailMessage, Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from linkrouter.encoder import find_links

TEXT = "See https://a.com/?x=1&y=2.\nOr https://c.com/.\n"
HTML = "<p>Grüße</p>\n<a href=\"https://a.com/?x=1&amp;y=2\">One</a> and <a class=b href='https://b.com/'>two</a>\n"
POLICIES = ["default", "SMTP", "SMTPUTF8", "strict", "compat32"]


def _built(policy):
    message = EmailMessage(policy=policy)
    message["From"] = "Ürsula Öz <a@example.com>"
    message["To"] = ", ".join(f"Näme {number} <n{number}@example.com>" for number in range(9))
    message["Subject"] = "Sommer 🌞 in Zürich: " + "ein langer Betreff mit vielen Wörtern " * 3
    message.set_content(TEXT + "Grüße\n")
    message.add_alternative(HTML, subtype="html", cte="quoted-printable")
    message.add_attachment(b"\x89PNG" * 99, maintype="image", subtype="png", filename="ä.png")
    return message


def _parts(raw):
    return [part for part in email.message_from_bytes(raw).walk() if not part.is_multipart()]


def _check(before, done):
    """Fail unless *done* writes what *before* writes with the links replaced, and *before* is as it was."""
    raw, rewritten = before.as_bytes(), done.content.as_bytes()
    assert type(done.content) is type(before)
    assert done.content is not before
    assert re.split(rb"\r?\n\r?\n", raw)[0] == re.split(rb"\r?\n\r?\n", rewritten)[0]
    old = b"".join(part.get_payload(decode=True) or b"" for part in _parts(raw))
    new = b"".join(part.get_payload(decode=True) or b"" for part in _parts(rewritten))
    assert [part.items() for part in _parts(raw)] == [part.items() for part in _parts(rewritten)]
    for link in done.links:
        assert link.tracked_url.encode() in new
        new = new.replace(link.tracked_url.encode(), b"")
    assert new == re.sub(rb"https://[abc]\.com/(?:\?x=1&(?:amp;)?y=2)?", b"", old)


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "compat32"])
def test_sends_the_headers_of_a_built_message_as_they_were(name, encoder):
    message = _built(getattr(email.policy, name))
    raw = message.as_bytes()

    done = encoder.rewrite_message(message)

    assert len(done.links) == 4
    _check(message, done)
    assert b"unknown-8bit" not in done.content.as_bytes()
    assert done.content["Subject"] == message["Subject"]
    assert message.as_bytes() == raw
    html = done.content.get_body(("html",)).get_content()
    assert all(link.tracked_url in html for link in done.links if link.part == "html")


@pytest.mark.parametrize("name", POLICIES)
def test_takes_what_was_parsed_under_any_policy(name, encoder):
    raw = _built(email.policy.SMTP).as_bytes()
    message = email.message_from_bytes(raw, policy=getattr(email.policy, name))

    done = encoder.rewrite_message(message)

    assert len(done.links) == 4
    _check(message, done)


@pytest.mark.parametrize("charset", ["utf-8", "us-ascii", "iso-8859-1"])
def test_takes_the_older_classes_of_the_standard_library(charset, encoder):
    text = MIMEText(TEXT, "plain", charset)
    message = MIMEMultipart("alternative")
    message["Subject"] = "x"
    message.attach(text)
    message.attach(MIMEText(HTML.replace("ü", "u").replace("ß", "s"), "html", charset))

    done, alone = encoder.rewrite_message(message), encoder.rewrite_message(text)

    assert (len(done.links), len(alone.links)) == (4, 2)
    _check(message, done)
    assert [type(part) for part in done.content.walk()] == [MIMEMultipart, MIMEText, MIMEText]
    assert type(alone.content) is MIMEText


class SafeText(MIMEText):
    """What Django does to a text part: its own writer and its own choice of an encoding."""

    def __init__(self, text, subtype):
        self.encoding = "utf-8"
        super().__init__(text, subtype, "utf-8")

    def set_payload(self, payload, charset=None):
        assert not getattr(self, "ready", False), "Django's would choose a transfer encoding anew"
        super().set_payload(payload, charset)

    def as_bytes(self, unixfrom=False, linesep="\n"):
        return super().as_bytes(unixfrom)


def test_keeps_classes_and_attributes_at_every_depth(encoder):
    message = MIMEMultipart("mixed")
    part = SafeText(HTML, "html")
    message.tags, part.ready = ["news"], True
    message.attach(part)
    inner = EmailMessage()
    inner.set_content("no link")
    message.attach(MIMEMessage(inner))

    done = encoder.rewrite_message(message)

    copied = done.content.get_payload()[0]
    assert (type(copied), copied.encoding, done.content.tags) == (SafeText, "utf-8", ["news"])
    assert copied is not part
    assert len(done.links) == 2
    _check(message, done)


def test_changing_the_result_leaves_the_message_alone(encoder):
    message = _built(email.policy.default)
    raw = message.as_bytes()

    done = encoder.rewrite_message(message)
    del done.content["Subject"]
    for part in done.content.walk():
        part["X-New"] = "1"

    assert message.as_bytes() == raw


def test_gives_the_same_object_when_nothing_changed(encoder):
    message = EmailMessage()
    message.set_content("no link")

    assert encoder.rewrite_message(message).content is message


def test_gives_a_message_back_that_cannot_be_written(encoder):
    message = EmailMessage()
    message["Content-Type"] = "text/plain"
    message.set_payload("https://a.com \u4e2d")

    done = encoder.rewrite_message(message)

    assert (done.content is message, done.reason) == (True, "not serialisable")
    assert [part.reason for part in find_links(message).unread] == ["not serialisable"]


@pytest.mark.parametrize("depth", [30, 300, 3000])
def test_gives_a_message_back_that_is_nested_beyond_reason(depth, encoder):
    message = top = MIMEMultipart()
    for _ in range(depth):
        inner = MIMEMultipart()
        message.attach(inner)
        message = inner
    message.attach(MIMEText(TEXT))

    done = encoder.rewrite_message(top)

    assert (done.content is top, done.reason) == (True, "too complex")


@pytest.mark.parametrize("message", [None, 1, "From: a@example.com\n\nx", bytearray(b"A: b"), memoryview(b"A: b")])
def test_refuses_what_is_no_message(message, encoder):
    with pytest.raises(TypeError, match=r"must be bytes or an email\.message\.Message"):
        encoder.rewrite_message(message)


def test_takes_a_bare_message_with_a_body_that_is_no_text(encoder):
    message = Message()
    message["A"] = "b"
    part = MIMEBase("application", "pdf")
    part.set_payload(None)

    assert encoder.rewrite_message(message).content is message
    assert encoder.rewrite_message(part).reason == "no text part"

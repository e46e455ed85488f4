"""What a mail's own headers say to us, and what stays of the mail."""

import pytest

from linkrouter.integrations.mail_headers import MailLabels, find_message_id, take_labels

MAIL = b"From: a@example.com\r\nSubject: x\r\n\r\nX-PM-Tag: not a header\r\n"


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        (b"X-PM-Tag: welcome\r\n", MailLabels(tag="welcome")),
        (b"x-pm-tag:  =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n", MailLabels(tag="grüße")),
        (b"X-PM-Tag: one\r\n two\r\n\tthree\r\n", MailLabels(tag="one two\tthree")),
        (b"X-PM-Tag: =?no-such?q?x?=\r\n", MailLabels(tag="=?no-such?q?x?=")),
        (b"X-PM-TrackLinks: HtmlOnly\r\n", MailLabels(mode="html-only")),
        (b"X-PM-TrackLinks: sometimes\r\n", MailLabels()),
        (b"X-Linkrouter-Count-Only: Yes\r\n", MailLabels(count_only=True)),
        (b"X-Linkrouter-Count-Only: no\r\n", MailLabels(count_only=False)),
        (b"X-PM-Metadata-a: 1\r\nX-PM-Metadata-b: 2\r\n", MailLabels(metadata={"a": "1", "b": "2"})),
    ],
    ids=lambda value: str(value)[:36],
)
def test_a_field_of_ours_is_read_and_taken_out_wherever_it_stands(fields, labels):
    for mail in (
        fields + MAIL,
        MAIL.replace(b"Subject", fields + b"Subject"),
        MAIL.replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n", 1),
    ):
        content, found = take_labels(mail)

        assert (content, found) == (MAIL, labels)


def test_a_field_that_a_signature_covers_stays():
    mail = (
        b"DKIM-Signature: v=1; d=a.example;\r\n\th=From:X-PM-Tag;\r\n\tb=AA==\r\nX-PM-Tag: a\r\nX-PM-Metadata-a: 1\r\n"
        + MAIL
    )

    content, labels = take_labels(mail)

    assert content == mail.replace(b"X-PM-Metadata-a: 1\r\n", b"")
    assert labels == MailLabels("a", {"a": "1"})


@pytest.mark.parametrize("raw", [b"", b"X-PM-Tag: a", b"\r\n\r\n", b"X-PM-Tag: a\r\n", b"\xff" * 100, MAIL])
def test_what_has_no_field_of_ours_in_a_whole_header_is_the_very_same_object(raw):
    content, labels = take_labels(raw)

    assert content is raw
    assert labels == MailLabels()


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"Message-ID: <a@example.com>\r\n\r\n", "a@example.com"),
        (b"Subject: x\r\nmessage-id:\r\n <a@example.com>\r\n\r\n", "a@example.com"),
        (b"Subject: x\nMessage-ID:\n <a@example.com>\n\nx\n", "a@example.com"),
        (b"Subject: x\n\nMessage-ID: <a@example.com>\r\n\r\n", ""),
        (b"Subject: x\r\n\r\nMessage-ID: <a@example.com>\r\n", ""),
        (b"Message-ID: <>\r\n\r\n", ""),
    ],
)
def test_the_message_id_is_that_of_the_header(raw, found):
    assert find_message_id(raw) == found

"""What is checked in a mail."""

import pytest

from linkrouter.checker.mail.extract import extract


def only(content, kind="html", **options):
    [link] = extract(content, kind, **options)
    return link


def test_the_same_link_is_one_link_with_all_its_places():
    html = '<p>\n<a href="https://example.com">One</a>\n<a href="https://EXAMPLE.com/">Two</a></p>'

    link = only(html)

    assert (link.url, link.key) == ("https://example.com", "https://example.com")
    assert [(place.position, place.line, place.text) for place in link.places] == [(0, 2, "One"), (1, 3, "Two")]


def test_a_malformed_spelling_does_not_hide_behind_a_good_one():
    good, bad = extract('<a href="http://127.0.0.1/"></a><a href="http://2130706433/"></a>', "html")

    assert (good.settled, bad.settled[0], good.key) == (None, "malformed", bad.key)


def test_the_fragment_is_no_part_of_the_key_but_the_query_is():
    first, second = extract(
        '<a href="https://example.com/?a=1&amp;b#x"></a><a href="https://example.com/?a=2"></a>', "html"
    )

    assert (first.url, first.key) == ("https://example.com/?a=1&b#x", "https://example.com/?a=1&b")
    assert second.key == "https://example.com/?a=2"


@pytest.mark.parametrize(
    ("href", "settled"),
    [
        ("{{ url }}", ("skipped", "merge tag")),
        ("https://example.com/{{id}}", ("skipped", "merge tag")),
        ("[unsubscribe]", ("skipped", "merge tag")),
        ("#top", ("skipped", "inside the mail")),
        ("sms:+49301234", ("skipped", "opens another program")),
        ("mailto:reader@example.com", ("fine", "syntax only")),
        ("tel:+49301234", ("fine", "syntax only")),
        ("mailto:reader", ("malformed", "malformed")),
        ("tel:call", ("malformed", "malformed")),
        ("www.example.com", ("malformed", "malformed")),
        ("https://xn--a/", ("malformed", "malformed")),
    ],
)
def test_what_needs_no_request_is_settled_with_its_reason(href, settled):
    assert only(f'<a href="{href}">x</a>').settled[:2] == settled


def test_a_link_that_its_sender_does_not_track_is_checked_all_the_same():
    link = only('<a data-pm-no-track href="https://example.com/a">x</a>')

    assert (link.key, link.settled) == ("https://example.com/a", None)


def test_a_word_for_another_sender_is_no_part_of_the_link():
    assert only('<a href="https+notrack://example.com/a">x</a>').key == "https://example.com/a"


@pytest.mark.parametrize(
    ("href", "key"),
    [("https://me@evil.example/", "https://evil.example/"), ("http://2130706433/x", "http://127.0.0.1/x")],
)
def test_where_browsers_would_follow_a_malformed_link_to_is_known(href, key):
    link = only(f'<a href="{href}">x</a>')

    assert (link.key, link.settled[0]) == (key, "malformed")


@pytest.mark.parametrize(
    ("content", "kind", "why"),
    [
        (b"\0\1\2" * 1000, "text", "binary"),
        (b"\0\1\2" * 1000, "html", "binary"),
        (b"\0\1\2" * 1000, "message", "not a mail"),
        (
            b"Content-Type: multipart/encrypted; boundary=x; protocol=a/b\r\n\r\n--x\r\nContent-Type: a/b\r\n\r\n"
            b"Version: 1\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n--x--\r\n",
            "message",
            "signed or encrypted",
        ),
    ],
)
def test_what_cannot_be_read_is_a_link_that_holds_the_mail(content, kind, why):
    link = only(content, kind)

    assert (link.url, link.settled) == ("", ("unverifiable", "unreadable", why))


@pytest.mark.parametrize("content", [b"LinkToCheck: x\r\n\r\n", b"LinkToCheck: x\r\n\r\nhello\r\n"])
def test_a_mail_without_links_has_no_links(content):
    assert extract(content) == ()


def test_a_link_that_no_router_redirects_to_is_malformed_but_known():
    link = only(f'<a href="https://example.com/{"ä" * 1000}">x</a>')

    assert link.settled == ("malformed", "malformed", "it is too long or too odd to be redirected to")
    assert link.key.startswith("https://example.com/%C3%A4")


def test_no_repr_shows_a_link():
    assert "example" not in repr(extract('<a href="https://example.com/{{x}}">example</a>', "html"))

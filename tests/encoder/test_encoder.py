"""The encoder as a caller meets it: arguments, reports, the gate, and the links of a mail for those who check it."""

import email.message
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import get_args

import pytest

import linkrouter
from linkrouter.encoder import SKIP_REASONS, Encoder, FoundLink, FoundLinks, SkipReason, UnreadPart, find_links
from linkrouter.errors import HeldMail, KeyringError
from linkrouter.link import Key, Keyring
from linkrouter.link.codec import decode_base64url

ORIGIN = "https://click.example.net"
SECRET_URL = "https://a.com/secret-reset-token"


def test_writes_links_that_its_keyring_verifies(ring):
    encoder = Encoder(ORIGIN, ring, tenant=7, count_only=True)

    done = encoder.rewrite_html('<a href="https://A.com/ä">')

    (link,) = done.links
    assert done.content == f'<a href="{link.tracked_url}">'
    verified = ring.verify(link.tracked_url.removeprefix(ORIGIN))
    assert verified.destination == link.url == "https://a.com/%C3%A4"
    assert (verified.tenant, verified.count_only, verified.part) == (7, True, "html")
    assert f"/{link.link_id}/" in link.tracked_url


def test_gives_every_link_an_id_of_its_own(encoder):
    done = encoder.rewrite_html('<a href="https://a.com/">' * 500)

    assert len({link.link_id for link in done.links}) == 500


def test_takes_link_ids_from_the_caller(ring):
    encoder = Encoder(ORIGIN, ring, link_ids=lambda count: [bytes([number]) for number in range(count)])

    done = encoder.rewrite_text("https://a.com https://b.com")

    assert [link.link_id for link in done.links] == ["AA", "AQ"]


def test_gives_the_very_object_back_when_there_is_nothing_to_do(encoder):
    html, text, raw = "<p>no link</p>", b"no link", b"A: b\n\nno link"

    assert encoder.rewrite_html(html).content is html
    assert encoder.rewrite_text(text).content is text
    assert encoder.rewrite_message(raw).content is raw


@pytest.mark.parametrize("base_url", ["https://click.example.net/", "HTTPS://Click.Example.net:443"])
def test_takes_an_origin_in_any_spelling(base_url, ring):
    done = Encoder(base_url, ring).rewrite_text("https://a.com")

    assert done.content.startswith("https://click.example.net/2s/a.com/")


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"])
def test_takes_http_on_the_loopback(base_url, ring):
    assert Encoder(base_url, ring).rewrite_text("https://a.com").content.startswith(base_url + "/2s/")


@pytest.mark.parametrize(
    "base_url",
    ["", "click.example.net", "http://click.example.net", "ftp://click.example.net", "https://click.example.net/x",
     "https://click.example.net?x", "https://click.example.net/#", "https://u:p@click.example.net", "https://"],
)  # fmt: skip
def test_refuses_a_base_url_that_is_no_https_origin(base_url, ring):
    with pytest.raises(ValueError, match="base URL"):
        Encoder(base_url, ring)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "HtmlAndText"},
        {"visible_urls": "warn"},
        {"tenant": -1},
        {"tenant": 2**32},
        {"excluded_domains": "a.com"},
        {"excluded_domains": ["a b"]},
    ],
)
def test_refuses_options_out_of_their_range(options, ring):
    with pytest.raises(ValueError, match=r"mode|visible_urls|tenant|excluded"):
        Encoder(ORIGIN, ring, **options)


def test_refuses_a_keyring_without_a_signing_key():
    with pytest.raises(KeyringError, match="may sign"):
        Encoder(ORIGIN, Keyring([Key(1, bytes(32), "verify")]))


@pytest.mark.parametrize("method", ["rewrite_html", "rewrite_text", "rewrite_message"])
@pytest.mark.parametrize("content", [None, 1, bytearray(b"x"), ["x"]])
def test_refuses_other_types(method, content, encoder):
    with pytest.raises(TypeError, match="must be"):
        getattr(encoder, method)(content)


def test_refuses_a_message_that_is_text(encoder):
    with pytest.raises(TypeError, match=r"must be bytes or an email\.message\.Message, not str"):
        encoder.rewrite_message("From: a@example.com\n\nx")


@pytest.mark.parametrize(
    ("content", "reason"), [(b"\xff\xfe<\0a\0", "charset"), (b"\xfe\xff\0<", "charset"), (b"\x89PNG\0", "binary")]
)
def test_gives_bytes_back_that_are_no_text(content, reason, encoder):
    done = encoder.rewrite_html(content)

    assert (done.content is content, done.reason) == (True, reason)


def test_keeps_bytes_that_are_not_utf_8(encoder):
    content = b"\xe9 <a href='https://a.com/'>\xff</a> <a href='https://b.com/\xe9'>"

    done = encoder.rewrite_html(content)

    assert done.content == content.replace(b"https://a.com/", done.links[0].tracked_url.encode())
    assert [(link.url, link.reason) for link in done.skipped] == [("https://b.com/\ufffd", "charset")]


@pytest.mark.parametrize("code", [0xDCE9, 0xD800])
def test_reports_no_lone_surrogate(code, encoder):
    document = f"<a href='https://a.com/{chr(code)}'>"

    done, found = encoder.rewrite_html(document), find_links(document + "\udcff", "html")

    reported = [link.url for link in (*done.links, *done.skipped, *found.links)] + [link.text for link in found.links]
    assert "".join(reported).encode()


def test_leaves_text_links_alone_that_the_caller_names(encoder):
    done = encoder.rewrite_text("https://a.com/x https://b.com", opted_out=["https://A.com/x", "no URL"])

    assert [link.reason for link in done.skipped] == ["opted out"]
    assert [link.url for link in done.links] == ["https://b.com"]


def test_leaves_a_link_alone_whose_tracked_path_would_be_too_long(encoder):
    done = encoder.rewrite_html(f'<a href="https://a.com/?{"=" * 3000}"><a href="https://b.com">')

    assert [link.reason for link in done.skipped] == ["too long"]
    assert [(link.url, link.position) for link in done.links] == [("https://b.com", 1)]


def test_asks_the_gate_once_for_all_links_that_would_be_tracked(ring):
    asked = []
    encoder = Encoder(ORIGIN, ring, gate=asked.append)

    encoder.rewrite_message(b"A: b\n\nhttps://A.com/x https://b.com/unsubscribe https://c.com/")
    encoder.rewrite_html("no link")

    assert asked == [("https://a.com/x", "https://c.com"), ()]


def test_lets_the_gate_hold_a_mail(ring):
    def gate(urls):
        raise HeldMail(f"{len(urls)} link may not be sent yet", urls)

    with pytest.raises(HeldMail) as held:
        Encoder(ORIGIN, ring, gate=gate).rewrite_html(f'<a href="{SECRET_URL}">')

    assert held.value.links == (SECRET_URL,)
    assert SECRET_URL not in str(held.value)


def test_shows_no_link_in_any_repr(encoder):
    document = f'<a href="{SECRET_URL}">x</a><a data-pm-no-track href="{SECRET_URL}">y</a>'

    done = encoder.rewrite_html(document)

    shown = repr((done, done.links, done.skipped, find_links(document, "html"), encoder))
    assert "secret" not in shown
    assert done.links[0].link_id not in shown


def test_finds_what_the_encoder_sees(encoder):
    document = (
        '<p>x</p>\n<a href="https://a.com/?a&amp;b">A <b>bold</b>\n link</a>\r\n<a href=mailto:a@b.com>Mail</a>'
        '<!--[if mso]><v:x href="{{u}}">Go</v:x><![endif]-->\n<map><area href=tel:+31>'
        '<a href="https://b.com" data-pm-no-track><img src=x></a>'
    )

    found = find_links(document, "html")

    assert found.unread == ()
    assert found.links == (
        FoundLink("https://a.com/?a&b", "html", 0, 2, "A bold link", None),
        FoundLink("mailto:a@b.com", "html", 1, 4, "Mail", "scheme"),
        FoundLink("{{u}}", "html", 2, 4, "Go", "merge tag"),
        FoundLink("tel:+31", "html", 3, 5, "", "scheme"),
        FoundLink("https://b.com", "html", 4, 5, "", "opted out"),
    )
    done = encoder.rewrite_html(document)
    assert [link.position for link in done.links] == [0]
    assert [(link.url, link.position, link.reason) for link in done.skipped] == [
        (link.url, link.position, link.reason) for link in found.links[1:]
    ]


def test_finds_the_links_of_a_message_in_all_its_shapes():
    message = email.message.EmailMessage()
    message.set_content("See\nhttps://a.com/x.\n")

    found = find_links(message)

    assert found == FoundLinks((FoundLink("https://a.com/x", "text", 0, 2, "", None),), ())
    assert find_links(message.as_bytes()) == found
    assert find_links(b"See\nhttps://a.com/x.\n", "text") == found
    assert "a.com" not in repr(found)


@pytest.mark.parametrize(
    ("content", "kind", "unread"),
    [
        (b"\x89PNG", "message", [UnreadPart("message", "not a mail")]),
        (b"\xff\xfe<\0", "html", [UnreadPart("html", "charset")]),
        (b"A: b\nContent-Type: text/html; charset=utf-7\n\nx", "message", [UnreadPart("html", "charset")]),
        (b"A: b\n", "message", []),
        (b"A: b\nContent-Type: image/png\n\nx", "message", []),
        (b"A: b\nDKIM-Signature: x\n\nhttps://a.com", "message", []),
    ],
)
def test_tells_what_could_not_be_read_with_the_links(content, kind, unread):
    assert list(find_links(content, kind).unread) == unread


@pytest.mark.parametrize(("content", "kind"), [("x", "message"), (1, "html"), (None, "text"), (None, "message")])
def test_finds_nothing_in_other_types(content, kind):
    with pytest.raises(TypeError, match="must be"):
        find_links(content, kind)


def test_finds_nothing_in_an_unknown_kind():
    with pytest.raises(ValueError, match="kind"):
        find_links("x", "pdf")


def test_explains_every_reason_it_gives():
    assert all(reason and words for reason, words in SKIP_REASONS.items())
    assert set(SKIP_REASONS) == set(get_args(SkipReason))


def test_loads_no_server_client_or_mail_package():
    program = "import sys, linkrouter.encoder; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"aiohttp", "httpx", "pydantic", "email.message", "email.parser", "sqlite3", "asyncio"} & set(loaded)


class Marked(str):
    """A str that says of itself that it is safe, as Jinja's and Django's do; its constructor would escape."""

    __slots__ = ()

    def __new__(cls, text):
        raise AssertionError("a rewrite must not run code of the caller's class")


@pytest.mark.parametrize("method", ["rewrite_html", "rewrite_text"])
def test_keeps_the_class_of_a_str_and_reports_plain_ones(method, encoder):
    content = str.__new__(Marked, '<a href="https://a.com/?a=1"> https://b.com/\u00e9 mailto:x <a href="/y">')

    done = getattr(encoder, method)(content)

    assert type(done.content) is Marked
    assert done.links
    reported = [getattr(link, name) for link in (*done.links, *done.skipped) for name in ("url", "part")]
    assert {type(text) for text in reported} == {str}
    assert {type(link.url) for link in find_links(content, "html").links} == {str}


def _only_a(urls):
    assert all(url.startswith("https://a.com") for url in urls)


def test_works_in_a_spawned_process(ring):
    encoder = Encoder(
        ORIGIN, ring, tenant=3, visible_urls="skip", excluded_domains=["b.com"], gate=_only_a, trap_link=True
    )
    html = '<a href="https://a.com/x">x</a><a href="https://b.com">y</a>'

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = pool.submit(pickle.loads(pickle.dumps(encoder)).rewrite_html, html).result()

    assert [(link.url, link.trap) for link in done.links] == [("https://a.com/x", False), ("https://a.com/x", True)]
    assert [link.reason for link in done.skipped] == ["excluded domain"]
    assert ring.verify(done.links[0].tracked_url.removeprefix(ORIGIN)).tenant == 3


def test_gives_what_a_sender_needs_from_the_package_itself():
    names = ["BadLink", "Encoder", "HeldMail", "Keyring", "Link", "Rewritten", "SkippedLink", "TrackedLink"]

    assert linkrouter.__all__ == names
    assert all(hasattr(linkrouter, name) for name in names)


def test_parts_that_are_not_put_together_yet_are_one_mail(ring):
    asked = []
    encoder = Encoder(ORIGIN, ring, gate=asked.append)
    html = '<a href="https://example.com/a">a</a> <a href="https://example.com/b" data-pm-no-track>b</a>'
    text = "https://example.com/a https://example.com/b"

    done = encoder.rewrite_parts([("text", text), ("html", html), ("text", "no link")])

    assert [(link.part, link.position, link.url) for link in done.links] == [
        ("text", 0, "https://example.com/a"),
        ("html", 0, "https://example.com/a"),
    ]
    assert [link.reason for link in done.skipped] == ["opted out", "opted out"]
    assert asked == [("https://example.com/a", "https://example.com/a")]
    assert {decode_base64url(link.link_id)[:8] for link in done.links} == {done.message_key}
    assert done.content[0] == text.replace("https://example.com/a", done.links[0].tracked_url)
    assert done.content[1] == html.replace("https://example.com/a", done.links[1].tracked_url)
    assert done.content[2] == "no link"


def test_one_part_that_cannot_be_read_keeps_no_other_from_being_tracked(ring):
    done = Encoder(ORIGIN, ring).rewrite_parts([("text", b"\0"), ("html", b'<a href="https://example.com/a">a</a>')])

    assert (len(done.links), done.unread, done.reason) == (1, ("binary",), None)
    assert done.content[0] == b"\0"


def test_a_mail_of_no_readable_part_says_why(ring):
    done = Encoder(ORIGIN, ring).rewrite_parts([("text", b"\0")])

    assert (done.content, done.reason, done.message_key) == ((b"\0",), "binary", b"")

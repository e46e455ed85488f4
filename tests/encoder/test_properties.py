"""What holds for any mail: the bytes outside links are those that came in."""

import base64
import email
import quopri

from hypothesis import given, settings
from hypothesis import strategies as st

from linkrouter.encoder import find_links
from linkrouter.encoder.html import scan_html
from linkrouter.encoder.text import scan_text

URLS = st.sampled_from(
    [
        "https://a.com/x",
        "http://b.org/?a=1&amp;b=2",
        "HTTPS://C.net",
        "https://münchen.de/ä",
        "mailto:a@b.c",
        "{{u}}",
        "//x",
    ]
)
MARKUP = [
    "<a ",
    "<A\n",
    "<area ",
    "<v:rect ",
    "href=",
    "HREF = ",
    '"',
    "'",
    ">",
    "/>",
    "</a>",
    "<!--",
    "-->",
    "--!>",
    "<!--[if mso]>",
    "<![endif]-->",
    "<!--[if !mso]><!-->",
    "<style>",
    "</style>",
    "<script>",
    "</script >",
    "<title>",
    "</title>",
    "<",
    "&",
    "&amp;",
    "&#x3a;",
    "<!doctype html>",
    "<?x ?>",
    "=",
    " ",
    "\r\n",
    "\n",
    "\t",
    "data-pm-no-track ",
    "class='mktNoTrack' ",
    "\x00",
    "é",
    "😀",
]
PUNCTUATION = [" ", "\n", "> ", "<", ">", "(", ")", "](", ".", "…", "。", ";", "&amp;", "\r\n", "x"]
HOSTILE = st.one_of(
    st.sampled_from(MARKUP),
    URLS,
    URLS.map(lambda url: f'<a href="{url}">'),
    URLS.map(lambda url: f"<a href={url}>"),
    URLS.map(lambda url: f"<a x='1' href = '{url}'>{url}</a>"),
    st.text(max_size=5),
)
HTML = st.lists(HOSTILE, max_size=30).map("".join)
TEXT = st.lists(URLS | st.sampled_from(PUNCTUATION) | st.text(max_size=5), max_size=30).map("".join)
LINES = [
    b"--b",
    b"--b--",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"A: b\n",
    b"Content-Type: ",
    b"multipart/mixed; boundary=b",
    b"text/html",
    b"; charset=",
    b"utf-16",
    b"Content-Transfer-Encoding: ",
    b"quoted-printable",
    b"base64",
    b"PGE+",
    b"<a href=https://a.com/>",
    b"https://b.com ",
    b"=3D",
    b"=\n",
    b" ",
    b"\xff",
]
MAIL = st.lists(st.sampled_from(LINES), max_size=40).map(b"".join)
MANY = settings(max_examples=300, deadline=None)


@MANY
@given(HTML)
def test_changes_nothing_of_any_html_but_links(encoder, check, document):
    done = encoder.rewrite_html(document)

    check(document, done.content, done.links)
    assert len(done.links) + len(done.skipped) == len(scan_html(document))


@MANY
@given(st.binary(max_size=60) | HTML.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_changes_nothing_of_any_bytes_but_links(encoder, check, octets):
    done = encoder.rewrite_html(octets)

    assert done.bytes_added == len(done.content) - len(octets)
    check(octets.decode("utf-8", "surrogateescape"), done.content.decode("utf-8", "surrogateescape"), done.links)


@MANY
@given(TEXT)
def test_changes_nothing_of_any_text_but_links(encoder, check, document):
    done = encoder.rewrite_text(document)

    check(document, done.content, done.links)
    assert len(done.links) + len(done.skipped) == len(scan_text(document))


def _encoded(octets, encoding, columns, eol):
    if encoding == "base64":
        digits = base64.b64encode(octets)
        return eol.join(digits[at : at + columns] for at in range(0, len(digits), columns)) + eol
    if encoding == "quoted-printable":
        return quopri.encodestring(octets, quotetabs=columns % 2 == 0).replace(b"\r\n", b"\n").replace(b"\n", eol)
    return octets


@MANY
@given(
    HTML.filter(lambda text: "\0" not in text),
    st.sampled_from(["8bit", "quoted-printable", "base64"]),
    st.sampled_from(["utf-8", "windows-1252", "shift_jis"]),
    st.integers(20, 90),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_changes_nothing_of_any_mail_but_links(encoder, check, document, encoding, charset, columns, eol):
    octets = document.encode(charset, "replace")
    head = (
        f"A: b\r\nContent-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    )
    raw = head + _encoded(octets, encoding, columns, eol)

    done = encoder.rewrite_message(raw)

    if not done.links:
        assert done.content is raw
        return
    assert done.content.startswith(head)
    before, after = (email.message_from_bytes(one).get_payload(decode=True) for one in (raw, done.content))
    check(before.decode(charset, "surrogateescape"), after.decode(charset, "surrogateescape"), done.links)
    longest = max(map(len, raw.split(b"\n")))
    assert max(map(len, done.content.split(b"\n"))) <= max(longest, 999)


@MANY
@given(MAIL)
def test_never_fails_on_a_mail_and_never_loses_it(encoder, rest):
    raw = b"A: b\n" + rest

    done = encoder.rewrite_message(raw)

    assert (done.content is raw) == (not done.links)
    assert done.bytes_added == len(done.content) - len(raw)
    before, after = find_links(raw).links, find_links(done.content).links
    assert [(link.part, link.position) for link in before] == [(link.part, link.position) for link in after]
    assert len(done.links) + len(done.skipped) == len(before)
    assert encoder.rewrite_message(done.content).content is done.content

"""Whole messages: structure, transfer encodings, charsets, and what must not be touched."""

import base64
import email
import email.policy
import quopri

import pytest

from linkrouter.encoder import Encoder

ORIGIN = "https://click.example.net"
HTML = "<p>Grüße</p>\n<a href=\"https://a.com/?x=1&amp;y=2\">One</a> and <a class=b href='https://b.com/'>two</a>\n"
TEXT = "See https://a.com/?x=1&y=2.\nOr https://c.com/.\n"


def _part(content_type, body, encoding="8bit", charset="utf-8", eol="\r\n"):
    octets = body.encode(charset, "surrogateescape").replace(b"\n", eol.encode())
    if encoding.lower() == "base64":
        octets = base64.encodebytes(octets).replace(b"\n", eol.encode())
    elif encoding.lower() == "quoted-printable":
        octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", eol.encode())
    head = f"Content-Type: {content_type}; charset={charset}{eol}Content-Transfer-Encoding: {encoding}{eol}{eol}"
    return head.encode() + octets


def _mail(*parts, subtype="alternative", eol="\r\n", extra=""):
    head = f"From: a@example.com{eol}Subject:  odd \tspacing {eol}{extra}MIME-Version: 1.0{eol}".encode()
    if len(parts) == 1:
        return head + parts[0]
    edge = f"{eol}--=_b".encode()
    head += f'Content-Type: multipart/{subtype}; boundary="=_b"{eol}{eol}preamble'.encode()
    return head + b"".join(edge + eol.encode() + part for part in parts) + edge + f"--{eol}epilogue".encode()


def _bodies(raw):
    parsed = email.message_from_bytes(raw)
    return [part.get_payload(decode=True) for part in parsed.walk() if not part.is_multipart()]


@pytest.mark.parametrize("eol", ["\r\n", "\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "quoted-printable", "base64", "Quoted-Printable"])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
def test_rewrites_every_encoding_charset_and_line_end(encoding, eol, charset, encoder, check):
    raw = _mail(_part("text/html", HTML, encoding, charset, eol), eol=eol)

    done = encoder.rewrite_message(raw)

    assert [link.url for link in done.links] == ["https://a.com/?x=1&y=2", "https://b.com"]
    (before,), (after,) = _bodies(raw), _bodies(done.content)
    check(before.decode(charset), after.decode(charset), done.links)
    assert done.bytes_added == len(done.content) - len(raw)
    assert done.content.partition(eol.encode() * 2)[0] == raw.partition(eol.encode() * 2)[0]


@pytest.mark.parametrize(
    ("charset", "word"),
    [("shift_jis", "テスト"), ("big5", "測試"), ("gb2312", "测试"), ("koi8-r", "Тест"), ("euc-kr", "시험")],
)
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_rewrites_multi_byte_charsets(charset, word, encoding, encoder, check):
    document = f'<p>{word * 9}</p><a title="{word}" href="https://a.com/x">{word}</a>'
    raw = _mail(_part("text/html", document, encoding, charset))

    done = encoder.rewrite_message(raw)

    check(document, _bodies(done.content)[0].decode(charset), done.links)
    assert len(done.links) == 1


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-16le", "iso-2022-kr", "utf-7", "hz", "unknown-8bit", "x-user-defined"]
)
def test_leaves_a_charset_alone_that_does_not_hold_ascii(charset, encoder):
    raw = _mail(_part("text/html", HTML, "base64").replace(b"utf-8", charset.encode()))

    done = encoder.rewrite_message(raw)

    assert done.content is raw
    assert done.reason == "charset"


def test_touches_no_header_that_holds_a_link(encoder):
    extra = (
        "List-Unsubscribe: <https://a.com/u?x=1&y=2>,\r\n <mailto:u@a.com>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nX-Link: <a href='https://b.com/'>\r\n"
    )
    raw = _mail(_part("text/html", HTML, "quoted-printable"), _part("text/plain", TEXT), extra=extra)

    done = encoder.rewrite_message(raw)

    assert len(done.links) == 4
    assert done.content.partition(b"preamble")[0] == raw.partition(b"preamble")[0]


def test_says_which_parts_it_could_not_read(encoder):
    raw = _mail(
        _part("text/plain", TEXT), _part("text/html", HTML, "base64", "utf-16"), _part("text/html", HTML, "x-uu")
    )

    done = encoder.rewrite_message(raw)

    assert {link.part for link in done.links} == {"text"}
    assert (done.reason, done.unread) == (None, ("charset", "transfer encoding"))


def test_keeps_bytes_that_the_charset_does_not_have(encoder):
    raw = _mail(b"Content-Type: text/html\r\n\r\n\xff\xfe\x81<a href=https://a.com/\xe9><a href='https://b.com/'>\x80")

    done = encoder.rewrite_message(raw)

    (link,) = done.links
    assert done.content == raw.replace(b"https://b.com/", link.tracked_url.encode())
    assert [skipped.reason for skipped in done.skipped] == ["charset"]


def test_reads_a_message_without_mime_headers_as_plain_text(encoder):
    raw = b"From: a@example.com\n\nSee https://a.com/x.\n"

    done = encoder.rewrite_message(raw)

    assert done.content == raw.replace(b"https://a.com/x", done.links[0].tracked_url.encode())
    assert done.links[0].part == "text"


def test_changes_only_the_lines_of_quoted_printable_that_hold_a_link(encoder):
    body = (
        b"caf=e9 in lower case, needlessly =65scaped =\r\n"
        b"and soft-broken   =20\r\n"
        b'<a href=3D"https://=\r\nwww.example.com/a=\r\n?b=3D1">short =e9</a>\r\n'
        b"tail =\r\n=\r\nof =3D=3D it\r\n"
    )
    raw = b"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + body

    done = encoder.rewrite_message(raw)

    head, tail = raw[: raw.index(b"https")], raw[raw.index(b'">short') :]
    assert done.content.startswith(head)
    assert done.content.endswith(tail)
    written = done.content[len(head) : -len(tail)]
    assert written.replace(b"=\r\n", b"") == done.links[0].tracked_url.encode()
    assert max(map(len, done.content.split(b"\r\n"))) <= 76


@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
def test_rewrites_quoted_printable_whose_line_ends_are_escaped(eol, encoder):
    body = (b'<p>a</p>=0D=0A<a href=3D"https://a.com/">x</a>=0A=\n<a href=3D"https://a.com/=0D=0Ab">').replace(
        b"\n", eol
    )
    raw = b"Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n" + body

    done = encoder.rewrite_message(raw)

    one, two = (link.tracked_url.encode() for link in done.links)
    assert quopri.decodestring(done.content.partition(b"\n\n")[2]) == (
        b'<p>a</p>\r\n<a href="' + one + b'">x</a>\n<a href="' + two + b'">'
    )
    assert done.links[1].url == "https://a.com/b"


@pytest.mark.parametrize(
    "body",
    [b'a = b <a href=3D"https://a.com/">', b'=3 <a href=3D"https://a.com/">', b'= \n<a href=3D"https://a.com/">'],
)
def test_leaves_damaged_quoted_printable_alone(body, encoder):
    raw = b"Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n" + body

    done = encoder.rewrite_message(raw)

    assert done.content is raw
    assert [link.reason for link in done.skipped] == ["transfer encoding"]


@pytest.mark.parametrize("columns", [60, 64, 76, 75, 998])
@pytest.mark.parametrize("eol", [b"\r\n", b"\n"])
def test_keeps_the_line_length_of_base64(columns, eol, encoder):
    digits = base64.b64encode(HTML.encode() * 20)
    lines = [digits[at : at + columns] for at in range(0, len(digits), columns)]
    raw = (
        b"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: BASE64 (x)\n\n\n"
        + eol.join(lines)
        + eol * 2
    )

    done = encoder.rewrite_message(raw)

    head, _, body = done.content.partition(b"\n\n\n")
    assert head == raw.partition(b"\n\n\n")[0]
    *full, last, empty, end = body.split(eol)
    assert {len(line) for line in full} == {columns}
    assert 0 < len(last) <= columns
    assert (empty, end) == (b"", b"")
    assert len(done.links) == 40


def test_breaks_base64_that_came_in_one_line_beyond_the_limit(encoder):
    raw = b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(HTML.encode() * 20)

    done = encoder.rewrite_message(raw)

    assert len(done.links) == 40
    assert max(map(len, done.content.splitlines())) == 76


@pytest.mark.parametrize(
    "body",
    [b"PGEgaHJlZj0iaHR0cHM6Ly9hLmNvbS8iPg", b"PGEgaHJ*lZj0i", b"PGE=gaHJlZj0i", b"====", b"PGEg\n--\nlist footer"],
)
def test_leaves_damaged_base64_alone(body, encoder):
    raw = b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n" + body

    done = encoder.rewrite_message(raw)

    assert (done.content is raw, done.reason) == (True, "transfer encoding")


def test_creates_no_line_over_998_octets(encoder):
    link = '<a href="https://a.com/">x</a>'
    lines = [link * 12, "y" * 960 + link, link, "z" * 2000 + link]
    raw = _mail(_part("text/html", "\n".join(lines)))

    done = encoder.rewrite_message(raw)

    assert max(map(len, done.content.split(b"\r\n")[:-1])) <= 2000 + len(link)
    after = _bodies(done.content)[0].split(b"\r\n")
    assert len(after[0]) <= 998
    assert after[0] != lines[0].encode()
    assert after[1] == lines[1].encode()
    assert after[2] != link.encode()
    assert after[3] != lines[3].encode()  # it was too long before: the next server cuts it anyway
    assert {skipped.reason for skipped in done.skipped} == {"line too long"}
    assert sorted([item.position for item in (*done.links, *done.skipped)]) == list(range(15))


def test_leaves_a_text_link_alone_that_the_html_part_opts_out(encoder):
    html = '<a data-pm-no-track href="https://A.com/?x=1&amp;y=2">x</a>'
    raw = _mail(_part("text/plain", TEXT), _part("text/html", html))

    done = encoder.rewrite_message(raw)

    assert [link.url for link in done.links] == ["https://c.com"]
    assert [(link.part, link.reason) for link in done.skipped] == [("text", "opted out"), ("html", "opted out")]


@pytest.mark.parametrize(
    ("mode", "parts"),
    [("html-and-text", {"html", "text"}), ("html-only", {"html"}), ("text-only", {"text"}), ("none", set())],
)
def test_rewrites_the_parts_the_mode_names(mode, parts, ring):
    raw = _mail(_part("text/plain", TEXT), _part("text/html", HTML))

    done = Encoder(ORIGIN, ring, mode=mode).rewrite_message(raw)

    assert {link.part for link in done.links} == parts
    assert {(link.part, link.reason) for link in done.skipped} == {(part, "mode") for part in {"html", "text"} - parts}
    assert (done.content is raw) == (mode == "none")


def test_numbers_links_within_html_and_text_over_the_whole_mail(encoder):
    raw = _mail(_part("text/html", HTML), _part("text/plain", TEXT), _part("text/html", HTML), subtype="mixed")

    done = encoder.rewrite_message(raw)

    assert [(link.part, link.position) for link in done.links] == [
        ("html", 0), ("html", 1), ("text", 0), ("text", 1), ("html", 2), ("html", 3),
    ]  # fmt: skip


UNTOUCHED = {
    "attachment": _part("text/html", HTML).replace(b"\r\n\r\n", b"\r\nContent-Disposition: attachment\r\n\r\n", 1),
    "file shown inline": _part("text/html", HTML).replace(
        b"\r\n\r\n", b'\r\nContent-Disposition: inline; filename="a.html"\r\n\r\n', 1
    ),
    "named": _part('text/html; name="a.html"', HTML),
    "AMP": _part("text/x-amp-html", HTML),
    "calendar": _part("text/calendar", TEXT),
    "message": b"Content-Type: message/rfc822\r\n\r\n" + _mail(_part("text/html", HTML)),
    "digest": b"Content-Type: multipart/digest; boundary=d\n\n--d\n\nA: b\n\n" + TEXT.encode() + b"\r\n--d--",
    "unknown type": _part("application/octet-stream", HTML),
    "unknown encoding": _part("text/html", HTML, "x-uuencode"),
    "two types": b"Content-Type: text/plain\r\n" + _part("text/html", HTML),
    "two charsets": _part("text/html; charset=utf-16", HTML),
    "no type": b"Content-Type: html\r\n\r\n" + HTML.encode(),
    "signed": b"Content-Type: multipart/signed; boundary=s\n\n--s\n" + _part("text/html", HTML) + b"\r\n--s--",
    "encrypted": b"Content-Type: multipart/encrypted; boundary=s\n\n--s\n" + _part("text/html", HTML) + b"\r\n--s--",
    "S/MIME": _part("application/pkcs7-mime", HTML, "base64"),
    "PGP in the text": _part("text/plain", "-----BEGIN PGP SIGNED MESSAGE-----\n\n" + TEXT),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTOUCHED)
def test_leaves_a_part_alone_and_rewrites_the_one_beside_it(name, encoder):
    part = UNTOUCHED[name]
    raw = _mail(part, _part("text/html", '<a href="https://d.com/">'), subtype="mixed")

    done = encoder.rewrite_message(raw)

    assert [link.url for link in done.links] == ["https://d.com"]
    assert part in done.content


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not a mail"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "not a mail"),
        (b"\n\nhttps://a.com/", "not a mail"),
        (b"<a href='https://a.com/'>", "not a mail"),
        (b"From: a@example.com\r\nSubject: x\r\n", "no body"),
        (_mail(_part("text/html", HTML), _part("text/html", HTML))[:-20], "truncated"),
        (_mail(_part("text/html", HTML), _part("text/html", HTML)).replace(b"\n--=_b", b"\n--=_c"), "truncated"),
        (_mail(b"Content-Type: multipart/mixed\r\n\r\n" + HTML.encode()), "ambiguous headers"),
        (_mail(_part("text/html", HTML), extra="DKIM-Signature: v=1;\r\n b=x\r\n"), "DKIM signature"),
        (_mail(UNTOUCHED["signed"]), "signed or encrypted"),
        (_mail(UNTOUCHED["S/MIME"]), "signed or encrypted"),
        (_mail(UNTOUCHED["unknown encoding"]), "transfer encoding"),
        (_mail(UNTOUCHED["two types"]), "ambiguous headers"),
        (_mail(b"Content-Type: image/png\r\n\r\n\x89PNG\r\n"), "no text part"),
        (b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 5000 + b"--b--\n", "too complex"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:24]),
)  # fmt: skip
def test_gives_a_mail_back_that_it_cannot_change(raw, reason, encoder):
    done = encoder.rewrite_message(raw)

    assert done.content is raw
    assert (done.links, done.reason, done.bytes_added) == ((), reason, 0)


def test_refuses_parts_nested_beyond_reason(encoder):
    raw = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(40))
    raw += b"\nhttps://a.com/\n" + b"".join(b"\n--%d--\n" % n for n in reversed(range(40)))

    done = encoder.rewrite_message(raw)

    assert (done.content is raw, done.reason) == (True, "too complex")


def test_rewrites_a_dkim_signed_mail_when_told_to(ring):
    raw = _mail(_part("text/html", HTML), extra="DKIM-Signature: v=1; b=x\r\n")

    done = Encoder(ORIGIN, ring, rewrite_dkim_signed=True).rewrite_message(raw)

    assert len(done.links) == 2


def test_tells_a_boundary_from_its_prefix(encoder):
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b2\n\n"
        b"--b2\n\n--b3 https://a.com/1\n--b2x\n--b2--  \n--b \t\n\nhttps://a.com/2 --b\n--b--"
    )

    done = encoder.rewrite_message(raw)

    assert [link.url for link in done.links] == ["https://a.com/1", "https://a.com/2"]


def test_skips_a_wrapped_link_of_flowed_text(encoder):
    raw = b"Content-Type: text/plain; format=flowed; delsp=yes\n\nhttps://a.com/x \ny and https://a.com/z here\n"

    done = encoder.rewrite_message(raw)

    assert [link.url for link in done.links] == ["https://a.com/z"]
    assert [link.reason for link in done.skipped] == ["wrapped"]


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64", "Base64", "x-unknown"])
def test_ignores_a_transfer_encoding_of_a_multipart_as_every_reader_does(encoding, encoder):
    parts = _part("text/plain", TEXT), _part("text/html", HTML, "quoted-printable")
    raw = _mail(*parts, extra=f"Content-Transfer-Encoding: {encoding}\r\n")

    done = encoder.rewrite_message(raw)

    assert (len(done.links), done.reason) == (4, None)


def test_tracks_the_links_of_a_line_that_was_too_long_before(encoder):
    line = "".join(f'<a href="https://a.com/{number}">x</a>' for number in range(60))
    raw = _mail(_part("text/html", line, "7bit"))

    done = encoder.rewrite_message(raw)

    assert (len(done.links), done.skipped) == (60, ())


def test_reads_a_document_without_a_charset_as_its_meta_element_says(encoder):
    meta = b'<!-- <meta charset=koi8-r> --><meta http-equiv=Content-Type content="text/html; charset=iso-8859-1">'
    body = meta + b"<a href=https://a.com/caf\xe9>caf\xe9</a><a href='https://b.com'>"
    raw = b"Content-Type: text/html\r\n\r\n" + body

    done, alone = encoder.rewrite_message(raw), encoder.rewrite_html(body)

    for links in (done.links, alone.links):
        assert [link.url for link in links] == ["https://a.com/caf%C3%A9", "https://b.com"]
    assert done.content.startswith(raw.partition(b"https")[0])


def test_rewrites_iso_2022_jp_but_for_links_with_escapes_in_them(encoder):
    text = "これ https://a.com/x 路 https://b.com/路\n<https://c.com/> です\n"
    raw = _mail(b"Content-Type: text/plain; charset=ISO-2022-JP\r\n\r\n" + text.encode("iso-2022-jp"))

    done = encoder.rewrite_message(raw)

    assert [link.url for link in done.links] == ["https://a.com/x", "https://c.com"]
    assert [(link.url, link.reason) for link in done.skipped] == [("https://b.com/路", "charset")]
    back = done.content
    for link, written in zip(done.links, ("https://a.com/x", "https://c.com/"), strict=True):
        back = back.replace(link.tracked_url.encode(), written.encode())
    assert back == raw


@pytest.mark.parametrize("encoding", ["7bit", "base64", "quoted-printable"])
def test_rewrites_html_in_iso_2022_jp_in_every_encoding(encoding, encoder, check):
    document = '<p title="試験">試験</p><a title="験" href="https://a.com/x">試</a><a href="https://b.com/験">'
    octets = document.encode("iso-2022-jp").decode("latin-1")
    raw = _mail(_part("text/html", octets, encoding, "latin-1").replace(b"latin-1", b"iso-2022-jp"))

    done = encoder.rewrite_message(raw)

    check(document, _bodies(done.content)[0].decode("iso-2022-jp").rstrip("\n"), done.links)
    assert [link.url for link in done.links] == ["https://a.com/x"]
    assert [link.reason for link in done.skipped] == ["charset"]

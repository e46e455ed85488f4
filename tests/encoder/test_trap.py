"""The trap: a link that only machines follow, off unless it is asked for."""

import email
import re

import pytest

from linkrouter.encoder import Encoder, find_links
from linkrouter.link.codec import decode_base64url

ORIGIN = "https://click.example.net"
MARKUP = re.compile(r'<a href="([^"]+)" aria-hidden="true" tabindex="-1" style="display:none;mso-hide:all"></a>')
LINK = '<a href="https://a.com/x">x</a>'


@pytest.fixture(scope="session")
def trapper(ring):
    return Encoder(ORIGIN, ring, trap_link=True)


def test_sets_no_trap_unless_told_to(encoder):
    assert "display:none" not in encoder.rewrite_html(f"<body>{LINK}</body>").content


@pytest.mark.parametrize(
    ("head", "tail"), [(f"<body>{LINK}<p>é", "</body></html>"), (f"{LINK} é", ""), (f"<BODY>{LINK}", "</BODY\n>")]
)
@pytest.mark.parametrize("as_bytes", [False, True], ids=["str", "bytes"])
def test_sets_one_trap_at_the_end_of_the_body(head, tail, as_bytes, trapper, ring):
    content = (head + tail).encode() if as_bytes else head + tail

    done = trapper.rewrite_html(content)

    written = done.content.decode() if as_bytes else done.content
    link, trap = done.links
    (match,) = MARKUP.finditer(written)
    assert written == head.replace("https://a.com/x", link.tracked_url) + match[0] + tail
    assert (match[1], trap.trap, link.trap) == (trap.tracked_url, True, False)
    assert (trap.url, trap.part, trap.position) == ("https://a.com/x", "html", 1)
    assert ring.verify(trap.tracked_url.removeprefix(ORIGIN)).destination == "https://a.com/x"
    assert decode_base64url(trap.link_id) == done.message_key + b"\x01"
    assert done.bytes_added == len(written.encode()) - len((head + tail).encode())
    assert trapper.rewrite_html(done.content).content is done.content


@pytest.mark.parametrize(
    "html",
    ["<p>no link</p>", '<a href="mailto:a@b.c">', f"{LINK}<!-- open", f"{LINK}<a title='open", f"{LINK}<style>",
     f"{LINK}<textarea></body>", f"{LINK}<!-- </body> --"],
)  # fmt: skip
def test_sets_no_trap_where_nothing_is_tracked_or_a_reader_could_see_it(html, trapper):
    done = trapper.rewrite_html(html)

    assert not any(link.trap for link in done.links)
    assert "display:none" not in done.content


def test_sets_no_trap_in_text(trapper):
    done = trapper.rewrite_text("https://a.com/x")

    assert [link.trap for link in done.links] == [False]


@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_sets_the_trap_in_every_transfer_encoding(encoding, trapper):
    message = email.message.EmailMessage()
    message.set_content("https://b.com/y\n")
    message.add_alternative(f"<body>é {LINK * 30}\n</body>\n", subtype="html", cte=encoding)

    done = trapper.rewrite_message(message)

    html = done.content.get_body(("html",)).get_content()
    (match,) = MARKUP.finditer(html)
    assert html.endswith(match[0] + "</body>\n")
    (trap,) = [link for link in done.links if link.trap]
    assert (trap.tracked_url, trap.position, trap.part) == (match[1], 30, "html")
    assert decode_base64url(trap.link_id) == done.message_key + bytes([31])
    assert MARKUP.search(done.content.get_body(("plain",)).get_content()) is None
    assert (
        max(map(len, done.content.as_bytes().splitlines())) <= (998 if encoding == "8bit" else 76) or encoding == "8bit"
    )
    assert len(find_links(done.content).links) == 32


def test_leaves_the_trap_out_where_it_would_make_a_line_too_long(trapper):
    line = "y" * 800 + LINK
    raw = f"Content-Type: text/html\n\n{line}".encode()

    done = trapper.rewrite_message(raw)

    assert [link.trap for link in done.links] == [False]
    assert done.skipped == ()


def test_asks_the_gate_and_the_scheme_of_ids_in_the_usual_way(ring):
    asked, counts = [], []

    def scheme(count):
        counts.append(count)
        return [bytes([number]) for number in range(count)]

    encoder = Encoder(ORIGIN, ring, gate=asked.append, link_ids=scheme, trap_link=True)

    done = encoder.rewrite_html(LINK)

    assert (asked, counts) == ([("https://a.com/x",)], [2])
    assert [link.link_id for link in done.links] == ["AA", "AQ"]


@pytest.mark.parametrize("mode", ["text-only", "none"])
def test_sets_no_trap_where_html_stays(mode, ring):
    html = f"<body>{LINK}</body>"

    assert Encoder(ORIGIN, ring, mode=mode, trap_link=True).rewrite_html(html).content is html

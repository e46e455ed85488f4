"""The ids of links: by default a key of the mail and the number of the link in it."""

import pytest

from linkrouter.encoder import Encoder
from linkrouter.link.codec import decode_base64url, varint

ORIGIN = "https://click.example.net"


def test_begins_every_id_of_a_mail_with_its_key_and_ends_it_with_the_number_of_the_link(encoder):
    html = '<a href="#top"><a href="https://a.com/">' * 100

    done = encoder.rewrite_html(html)

    assert len(done.message_key) == 8
    ids = [decode_base64url(link.link_id) for link in done.links]
    assert ids == [done.message_key + varint(link.position) for link in done.links]
    assert [link.position for link in done.links] == list(range(1, 200, 2))


def test_counts_the_links_of_all_parts_of_a_mail(encoder):
    raw = (
        b"Content-Type: multipart/alternative; boundary=b\n\n--b\n\nhttps://a.com/ https://b.com/\n"
        b"--b\nContent-Type: text/html\n\n<a href=https://c.com/>\n--b--\n"
    )

    done = encoder.rewrite_message(raw)

    ids = [decode_base64url(link.link_id) for link in done.links]
    assert ids == [done.message_key + bytes([number]) for number in range(3)]
    assert [link.position for link in done.links] == [0, 1, 0]


def test_draws_a_key_for_each_mail_and_shows_it_in_no_repr(encoder):
    first, second = (encoder.rewrite_text("https://a.com") for _ in range(2))

    assert first.message_key != second.message_key
    assert repr(first.message_key) not in repr(first)


@pytest.mark.parametrize("text", ["no link", "mailto:a@b.c https://click.example.net/"])
def test_has_no_key_where_nothing_is_tracked(text, encoder):
    assert encoder.rewrite_text(text).message_key == b""


def test_keeps_the_scheme_of_the_caller(ring):
    asked = []

    def scheme(count):
        asked.append(count)
        return [bytes([7, number]) for number in range(count)]

    done = Encoder(ORIGIN, ring, link_ids=scheme).rewrite_text("https://a.com https://b.com/unsubscribe https://c.com")

    assert [decode_base64url(link.link_id) for link in done.links] == [b"\x07\x00", b"\x07\x01"]
    assert (asked, done.message_key) == ([2], b"")

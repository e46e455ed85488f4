"""One link, one spelling: what is signed verifies, and nothing beside it does."""

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linkrouter.errors import BadDestination, BadLink
from linkrouter.link import Key, Keyring, Link, canonical_url
from linkrouter.link.codec import decode_base64url, encode_base64url, read_target, varint, write_target

RING = Keyring([Key(1, bytes(range(32)), "sign"), Key(15, bytes(range(1, 33)), "verify")])
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))
HOSTS = st.sampled_from(["example.com", "WWW.Example.com", "münchen.de", "127.0.0.1", "[::1]", "a.b:8080", "x_y.z"])
TAILS = st.text(alphabet=st.sampled_from(PRINTABLE.replace("\\", "") + "/.%?&=#äЖ中😀 \t\n"), max_size=60)
MANY = settings(max_examples=400, deadline=None)


@MANY
@given(
    st.sampled_from(["http", "https", "HTTPS"]),
    HOSTS,
    TAILS,
    st.binary(min_size=1, max_size=16),
    st.sampled_from(["html", "text"]),
    st.booleans(),
    st.sampled_from([0, 1, 127, 128, 2**32 - 1]),
    st.sampled_from([1, 15]),
)
@example("https", "example.com", "/a//b/../c/./%2e%2E/", b"\0", "html", False, 0, 1)
@example("https", "example.com", "/%253F%3f?%3D=&%26", b"\xff" * 16, "text", True, 1, 15)
def test_reads_back_whatever_it_signs(scheme, host, tail, link_id, part, count_only, tenant, key_id):
    url = f"{scheme}://{host}/{tail}"

    path = RING.sign(url, link_id=link_id, part=part, count_only=count_only, tenant=tenant, key_id=key_id)

    assert RING.verify(path) == Link(canonical_url(url), link_id, part, count_only, tenant, key_id)
    assert set(path) <= set(string.ascii_letters + string.digits + "-._~:@%/")
    assert not any(fold in path for fold in ("//", "/./", "/../"))
    assert path[-1] in "AEIMQUYcgkosw048"


@MANY
@given(st.text(max_size=80))
def test_signs_no_text_that_is_not_a_destination(url):
    try:
        destination = canonical_url(url)
    except BadDestination:
        with pytest.raises(BadDestination):
            RING.sign(url)
        return

    assert RING.verify(RING.sign(url)).destination == destination


PATHS = [
    RING.sign("https://example.com/a/b?c=d&e=%20#f", link_id=b"\x01\x02\x03"),
    RING.sign("http://example.com", link_id=b"x", part="text", tenant=300, count_only=True),
    RING.sign("https://example.com/a//", link_id=bytes(16), key_id=15),
]


@pytest.mark.parametrize("path", PATHS)
def test_refuses_every_change_of_one_character(path):
    for position in range(len(path)):
        for character in {*PRINTABLE, " ", "\0", "\n", "\x7f", "é", "\u017f"} - {path[position]}:
            with pytest.raises(BadLink):
                RING.verify(path[:position] + character + path[position + 1 :])


@pytest.mark.parametrize("path", PATHS)
def test_refuses_every_cut_and_every_insertion(path):
    for position in range(len(path)):
        for changed in (
            path[:position],
            path[position + 1 :],
            path[:position] + path[position + 1 :],
            *(path[:position] + more + path[position:] for more in "/.%=A"),
        ):
            if changed != path:
                with pytest.raises(BadLink):
                    RING.verify(changed)


def test_refuses_pieces_of_two_links_put_together():
    one, two = (RING.sign(f"https://{host}.com", link_id=b"1") for host in "ab")

    for cut in range(1, len(one)):
        changed = one[:cut] + two[cut:]
        if changed not in (one, two):
            with pytest.raises(BadLink):
                RING.verify(changed)


def test_refuses_a_link_of_another_tenant():
    own = RING.sign("https://a.com", link_id=b"1", tenant=1)
    other = RING.sign("https://a.com", link_id=b"1", tenant=2)

    with pytest.raises(BadLink):
        RING.verify(own.rpartition("/")[0] + "/" + other.rpartition("/")[2])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/2s/",
        "/2s/////",
        "2s/a.com/AQ/eA/x",
        "/3/a.com/AQ/eA/AAAAAAAAAAAAAAA",
        "/2s/a.com/AA/eA/AAAAAAAAAAAAAAA",
        "/2s/a.com/AQ/eA/",
        "*",
        "/2s/" + "a" * 9000,
        "/2s/a.com/AQ/eA/\u00e4",
    ],
    ids=lambda path: path[:20],
)
def test_refuses_what_has_not_the_shape_of_a_link(path):
    with pytest.raises(BadLink):
        RING.verify(path)


@given(st.binary(max_size=40))
def test_has_one_spelling_for_any_bytes_in_base64url(data):
    text = encode_base64url(data)

    assert decode_base64url(text) == data
    for other in (text + "=", text + "\n", text[:-1], text.replace("-", "+"), text.replace("_", "/")):
        if other != text:
            try:
                assert decode_base64url(other) != data
            except BadLink:
                pass


@MANY
@given(st.text(alphabet=st.sampled_from(PRINTABLE), min_size=1, max_size=50))
def test_writes_a_target_that_reads_back(rest):
    assert read_target(write_target(rest)) == rest


@pytest.mark.parametrize("target", ["%", "%2", "%zz", "%3f", "%41", "%80", "%FF", "%%3F", "%2%3D5", "a%", "%E4"])
def test_refuses_escapes_that_are_never_written(target):
    with pytest.raises(BadLink):
        read_target(target)


@pytest.mark.parametrize(
    ("number", "octets"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (2**32 - 1, b"\xff\xff\xff\xff\x0f")]
)
def test_writes_varints_in_their_shortest_form(number, octets):
    assert varint(number) == octets


def test_leaves_a_link_unsigned_whose_path_would_be_too_long():
    with pytest.raises(BadDestination, match="too long"):
        RING.sign("https://a.com/?" + "=" * 3000)


@pytest.mark.parametrize(
    "options",
    [{"link_id": b""}, {"link_id": bytes(17)}, {"part": "amp"}, {"tenant": -1}, {"tenant": 2**32}],
    ids=lambda options: str(options)[:30],
)
def test_refuses_arguments_out_of_their_range(options):
    with pytest.raises(ValueError, match="must be"):
        RING.sign("https://a.com", **options)


def test_shows_neither_destination_nor_id_in_a_repr():
    link = RING.verify(RING.sign("https://secret.example.com/x", link_id=b"secret"))

    assert "secret" not in repr(link)
    assert "c2VjcmV0" not in repr(link)
    assert "secret" not in repr(RING.open(RING.sign("https://secret.example.com/x", link_id=b"secret")))


def test_signs_with_a_prepared_signer_what_it_signs_at_once():
    signer = RING.signer(part="text", count_only=True, tenant=9)

    assert signer("https://a.com/x", b"id") == RING.sign(
        "https://a.com/x", link_id=b"id", part="text", count_only=True, tenant=9
    )

"""Which bytes are read as what, and the way back from places in the text to places in the bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.encoder.charsets import decode_charset, to_octets

LABELS = [
    # label of the Encoding Standard, bytes, what a browser reads
    ("iso-8859-8-i", b"\xe0\xe1", "אב"),
    ("csISO88598I", b"\xe0", "א"),
    ("logical", b"\xe0", "א"),
    ("visual", b"\xe0", "א"),
    ("windows-874", b"\xa1\x85", "ก…"),
    ("dos-874", b"\xa1", "ก"),
    ("tis-620", b"\xa1\x85", "ก…"),
    ("x-sjis", b"\x83e\x87@", "テ①"),
    ("windows-31j", b"\x83e", "テ"),
    ("Shift_JIS", b"\x87@", "①"),
    ("x-euc-jp", b"\xa5\xc6", "テ"),
    ("ks_c_5601-1989", b"\xbd\xc3", "시"),
    ("windows-949", b"\xbd\xc3", "시"),
    ("euc-kr", b"\x8c\x63", "똠"),
    ("x-gbk", b"\xb2\xe2", "测"),
    ("gb2312", b"\x87\x46", "嘑"),
    ("GB_2312-80", b"\xb2\xe2", "测"),
    ("cn-big5", b"\xb4\xfa", "測"),
    ("x-x-big5", b"\xb4\xfa", "測"),
    ("x-cp1251", b"\xd2", "Т"),
    ("koi", b"\xd4", "т"),
    ("koi8-ru", b"\xd4", "т"),
    ("x-mac-cyrillic", b"\x80", "А"),
    ("macintosh", b"\x8e", "é"),
    ("mac", b"\x8e", "é"),
    ("iso-8859-1", b"\xe9\x80", "é€"),
    ("latin1", b"\x93", "“"),
    ("us-ascii", b"\x93", "“"),
    ("us-ascii", "é".encode(), "é"),
    ("iso-8859-9", b"\x80\xfd", "€ı"),
    ("iso88592", b"\xb1", "ą"),
    ("sun_eu_greek", b"\xe1", "α"),
    ("csisolatin9", b"\xa4", "€"),
    ("unicode-1-1-utf-8", "é".encode(), "é"),
    (" UTF-8 ", "é".encode(), "é"),
    ("", "é".encode(), "é"),
]


@pytest.mark.parametrize(("label", "octets", "text"), LABELS, ids=lambda value: str(value)[:20])
def test_reads_a_label_as_the_encoding_standard_does(label, octets, text):
    decoded = decode_charset(octets, label)

    assert decoded.text == text
    assert decoded.text.encode(decoded.codec) == octets


@pytest.mark.parametrize(
    "label",
    ["utf-16", "utf-7", "hz-gb-2312", "iso-2022-kr", "iso-2022-cn", "cp037", "default", "_iso-2022-jp$esc", "\0"],
)
def test_reads_no_charset_in_which_markup_may_be_something_else(label):
    assert decode_charset(b"\xe9<a>", label) is None


@pytest.mark.parametrize("octets", [b"\xee\xf9", b"\x87\x9c\x81\x40", b"\xfa\x40\xff"])
def test_takes_a_narrower_codec_where_a_character_has_two_spellings(octets):
    decoded = decode_charset(octets, "shift_jis")

    assert decoded.text.encode(decoded.codec, "surrogateescape") == octets


@pytest.mark.parametrize(
    "octets", [b"\x1b$B$3", b"\x1b$B$3\n$3\x1b(B", b"\x1b.A\xe9", b"a\x0eb\x0f", b"\x1b$(D", b"\xe9"]
)
def test_reads_no_iso_2022_jp_that_readers_take_in_two_ways(octets):
    decoded = decode_charset(octets, "iso-2022-jp")

    assert decoded is None or decoded.text == "こ"


def test_reads_roman_and_katakana_of_iso_2022_jp():
    decoded = decode_charset(b"a~\x1b(J\\~b\x1b(I1\x1b$B$3\x1b(Bc", "iso-2022-jp")

    assert decoded.text == "a~¥‾bｱこc"


def test_sees_iso_2022_jp_without_its_label():
    assert decode_charset(b"\x1b$B<a>x\x1b(B", "") is not None
    assert "<a" not in decode_charset(b"\x1b$B<a>x\x1b(B", "us-ascii").text


def test_reads_ascii_with_other_escapes_as_it_stands():
    assert decode_charset(b"\x1b[1mbold\x1b[0m https://a.com", "").text == "\x1b[1mbold\x1b[0m https://a.com"


@given(
    st.lists(st.sampled_from(["a", "https://a.com", "é", "試験", "ｱ", "\n", "<b>"]), max_size=12),
    st.sampled_from(["utf-8", "iso-2022-jp", "shift_jis", "gb2312", "euc-kr", "windows-1252"]),
)
def test_every_link_is_found_again_in_the_bytes(words, label):
    octets = b" ".join(word.encode(label, "ignore") for word in words)
    decoded = decode_charset(octets, label)

    at, places = 0, []
    while (at := decoded.text.find("https://a.com", at)) >= 0:
        places.append((at, at + 13, "x"))
        at += 13

    assert all(octets[start:end] == b"https://a.com" for start, end, _ in to_octets(decoded, places))
    assert len(places) == words.count("https://a.com")

"""Character references in attributes."""

from html.entities import html5

import pytest

from linkrouter.encoder.entities import decode_attribute


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("?a=1&amp;b=2", "?a=1&b=2"),
        ("?a=1&b=2", "?a=1&b=2"),
        ("?a&section=2&copy=3", "?a&section=2&copy=3"),
        ("?a&copy;b", "?a©b"),
        ("?a&copy b", "?a© b"),
        ("?a&copy", "?a©"),
        ("?a&copyright=1", "?a&copyright=1"),
        ("?a&copyrightx", "?a&copyrightx"),
        ("?a&amp=1", "?a&amp=1"),
        ("&lt;&#60;&#x3c;&#X3C;", "<<<<"),
        ("http&#58;//a", "http://a"),
        ("&#58a", ":a"),
        ("&#x3Ag", ":g"),
        ("&#128;&#150;&#129;", "€–\x81"),
        ("&#0;&#xD800;&#x110000;&#99999999999999999999999;", "\ufffd\ufffd\ufffd\ufffd"),
        ("&#0000000000065;", "A"),
        ("&#;&#x;&;& &unknown;", "&#;&#x;&;& &unknown;"),
        ("&amp;amp;", "&amp;"),
        ("&NotEqualTilde;", "≂̸"),
    ],
)
def test_decodes_as_the_standard_says(written, meant):
    assert decode_attribute(written) == meant


def test_knows_every_name_of_the_standard():
    for name, characters in html5.items():
        if name.endswith(";"):
            assert decode_attribute(f"x&{name}y") == f"x{characters}y"


def test_leaves_every_name_without_semicolon_before_an_equals_sign():
    for name in html5:
        if not name.endswith(";"):
            assert decode_attribute(f"?x&{name}=1") == f"?x&{name}=1"
            assert decode_attribute(f"?x&{name}9") == f"?x&{name}9" or f"{name}9" in html5
            assert decode_attribute(f"?x&{name}/") == f"?x{html5[name]}/"


def test_copes_with_a_number_of_a_million_digits():
    assert decode_attribute("&#" + "9" * 1_000_000 + ";") == "\ufffd"

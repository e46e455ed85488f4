"""What may be redirected to, and in which spelling."""

import json

import ada_url
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkrouter.errors import BadDestination
from linkrouter.link import canonical_url, is_redirectable


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/", "https://example.com"),
        ("https://example.com", "https://example.com"),
        ("https://example.com/a/", "https://example.com/a/"),
        ("HTTPS://EXAMPLE.com:443/A", "https://example.com/A"),
        ("https://example.com?x", "https://example.com/?x"),
        ("https://münchen.de/ä", "https://xn--mnchen-3ya.de/%C3%A4"),
        ("https://example.com/a b", "https://example.com/a%20b"),
        ("https://example.com/a/../b/./c", "https://example.com/b/c"),
        ("https://example.com/%2e%2E/b", "https://example.com/b"),
        ("https://example.com/%zz?%zz#%zz", "https://example.com/%zz?%zz#%zz"),
        ("https://example.com/{x}|y?{x}|y", "https://example.com/%7Bx%7D|y?{x}|y"),
        (" \thttps://exa\nmple.com/\r\nx ", "https://example.com/x"),
        ("https:\\\\example.com\\x", "https://example.com/x"),
        ("https:///example.com/x", "https://example.com/x"),
        ("https:example.com", "https://example.com"),
        ("http://0x7f.1/", "http://127.0.0.1"),
        ("http://2130706433/", "http://127.0.0.1"),
        ("http://[::FFFF]/", "http://[::ffff]"),
        ("https://example。com/", "https://example.com"),
        ("https://example.com./x", "https://example.com./x"),
        ("https://@example.com/", "https://example.com"),
    ],
)
def test_gives_what_a_browser_would_request(url, expected):
    assert canonical_url(url) == expected
    assert canonical_url(expected) == expected
    assert is_redirectable(expected)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://trusted@evil.example/", "userinfo"),
        ("https://a:b@evil.example/", "userinfo"),
        ("https://:b@evil.example/", "userinfo"),
        ("https:///", "not a URL"),
        ("https://", "not a URL"),
        ("//evil.example", "not a URL"),
        ("/x", "not a URL"),
        ("", "not a URL"),
        (" javascript:alert(1)", "scheme"),
        ("java\tscript:alert(1)", "scheme"),
        ("data:text/html,x", "scheme"),
        ("vbscript:x", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("intent://x", "scheme"),
        ("ftp://example.com/", "scheme"),
        ("blob:https://example.com/x", "scheme"),
        ("https://a℀b/", "not a URL"),
        ("https://[::1%25eth0]/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("http://256.1.1.1/", "not a URL"),
        ("https://example.com:65536/", "not a URL"),
        ("https://exa mple.com/", "not a URL"),
        ("https://exa\0mple.com/", "not a URL"),
        ("https://example.com/?\\", "characters"),
        ("https://\ud800/", "not a URL"),
        ("https://example.com/\ud800", "not a URL"),
        ("https://example.com/" + "x" * 4096, "too long"),
        ("https://example.com/" + "ä" * 700, "too long"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_refuses_what_may_not_be_redirected_to(url, reason):
    with pytest.raises(BadDestination) as refused:
        canonical_url(url)

    assert (refused.value.reason, str(refused.value)) == (reason, reason)
    assert refused.value.__cause__ is None


def test_takes_the_host_a_browser_takes():
    assert canonical_url("https://trusted.example\\@evil.example/") == "https://trusted.example/@evil.example/"


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https:///x",
        "https://a@b",
        "https://a:b@c/",
        "https://a\\b",
        "https://a/\\",
        "HTTPS://a",
        "ftp://a",
        "//a",
        "https://a b",
        "https://a/ ",
        "https://a/\n",
        "https://a/\x7f",
        "https://a/é",
        "https://a:b/",
        "https://[::1",
        "https://?x",
        "https://#x",
        "https://:80",
        "javascript://a",
        "https://a/\0",
        "https://a/" + "x" * 4096,
    ],
    ids=lambda url: ascii(url)[:30],
)
def test_lets_nothing_else_into_a_location_header(url):
    assert not is_redirectable(url)


@pytest.mark.parametrize(
    "url",
    ["https://a", "http://a:8080/", "https://[::1]:8/x?y#z", "https://a/{}|^`<>\"'@:", "https://a?x", "https://a.b./"],
)
def test_lets_plain_addresses_into_a_location_header(url):
    assert is_redirectable(url)


HOSTS = "example.com a-b.c1 1.2 a.1 a..b -a.b xn--a.b a.xn--b a_b.c A.b a.b. a.0x1 xn--mnchen-3ya.de"


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(HOSTS.split()),
    st.text(alphabet=st.sampled_from("ab/.%2eE?#&=:@!$()*+,;~-_|{}[]^`\"'<> é"), max_size=25),
)
def test_agrees_with_the_url_parser_on_what_is_canonical_at_sight(host, tail):
    """The regular expression that spares the parser must never take for canonical what the parser would change."""
    url = f"https://{host}/{tail}"
    try:
        parsed = ada_url.normalize_url(url)
    except ValueError:
        with pytest.raises(BadDestination):
            canonical_url(url)
        return

    destination = canonical_url(url)

    assert destination + "/" * (destination.count("/") == 2) == parsed


def _reason(url):
    try:
        canonical_url(url)
    except BadDestination as exc:
        return exc.reason
    return None


def test_serialises_every_case_of_the_url_standard(corpus):
    checked = 0
    for case in json.loads((corpus / "conformance" / "url" / "urltestdata.json").read_text("utf-8")):
        if isinstance(case, str) or case.get("base") or case.get("relativeTo"):
            continue
        if case.get("failure"):
            expected = "not a URL"
        elif case["protocol"] not in ("http:", "https:"):
            expected = "scheme"
        else:
            expected = "userinfo" if case["username"] or case["password"] else None
        assert _reason(case["input"]) in (expected, "characters"), case["input"]
        if _reason(case["input"]) is None:
            assert canonical_url(case["input"]) in (case["href"], case["href"].removesuffix("/"))
            assert is_redirectable(canonical_url(case["input"]))
        checked += 1
    assert checked > 300

"""The canonical form of URLs and their expressions, by the vectors that Google publishes."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linkrouter.checker.reputation.hashed_urls import canonical_form, expressions, url_hashes


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://host/%25%32%35%25%32%35", "http://host/%25%25"),
        ("http://host/%2525252525252525", "http://host/%25"),
        ("http://host/%%%25%32%35asd%%", "http://host/%25%25%25asd%25%25"),
        ("http://host%23.com/%257Ea%2521b%2540c%2523d", "http://host%23.com/~a!b@c%23d"),
        ("http://3279880203/blah", "http://195.127.0.11/blah"),
        ("http://a.example/b/..", "http://a.example/"),
        ("http://a.example/b/./c/../d/", "http://a.example/b/d/"),
        ("a.example:80/x", "http://a.example/x"),
        ("www.a.example", "http://www.a.example/"),
        ("http://A.example.../", "http://a.example/"),
        ("http://a.example/foo\tbar\rbaz\n2", "http://a.example/foobarbaz2"),
        ("http://a.example/q?r?s", "http://a.example/q?r?s"),
        ("http://a.example/foo?bar;", "http://a.example/foo?bar;"),
        ("http://a.example:1234/", "http://a.example/"),
        ("http://me:secret@a.example/", "http://a.example/"),
        ("  http://a.example/  ", "http://a.example/"),
        ("http://%20leadingspace.com/", "http://%20leadingspace.com/"),
        ("http://a.example//two?more//slashes#x", "http://a.example/two?more//slashes"),
        ("http://ümlat.example/", "http://xn--mlat-zra.example/"),
        ("http://[2001:DB8:0::1]:8080/x", "http://[2001:db8::1]/x"),
        ("http://[::ffff:1.2.3.4]/", "http://1.2.3.4/"),
        ("http://12.0x12.01234/", "http://12.18.2.156/"),
        ("http://276.2.3/", "http://20.2.0.3/"),
        ("http://123.123.0.0.1/", "http://123.123.0.0.1/"),
        (b"http://\x01\x80.com/", "http://%01%80.com/"),
        ("/blah", None),
        ("http:///blah", None),
        ("mailto:a@example.com", None),
    ],
)
def test_urls_have_one_form(url, canonical):
    assert canonical_form(url) == canonical


def test_the_published_vectors_hold(corpus):
    folder = corpus / "conformance" / "safe-browsing"
    for case in json.loads((folder / "canonicalize.json").read_text()):
        url = case["input"].replace("\x80", "%80")  # the byte, which JSON cannot hold
        assert canonical_form(url) == case["output"]
    for case in json.loads((folder / "expressions.json").read_text()):
        assert sorted(expressions(case["url"])) == sorted(case["expressions"])


def test_expressions_are_the_hosts_suffixes_with_the_paths_prefixes():
    assert expressions("http://a.b.c/1/2.html?param=1") == [
        *("a.b.c/1/2.html?param=1", "a.b.c/1/2.html", "a.b.c/", "a.b.c/1/"),
        *("b.c/1/2.html?param=1", "b.c/1/2.html", "b.c/", "b.c/1/"),
    ]
    assert expressions("http://1.2.3.4/1/") == ["1.2.3.4/1/", "1.2.3.4/"]
    hosts = {each.partition("/")[0] for each in expressions("http://a.b.c.d.e.f.g/1.html")}
    assert hosts == {"a.b.c.d.e.f.g", "c.d.e.f.g", "d.e.f.g", "e.f.g", "f.g"}
    assert expressions("mailto:a@example.com") == []


@given(st.from_regex(r"https?://[a-z.]{1,40}(/[a-z/?=]{0,60})?", fullmatch=True))
def test_a_url_has_at_most_thirty_expressions_and_itself_is_one(url):
    canonical = canonical_form(url)
    found = expressions(url)

    assert len(found) == len(set(found)) <= 30
    if canonical is not None:
        assert found[0] == canonical.partition("://")[2]
        assert canonical_form(canonical) == canonical


@given(st.text(max_size=100))
def test_nothing_makes_it_fail(url):
    assert len(url_hashes(url)) == len(expressions(url))
    assert len(url_hashes("http://" + url)) <= 30


def test_hashes_are_those_that_google_documents():
    assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf")
    [first, *_] = url_hashes("http://testsafebrowsing.appspot.com/s/malware.html")
    assert first.hex().startswith("5b0b89750c78f233")

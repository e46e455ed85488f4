"""Which addresses of a plain text are links, and where they end."""

import re

import pytest

from linkrouter.encoder.text import scan_text

FIRST_LINKS = [
    ("Example <https://example.com/>", "https://example.com/"),
    ("see https://ex.com/a_b.", "https://ex.com/a_b"),
    ("(https://en.wikipedia.org/wiki/A_(b))", "https://en.wikipedia.org/wiki/A_(b)"),
    ('"https://ex.com/x"', "https://ex.com/x"),
    ("https://ex.com/x…", "https://ex.com/x"),
    ("请访问https://ex.com/路径。谢谢", "https://ex.com/路径"),
    ("参照：https://ex.com/a、https://ex.com/b", "https://ex.com/a"),
    ("https://münchen.de/ä", "https://münchen.de/ä"),
    ("https://ex.com/a\r\nnext", "https://ex.com/a"),
    ("https://ex.com/doc'dec2018.xlsx", "https://ex.com/doc'dec2018.xlsx"),
    ("[text](https://ex.com/a)", "https://ex.com/a"),
    ("https://ex.com/?a=1&b=2#f-1", "https://ex.com/?a=1&b=2#f-1"),
    ("HTTPS://EX.COM/X", "HTTPS://EX.COM/X"),
    ("https://ex.com/~u/", "https://ex.com/~u/"),
    ("https://ex.com/a?x=[1]", "https://ex.com/a?x=[1]"),
    ("https://ex.com/😀!", "https://ex.com/😀"),
    ("xhttps://ex.com", None),
    ("https://ex.com/{{ id }}", "https://ex.com/{{"),
    ("*https://ex.com/x*", "https://ex.com/x"),
    ("https://ex.com/a-", "https://ex.com/a-"),
    ("https://ex.com/wp-content/x", "https://ex.com/wp-content/x"),
    # the examples of GitHub Flavored Markdown, with their scheme
    ("Visit http://commonmark.org/a.b.", "http://commonmark.org/a.b"),
    ("http://google.com/search?q=Markup+(business)", "http://google.com/search?q=Markup+(business)"),
    ("http://google.com/search?q=Markup+(business)))", "http://google.com/search?q=Markup+(business)"),
    ("(http://google.com/search?q=Markup+(business)", "http://google.com/search?q=Markup+(business)"),
    ("http://google.com/search?q=(business))+ok", "http://google.com/search?q=(business)"),  # Markdown takes all
    ("http://google.com/search?q=commonmark&hl=en", "http://google.com/search?q=commonmark&hl=en"),
    ("http://google.com/search?q=commonmark&hl;", "http://google.com/search?q=commonmark"),
    ("http://commonmark.org/he<lp", "http://commonmark.org/he"),
    (
        "https://encrypted.google.com/search?q=Markup+(business)",
        "https://encrypted.google.com/search?q=Markup+(business)",
    ),
    # and what else is met
    ("[https://ex.com/a](https://ex.com/b)", "https://ex.com/a"),
    ("<https://ex.com/a.>", "https://ex.com/a."),
    ("https://", None),
    ("http://...", None),
    ("www.example.com, example.com, mailto:a@example.com", None),
    ("ftp://ex.com/ a/https://ex.com", None),
]


@pytest.mark.parametrize(("document", "expected"), FIRST_LINKS, ids=lambda value: str(value)[:40])
def test_ends_a_link_where_a_reader_would(document, expected):
    seen = scan_text(document)

    assert [link.url for link in seen[:1]] == ([] if expected is None else [expected])
    assert all(document[link.start : link.end] == link.url for link in seen)


@pytest.mark.parametrize(
    ("document", "joined_lines", "reasons"),
    [
        ("> see https://ex.com/a for more", False, ["quoted"]),
        (">> https://ex.com/a\nhttps://ex.com/b\n> https://ex.com/c", False, ["quoted", None, "quoted"]),
        ("x > https://ex.com/a", False, [None]),
        ("<https://ex.com/a\r\nnd-b>", False, ["wrapped"]),
        ("<https://ex.com/a\nis the page", False, [None]),
        ("<https://ex.com/a/\n  nd-b>", False, ["wrapped"]),
        ("<https://ex.com/a/ \r\nnd-b>", False, ["wrapped"]),
        ("<https://ex.com/a/\r\n\tnd-b\r\n\tand-c>", False, ["wrapped"]),
        ("<https://ex.com/a/\n  and more>", False, [None]),
        ("* https://ex.com/long/\n  path/rest\n", False, ["wrapped"]),
        ("* https://ex.com/long/\n  path/rest is there", False, [None]),
        ("* https://ex.com/long/\n  path", False, [None]),
        ("see https://ex.com/long/ \npath/rest for more", False, ["wrapped"]),
        ("see https://ex.com/long?a=1& \nb=2 for more", False, ["wrapped"]),
        ("see https://ex.com/long/ \nfor more", False, [None]),
        ("see https://ex.com \nTel/Fax", False, [None]),
        ("https://ex.com/a \nhttps://ex.com/b/c", False, [None, None]),
        ("https://ex.com/a\n  https://ex.com/b/c\n  www.ex.com/d/e", False, [None, None]),
        ("https://ex.com/a\nb/c\n", False, [None]),
        ("https://ex.com/a \r\nnd so on", True, ["wrapped"]),
        ("https://ex.com/a \r\nnd so on", False, [None]),
        ("https://ex.com/a and so on \r\nx", True, [None]),
        ('https://ex.com/a[[data-msys-clicktrack="0"]] x', False, ["opted out"]),
        ('https://ex.com/a[[data-msys-clicktrack="1"]] x', False, [None]),
    ],
)
def test_says_when_a_link_must_stay(document, joined_lines, reasons):
    assert [link.reason for link in scan_text(document, joined_lines=joined_lines)] == reasons


@pytest.mark.parametrize(
    "unit", ["(", ")", "((a", "https://", "https://a)", "https://a.b/](", "://", "<https://", "https://a\n", ";", "&a;",
             "https://a.b/;;", "xhttps://", "https://a,", "https://a)~", "https://a(", "(,", "https://a?u=https://b,",
             "<https://a\n ", "https://a/b \nc/", "https://[[data-msys-clicktrack=", "https://a "]
)  # fmt: skip
@pytest.mark.slow
def test_finishes_a_megabyte_of_anything(unit, encoder):
    # Were any of these quadratic, this would take hours.
    document = "https://a.b/" + unit * (1_000_000 // len(unit))

    done = encoder.rewrite_text(document)

    assert len(done.links) + len(done.skipped) >= 1


JOINED = [
    ("https://a.com/1,https://b.com/2;https://c.com/3", ["https://a.com/1", "https://b.com/2", "https://c.com/3"]),
    ("(https://a.com/1),https://b.com/2", ["https://a.com/1", "https://b.com/2"]),
    ("https://a.com,https://b.com", ["https://a.com", "https://b.com"]),
    ("https://a.com|HTTPS://b.com", ["https://a.com", "HTTPS://b.com"]),
    ("'https://a.com/x','https://b.com/y'", ["https://a.com/x", "https://b.com/y"]),
    ("https://a.com/x(https://b.com/y)", ["https://a.com/x", "https://b.com/y"]),
    ("<https://a.com/x,https://b.com/y>", ["https://a.com/x", "https://b.com/y"]),
    ("https://a.com/P_(q),https://b.com/y", ["https://a.com/P_(q)", "https://b.com/y"]),
    ("https://a.com/1,2,3,https://b.com/4,5", ["https://a.com/1,2,3", "https://b.com/4,5"]),
    ("https://a.com/?x=1,https://b.com/?y=2", ["https://a.com/?x=1", "https://b.com/?y=2"]),
    ("https://a.com/?next=https://b.com/", ["https://a.com/?next=https://b.com/"]),
    ("https://a.com/web/1/https://b.com/", ["https://a.com/web/1/https://b.com/"]),
    ("https://a.com/?https://b.com/", ["https://a.com/?https://b.com/"]),
    ("https://a.com/?u=https://b.com,https://c.com", ["https://a.com/?u=https://b.com,https://c.com"]),
]


@pytest.mark.parametrize(("document", "expected"), JOINED, ids=lambda value: str(value)[:40])
def test_takes_joined_addresses_apart_and_lists_in_a_query_for_one(document, expected):
    assert [link.url for link in scan_text(document)] == expected


@pytest.mark.parametrize(
    "mark",
    [
        *"\u200b\ufeff\u2060\u00ad\u200e\u200f\u202c\u2069",
        *"–—―",
        *"｡､｣．。、」，！？：；）］｝〉】〕〟",
        *"،؛؟۔।„‚›»”’…",
    ],
    ids=lambda mark: f"U+{ord(mark):04X}",
)
@pytest.mark.parametrize("behind", ["", " x", "次x", "x/y"])
def test_ends_a_link_at_marks_that_no_address_needs(mark, behind):
    document = f"https://a.com/x{mark}{behind}"

    assert [link.url for link in scan_text(document)] == ["https://a.com/x"]


@pytest.mark.parametrize(
    "path", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "👨\u200d👩\u200d👧", "❤\ufe0f", "ア・イー", "a---b"]
)
def test_keeps_marks_that_words_and_emoji_need(path):
    (link,) = scan_text(f"https://a.com/{path} \u200d")

    assert link.url == f"https://a.com/{path}"


@pytest.mark.parametrize(
    ("document", "expected"),
    [("(https://a.com/z)0", "https://a.com/z"), ("[https://a.com/z]0", "https://a.com/z"),
     ("{https://a.com/z}0", "https://a.com/z"), ("https://a.com/(z)0", "https://a.com/(z)0"),
     ("<https://a.com/z)0>", "https://a.com/z)0")],
)  # fmt: skip
def test_ends_a_link_at_a_closing_bracket_that_it_did_not_open(document, expected):
    assert [link.url for link in scan_text(document)] == [expected]


def _fixtures(path):
    """Give (text, link) pairs of a linkify-it file: a line, and below it the link when it is not the whole line."""
    blocks = re.split(r"\n\s*\n", re.sub(r"(?m)^%.*\n", "", path.read_text("utf-8") + "\n"))
    for block in blocks:
        lines = [re.sub(r"\s+%.*$", "", line) for line in block.splitlines() if line.strip()]
        if lines and len(lines) <= 2 and re.search(r"https?://", lines[-1], re.IGNORECASE):
            yield lines[0], lines[-1]


def test_agrees_with_linkify_it_where_a_link_has_a_scheme(corpus):
    pairs = list(_fixtures(corpus / "conformance" / "linkify-it" / "links.txt"))

    agreed = [text for text, link in pairs if link in [seen.url for seen in scan_text(text)]]

    # The rest are matters of taste: a quotation mark or a bracket inside an address, `[https](url)[mailto](…`.
    assert len(agreed) >= 0.93 * len(pairs) >= 60


def test_finds_nothing_in_most_of_what_linkify_it_calls_no_link(corpus):
    lines = (corpus / "conformance" / "linkify-it" / "not_links.txt").read_text("utf-8").splitlines()
    texts = [re.sub(r"\s+%.*$", "", line) for line in lines if line and not line.startswith("%")]

    wrong = [text for text in texts if scan_text(text)]

    # Hosts that are odd, for the URL parser to judge; `http://example.com_` is one to a reader.
    assert {text.partition("//")[2][:1] for text in wrong} <= {".", "-", "e", "#", "?"}

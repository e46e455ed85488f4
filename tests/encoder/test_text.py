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
    ("http://google.com/search?q=(business))+ok", "http://google.com/search?q=(business))+ok"),
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
             "https://a.b/;;", "xhttps://", "https://[[data-msys-clicktrack=", "https://a "]
)  # fmt: skip
def test_finishes_a_megabyte_of_anything(unit, encoder):
    # Were any of these quadratic, this would take hours.
    document = "https://a.b/" + unit * (1_000_000 // len(unit))

    done = encoder.rewrite_text(document)

    assert len(done.links) + len(done.skipped) >= 1


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

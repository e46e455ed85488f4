"""Which links of an HTML document are found, and at which offsets."""

import json
import re

import lxml.html
import pytest

from linkrouter.encoder.html import scan_html, tag_attributes

ONE_LINE_HAZARDS = {
    # name: (document, how many links a correct rewriter replaces)
    "mso_vml": ('<p>x<!--[if mso]><v:roundrect href="http://a.com/x"><![endif]-->', 1),
    "cc_a": ('<p>x<!--[if mso]><a href="http://a.com/x">x</a><![endif]-->', 1),
    "area": ('<map><area href="http://a.com/x"></map>', 1),
    "amp": ('<a href="http://a.com/?a=1&amp;b=2">x</a>', 1),
    "raw_amp": ('<a href="http://a.com/?a=1&section=2&copy=3">x</a>', 1),
    "newline": ('<a\r\n  class="x"\r\n  href="http://a.com/x">x</a>', 1),
    "spaces": ('<a href = "http://a.com/x">x</a>', 1),
    "unquoted": ("<a href=http://a.com/x>x</a>", 1),
    "single": ("<a href='http://a.com/x'>x</a>", 1),
    "apos": ('<a href="http://a.com/doc\'1">x</a>', 1),
    "upper": ('<A HREF="HTTP://A.com/x">x</A>', 1),
    "lead_ws": ('<a href=" http://a.com/x ">x</a>', 1),
    "dup": ('<a href="http://a.com/x" href="http://b.com/y">x</a>', 1),
    "data_href": ('<a data-href="http://b.com/" href="http://a.com/x">x</a>', 1),
    "gt_in_attr": ('<a title="a > b" href="http://a.com/x">x</a>', 1),
    "in_alt": ("<img alt='<a href=\"http://a.com/x\">'>", 0),
    "link_tag": ('<link rel=stylesheet href="http://a.com/x.css">', 0),
    "style": ('<style>/* <a href="http://a.com/x"> */</style>', 0),
    "textarea": ('<textarea><a href="http://a.com/x"></textarea>', 0),
    "comment": ('<p>x<!-- <a href="http://a.com/x"> -->', 0),
    "noscript": ('<noscript><a href="http://a.com/x">x</a></noscript>', 1),
    "idn": ('<a href="https://münchen.de/ä">x</a>', 1),
    "paren": ('<a href="http://a.com/A_(b)">x</a>', 1),
    "special": ('<a href="http://a.com/a,b|c!$*@{x}">x</a>', 1),
    "template": ('<a href="{{ url }}">x</a>', 0),
    "protorel": ('<a href="//a.com/x">x</a>', 0),
    "ent_scheme": ('<a href="http&#58;//a.com/x">x</a>', 1),
    "anchor_url": ('<a href="http://a.com/x">http://a.com/x</a>', 1),
    "misnest": ('<a href="http://a.com/x"><table><tr><td><a href="http://b.com/">y</a></td></tr></table></a>', 2),
}


@pytest.mark.parametrize("name", ONE_LINE_HAZARDS)
@pytest.mark.parametrize("as_bytes", [False, True], ids=["str", "bytes"])
def test_replaces_only_the_links_of_a_one_line_hazard(name, as_bytes, encoder, check):
    document, count = ONE_LINE_HAZARDS[name]

    done = encoder.rewrite_html(document.encode() if as_bytes else document)

    assert len(done.links) == count
    content = done.content.decode() if as_bytes else done.content
    check(document, content, done.links)
    assert done.bytes_added == len(content.encode()) - len(document.encode())


HAZARDS = [
    # row of the hazard table, document, what is seen of its links
    (1, '<!--[if mso]><v:rect href="https://a.com/1"/><![endif]--><a href="https://a.com/2">', ["a.com/1", "a.com/2"]),
    (2, '<!--[if !mso]><!--><a href="https://a.com/x">x</a><!--<![endif]-->', ["a.com/x"]),
    (2, '<![if !mso]><a href="https://a.com/x">x</a><![endif]>', ["a.com/x"]),
    (2, '<!--[if (gte mso 9)|(IE)]><a href="https://a.com/x"><![endif]-->', ["a.com/x"]),
    (3, '<a href="https://a.com/?a=1&amp;b=2&#38;c=3">', ["a.com/?a=1&b=2&c=3"]),
    (4, '<a href="https://a.com/?x&section=2&currency=3&notify=4">', ["a.com/?x&section=2&currency=3&notify=4"]),
    (4, '<a href="https://a.com/?x&not;=1">', ["a.com/?x¬=1"]),
    (5, '<p>&ensp;&zwnj;</p><a href="https://a.com/x">', ["a.com/x"]),
    (8, "<a\thref\n=\r\n'https://a.com/x'\f>", ["a.com/x"]),
    (8, "<a href=https://a.com/x/>", ["a.com/x/"]),
    (9, '<a href="https://a.com/Jack+Astor\'s+Bar">', ["a.com/Jack+Astor's+Bar"]),
    (10, '<a href="\n https://a.com/x\t">', ["a.com/x"]),
    (11, '<a title="<a href=" href="https://a.com/x" xhref="https://b.com">', ["a.com/x"]),
    (11, '<a href href="https://b.com/">', []),
    (11, '<a =href="https://b.com/" href=https://a.com/x>', ["a.com/x"]),
    (12, '<script>{"url": "<a href=\'https://a.com/x\'>"}</script>', []),
    (12, '<title><a href="https://a.com/x"></title><a href="https://b.com/">', ["b.com/"]),
    (12, '<base href="https://a.com/"><form action="https://a.com/"><img src="https://a.com/x.png">', []),
    (12, '<style>a</styleX><a href="https://a.com/x"></STYLE ><a href="https://b.com/">', ["b.com/"]),
    (13, '<noscript><a href="https://a.com/x"></noscript>', ["a.com/x"]),
    (14, '<map><area shape=rect href="https://a.com/x"></map>', ["a.com/x"]),
    (15, '<a href="https://a.com/x"><table><a href="https://a.com/y">', ["a.com/x", "a.com/y"]),
    (30, '<a href="https://a.com/x">https://a.com/y<a href="https://a.com/z">', ["a.com/x", "a.com/z"]),
    (0, '<a href="https://a.com/x"', []),  # cut off: no tag
    (0, '<!-- <a href="https://a.com/x">', []),
    (0, '<!--[if mso]><a href="https://a.com/x">', []),
    (0, '<!--><a href="https://a.com/x">', ["a.com/x"]),
    (0, '<!---><a href="https://a.com/x">', ["a.com/x"]),
    (0, '<!-- a --!><a href="https://a.com/x">', ["a.com/x"]),
    (0, '< a href="https://a.com/y"><a href="https://a.com/x">', ["a.com/x"]),
    (0, '</a href="https://a.com/y"><?php <a ?><a href="https://a.com/x">', ["a.com/x"]),
    (0, '<abbr href="https://a.com/y"><a/href="https://a.com/x">', ["a.com/x"]),
    (0, '<plaintext></plaintext><a href="https://a.com/x">', []),
    (0, '<ſtyle><a href="https://a.com/x">', ["a.com/x"]),  # a long s is no s
    (0, '<!--[if mso]><style><a href="https://a.com/y"><![endif]--><a href="https://a.com/x">', ["a.com/x"]),
    (0, '<!--[if mso> <a href="https://a.com/y"> --><a href="https://a.com/x">', ["a.com/x"]),
]


@pytest.mark.parametrize(("row", "document", "expected"), HAZARDS, ids=lambda value: str(value)[:60])
def test_sees_the_links_of_a_hazard_and_nothing_else(row, document, expected):
    seen = scan_html(document)

    assert [link.url for link in seen] == ["https://" + rest for rest in expected]
    for link in seen:
        assert document[link.tag_start] == "<"
        assert document[link.tag_end - 1] == ">"
        assert link.tag_start < link.start <= link.end < link.tag_end


def test_keeps_the_quotes_of_every_value(encoder):
    document = "<a href=https://a.com/1><a href='https://a.com/2'><a href=\"https://a.com/3\">"

    done = encoder.rewrite_html(document)

    one, two, three = (link.tracked_url for link in done.links)
    assert done.content == f"<a href={one}><a href='{two}'><a href=\"{three}\">"


def test_gives_the_attributes_of_a_tag_in_lower_case():
    tag = "<A HREF='x' Data-No-Track Class = \"a b\" x=y/>"

    assert list(tag_attributes(tag)) == [("href", "x"), ("data-no-track", ""), ("class", "a b"), ("x", "y/")]


@pytest.mark.parametrize(
    "unit",
    ["<a ", '<a href="', "<!--[if", "<!--[if x]>", "<!--[if x]>-->", "<!--", '"', "<", "</", "<a href=x", "<style>",
     "<title></title", "<a =", "<p a=b", "<a href=x>", "&", "<v:a", '<a href="https://a.com/">'],
)  # fmt: skip
@pytest.mark.slow
def test_finishes_a_megabyte_of_anything(unit, encoder):
    # Were any of these quadratic, this would take hours.
    document = unit * (1_000_000 // len(unit))

    assert encoder.rewrite_html(document).content.count("<") >= document.count("<")


def _tokens(corpus):
    for path in sorted((corpus / "conformance" / "html5lib-tokenizer").glob("*.test")):
        for test in json.loads(path.read_text()).get("tests", []):
            if test.get("initialStates", ["Data state"]) == ["Data state"]:
                yield path.name, _unescaped(test)


def _unescaped(test):
    if not test.get("doubleEscaped"):
        return test["input"], test["output"]
    texts = json.dumps([test["input"], test["output"]]).replace("\\\\u", "\\u")
    return tuple(json.loads(texts))


def _standard_newlines(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


def test_reads_attributes_as_the_standard_tokeniser_does(corpus):
    """Every start tag of html5lib's tests, made a link: the value of each attribute must be what `href` would hold."""
    checked = 0
    for file, (text, output) in _tokens(corpus):
        tags = [token for token in output if token[0] == "StartTag"]
        if len(tags) != 1 or len(tags[0][2]) != 1:
            continue
        ((name, value),) = tags[0][2].items()
        start, tag = text.find("<"), tags[0][1]
        written = text[start + 1 : start + 1 + len(tag)]
        at = text.lower().find(name, start + 1 + len(tag))
        if start != 0 or written.lower() != tag or at < 0 or "\0" in text or not name.isascii():
            continue
        document = "<a" + text[1 + len(tag) : at] + "href" + text[at + len(name) :]
        (link,) = scan_html(document) or [None]
        expected = value.strip("\t\n\f\r ")
        got = "" if link is None else _standard_newlines(link.url)
        assert got == expected, (file, text)
        checked += 1
    assert checked > 250


def test_sees_the_links_that_a_tree_builder_sees(corpus):
    checked = 0
    for path in sorted((corpus / "templates").rglob("*.html")):
        # A tree has no links in comments; that those are found is shown above.
        document = re.sub(r"<!--.*?-->", "", path.read_bytes().decode("utf-8", "replace"), flags=re.DOTALL)
        tree = lxml.html.document_fromstring(document.encode(), parser=lxml.html.HTMLParser(encoding="utf-8"))
        links = [link.get("href") for link in tree.iter("a", "area") if link.get("href") is not None]
        assert [link.url for link in scan_html(document)] == [link.strip() for link in links], path.name
        checked += len(links)
    assert checked > 500

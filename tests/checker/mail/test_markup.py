"""MJML, feeds, Markdown, headers and images: every link is found in its place, and nothing else."""

import pytest

from linkrouter.checker.mail.extract import extract, merge_links
from linkrouter.checker.mail.markup import anchors_of
from linkrouter.checker.mail.tags import scan_tags

MJML = """<mjml><mj-head><mj-font name="x" href="https://fonts.example/x.css"/></mj-head>
<mj-body><mj-section background-url="https://i.example/bg.png"><mj-column>
<mj-image src="https://i.example/a.png" href="https://a.example/img" alt="A"/>
<mj-button href="https://a.example/buy?x=1&amp;y=2">Buy <b>now</b></mj-button>
<mj-navbar base-url="https://a.example"><mj-navbar-link href="/nav">Nav</mj-navbar-link></mj-navbar>
<mj-social><mj-social-element src="https://i.example/f.png" href="https://fb.example/">F</mj-social-element></mj-social>
<mj-text>see <a href="https://a.example/t">t</a> {{name}} <a href="{{url}}">x</a></mj-text>
<mj-carousel><mj-carousel-image src="https://i.example/c.png" href="https://a.example/c"/></mj-carousel>
<!-- <mj-button href="https://a.example/gone">x</mj-button> --></mj-column></mj-section></mj-body></mjml>"""
RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>
<link>https://a.example/</link><atom:link href="https://a.example/feed.xml" rel="self"/>
<image><url>https://a.example/logo.png</url><link>https://a.example/</link></image>
<item><title>One</title><link> https://a.example/1 </link><guid isPermaLink="false">https://a.example/id</guid>
<comments>https://a.example/c</comments><enclosure url="https://a.example/p.mp3" type="audio/mpeg"/>
<description><![CDATA[<p><a href="https://a.example/d">d</a></p>]]></description>
<content:encoded>&lt;a href="https://a.example/e?a=1&amp;amp;b=2"&gt;e&lt;/a&gt;</content:encoded></item>
<item><guid>https://a.example/g</guid><description>see https://a.example/s.</description></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><id>https://a.example/id</id><link href="https://a.example/"/>
<author><uri>https://a.example/me</uri></author><entry><id>urn:1</id><link rel="alternate" href="https://a.example/1"/>
<content type="xhtml"><div><a href="https://a.example/in">x</a></div></content></entry></feed>"""
MARKDOWN = """# Hi

[a](https://a.example/1 "title") and [b][x], <https://a.example/2>, https://a.example/3.
![img](https://i.example/i.png) [![alt](https://i.example/2.png)](https://a.example/4)
`https://code.example/` and
```
https://code.example/2
```
<a href="https://a.example/5">x</a> [r](/about) [t]({{url}}) [p](https://a.example/x_(y)) [^1]

[x]: https://a.example/6 'T'
[^1]: a note
"""


def urls(content, kind, **options):
    return [link.url for link in extract(content, kind, **options) if not link.is_image]


def images(content, kind):
    return [link for link in extract(content, kind, images=True) if link.is_image]


def test_every_link_of_mjml_is_found_with_its_line_and_text():
    found = extract(MJML, "mjml")

    assert [(link.url, link.places[0].line, link.places[0].text) for link in found] == [
        ("https://a.example/img", 3, ""),
        ("https://a.example/buy?x=1&y=2", 4, "Buy now"),
        ("https://a.example/nav", 5, "Nav"),
        ("https://fb.example/", 6, "F"),
        ("https://a.example/t", 7, "t"),
        ("{{url}}", 7, "x"),
        ("https://a.example/c", 8, ""),
    ]
    assert found[5].settled[:2] == ("skipped", "merge tag")


def test_every_image_of_mjml_is_found_with_its_alternative_text():
    assert [(image.url, image.places[0].alt) for image in images(MJML, "mjml")] == [
        ("https://i.example/bg.png", ""),
        ("https://i.example/a.png", "A"),
        ("https://i.example/f.png", None),
        ("https://i.example/c.png", None),
    ]


def test_every_address_of_an_rss_feed_is_found_and_no_name_of_one():
    assert urls(RSS, "feed") == [
        "https://a.example/",
        "https://a.example/feed.xml",
        "https://a.example/logo.png",
        "https://a.example/1",
        "https://a.example/c",
        "https://a.example/p.mp3",
        "https://a.example/d",
        "https://a.example/e?a=1&b=2",
        "https://a.example/g",
        "https://a.example/s",
    ]


def test_every_address_of_an_atom_feed_is_found_and_no_id():
    assert urls(ATOM, "feed") == [
        "https://a.example/",
        "https://a.example/me",
        "https://a.example/1",
        "https://a.example/in",
    ]


def test_every_link_of_markdown_is_found_and_none_of_code():
    assert [(link.url, link.places[0].line) for link in extract(MARKDOWN, "markdown")] == [
        ("https://a.example/1", 3),
        ("https://a.example/2", 3),
        ("https://a.example/3", 3),
        ("https://a.example/4", 4),
        ("/about", 9),
        ("{{url}}", 9),
        ("https://a.example/x_(y)", 9),
        ("https://a.example/5", 9),
        ("https://a.example/6", 11),
    ]
    assert [(image.url, image.places[0].alt) for image in images(MARKDOWN, "markdown")] == [
        ("https://i.example/i.png", "img"),
        ("https://i.example/2.png", "alt"),
    ]


def test_a_list_of_urls_is_one_link_a_line_as_it_stands():
    text = "# ours\nhttps://a.example/x.\n\n  http:/oops.example/ \nwww.b.example\n"

    assert [(link.url, link.places[0].line) for link in extract(text, "urls")] == [
        ("https://a.example/x.", 2),
        ("http:/oops.example/", 4),
        ("www.b.example", 5),
    ]


def test_a_link_in_what_was_taken_for_headers_is_reported():
    raw = b"Update: https://a.example/moved\r\n\thttps://a.example/fold\r\nTo: all\r\n\r\nmore: https://b.example/\r\n"

    assert [(link.url, link.places[0].part, link.settled) for link in extract(raw)] == [
        ("https://b.example/", "text", None),
        ("https://a.example/moved", "headers", None),
        ("https://a.example/fold", "headers", None),
    ]


def test_a_header_that_only_programs_read_is_named_and_not_opened():
    raw = b"From: a@b.example\r\nList-Unsubscribe:\r\n <https://u.example/x>\r\n\r\nhello\r\n"
    [link] = extract(raw)

    assert (link.url, link.settled[:2]) == ("https://u.example/x", ("skipped", "in a header"))
    assert link.places[0].text == "List-Unsubscribe"


HTML = """<body background="https://i.example/1.png"><style>@import url(https://i.example/x.css);
@font-face { font-family: x; src: url("https://i.example/f.woff") } .a { background: url('https://i.example/2.png') }
</style><img src="https://i.example/3.png" srcset="https://i.example/4.png 1x, https://i.example/5,5.png 2x" alt="">
<td style="background-image:url(https://i.example/6.png)"><img src="cid:logo">
<img alt="x" src="data:image/gif;base64,R0">
<!--[if mso]><v:fill src="https://i.example/7.png"/><![endif]--><!-- <img src="https://i.example/8.png"> -->
<picture><source srcset="https://i.example/9.webp"></picture><script>"<img src=https://i.example/10.png>"</script>"""


def test_images_are_found_wherever_a_mail_program_takes_them_from():
    assert [image.url for image in images(HTML, "html")] == [
        *(f"https://i.example/{name}.png" for name in ("1", "2", "3", "4", "5,5", "6")),
        "cid:logo",
        "data:image/gif;base64,R0",
        "https://i.example/7.png",
        "https://i.example/9.webp",
    ]


def test_a_missing_alternative_text_is_told_from_an_empty_one():
    alts = {image.url: image.places[0].alt for image in images(HTML, "html")}

    assert (alts["cid:logo"], alts["https://i.example/3.png"], alts["data:image/gif;base64,R0"]) == (None, "", "x")


def test_images_come_with_the_mail_or_are_fetched():
    found = {image.url: image.settled for image in images(HTML, "html")}

    assert found["cid:logo"][:2] == found["data:image/gif;base64,R0"][:2] == ("skipped", "part of the mail")
    assert found["https://i.example/1.png"] is None


def test_an_image_that_is_also_a_link_is_both():
    found = extract('<a href="https://a.example/1.png"><img src="https://a.example/1.png"></a>', "html", images=True)

    assert [(link.url, link.is_image) for link in found] == [
        ("https://a.example/1.png", False),
        ("https://a.example/1.png", True),
    ]


def test_images_of_a_message_are_those_of_its_html():
    raw = b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<img src=3D'https://i.example/=\r\n1.png'>"

    assert [image.url for image in images(raw, "message")] == ["https://i.example/1.png"]


def test_a_link_within_the_mail_must_lead_to_something_when_that_is_asked():
    page = '<a href="#there">a</a><a href="#gone">b</a><a href="#top">c</a><p id="there">'

    assert [link.settled[:2] for link in extract(page, "html", fragments=True)] == [
        ("skipped", "inside the mail"),
        ("broken", "no such fragment"),
        ("skipped", "inside the mail"),
    ]


def test_relative_links_of_a_fetched_page_lead_from_there():
    assert urls('<a href="/a">x</a><a href="b?c">y</a>', "html", base="https://a.example/d/e") == [
        "https://a.example/a",
        "https://a.example/d/b?c",
    ]


def test_the_links_of_several_inputs_are_merged_with_their_files():
    inputs = [extract("https://a.example/ https://b.example/", "text", file=name) for name in ("one", "two")]

    merged = merge_links(inputs)

    assert [link.url for link in merged] == ["https://a.example/", "https://b.example/"]
    assert [place.file for place in merged[0].places] == ["one", "two"]


@pytest.mark.parametrize("kind", ["mjml", "feed", "markdown", "urls"])
def test_what_is_no_text_is_unreadable_whatever_it_was_called(kind):
    for raw in (b"%PDF-1.7 https://a.example/", b"PK\3\4", b"a\0b"):
        [link] = extract(raw, kind)
        assert link.settled[:2] == ("unverifiable", "unreadable")


def test_the_declared_encoding_of_a_feed_is_obeyed():
    feed = '<?xml version="1.0" encoding="ISO-8859-1"?><rss><link>https://a.example/ä</link></rss>'

    assert urls(feed.encode("latin-1"), "feed") == ["https://a.example/ä"]
    assert urls(feed.replace("ISO-8859-1", "UTF-16").encode("utf-16"), "feed") == ["https://a.example/ä"]


def test_anchors_are_ids_and_names_of_anchors():
    assert anchors_of('<p id=a><a name="b">x</a><input name="c"><a ID="d&amp;e">') == {"a", "b", "d&e"}


@pytest.mark.parametrize(
    "shape",
    [
        "<",
        "<a ",
        "<!--",
        "<![CDATA[",
        "<a b='",
        "</a",
        "<style>",
        "<mj-image src=",
        "[",
        "[a](",
        "\\[",
        "![",
        "`",
        "```\n",
        "<description>",
    ],
)
@pytest.mark.parametrize("kind", ["html", "mjml", "feed", "markdown"])
def test_hostile_documents_are_read_in_linear_time(shape, kind):
    assert extract(shape * (1_000_000 // len(shape)), kind, images=True) is not None


def test_tags_end_where_browsers_end_them():
    tags = [(tag.name, tag.attributes()) for tag in scan_tags("<A b='>' C=d/><p/q><b\n x>1 < 2</A ><!--<i>--><u y=")]

    assert tags == [("a", {"b": ">", "c": "d/"}), ("p", {"q": ""}), ("b", {"x": ""}), ("/a", {})]

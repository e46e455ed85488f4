"""Which links are tracked, and the reason each of the others is given."""

import pytest

from linkrouter.encoder import SKIP_REASONS, Encoder


def _reasons(encoder, document):
    done = encoder.rewrite_html(document)
    return [link.reason for link in done.skipped], len(done.links)


def test_leaves_a_postal_no_track_link_alone(encoder):
    assert _reasons(encoder, '<a href="https+notrack://a.com/x">') == (["opted out"], 0)


def test_honours_an_attribute_of_ones_own(ring):
    encoder = Encoder("https://click.example.net", ring, opt_out_attribute="X-Keep")

    assert _reasons(encoder, '<a x-keep href="https://a.com/x"><a href="https://a.com/y">') == (["opted out"], 1)


@pytest.mark.parametrize(
    ("href", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("#top", "relative"),
        ("/x", "relative"),
        ("//a.com/x", "relative"),
        ("www.a.com", "relative"),
        ("https:a.com", "relative"),
        ("mailto:a@example.com", "scheme"),
        ("tel:+3112345", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("cid:1", "scheme"),
        ("data:text/html,x", "scheme"),
        ("hhttp://a.com/", "scheme"),
        ("{{ url }}", "merge tag"),
        ("{{{pm:unsubscribe}}}", "merge tag"),
        ("*|UNSUB|*", "merge tag"),
        ("%recipient.url%", "merge tag"),
        ("https://a.com/{{id}}", "merge tag"),
        ("https://a.com/{% url %}", "merge tag"),
        ("https://a.com/<%= id %>", "merge tag"),
        ("https://a.com/?e=%%email%%", "merge tag"),
        ("https://a.com/?e=[[email]]", "merge tag"),
        ("https://a.com/?e=${email}", "merge tag"),
        ("https://a.com/?e=%EMAIL%", "merge tag"),
        ("https://a.com/verify/{EMAIL_CODE}", "merge tag"),
        ("https://{product}.example.org/x", "merge tag"),
        ("https://a.com/?e={First Name}&b", "merge tag"),
        ("https://a.com/?e={$user.name}", "merge tag"),
        ("https://a.com/?e=[email]&b", "merge tag"),
        ("https://a.com/[user_id]/x", "merge tag"),
        ("https://a.com/user[ID]", "merge tag"),
        ("[Unsubscribe_Preferences]", "merge tag"),
        ("https://user:secret@a.com/x", "userinfo"),
        ("https://user@a.com/x", "userinfo"),
        ("https://", "not a URL"),
        ("https://a b.com/", "not a URL"),
        ("https://a.com:99999/", "not a URL"),
        ("https://a.com/\0", "characters"),
        ("https://a.com/" + "x" * 5000, "too long"),
        ("https://a.com/?" + "%" * 3000, "merge tag"),
        ("https://a.com/?" + "=" * 3000, "too long"),
        ("https://a.com/unsubscribe?u=1", "unsubscribe"),
        ("https://a.com/?action=UNSUBSCRIBE", "unsubscribe"),
        ("https://a.com/email-preferences", "unsubscribe"),
        ("https://click.example.net/2s/x", "already tracked"),
        ("http://CLICK.example.net/", "already tracked"),
    ],
    ids=lambda value: value[:40],
)
def test_leaves_a_link_alone_and_says_why(href, reason, encoder):
    document = f'<a href="{href}">x</a>'

    done = encoder.rewrite_html(document)

    assert done.content is document
    assert [(link.reason, link.url) for link in done.skipped] == [(reason, href.strip())]
    assert reason in SKIP_REASONS


@pytest.mark.parametrize(
    "href",
    [
        "https://a.com/%20%20",
        "https://a.com/%C3%A9-caf%C3%A9",
        "https://a.com/?a=100%",
        "https://a.com/{x}",
        "https://a.com/a,b|c!$*@{x}",
        "https://a.com/?sourcedoc={3F2504E0-4F89-11D3-9A0C-0305E82C3301}",
        "https://a.com/?filter[name]=x&ids[]=1&ids[2]=3&a[bc][de]=4",
        "https://a.com/%7Bword%7D",
        "https://a.com/[1]",
        "ht\ntps://a.com/x",
        "https:\\\\a.com\\x".replace("\\\\", "//"),
        "https://a.com./x",
        "https://127.0.0.1:8000/x",
        "https://[::1]/x",
        "http://localhost/x",
        "https://clicks.example.net/",
        "https://xclick.example.net/",
    ],
)
def test_tracks_what_a_browser_would_follow(href, encoder):
    assert _reasons(encoder, f'<a href="{href}">x</a>') == ([], 1)


def test_leaves_excluded_domains_and_their_subdomains_alone(ring):
    encoder = Encoder("https://click.example.net", ring, excluded_domains=["Example.com", "münchen.de"])
    hrefs = ["https://example.com/", "https://app.EXAMPLE.com:8443/x", "https://notexample.com/", "https://münchen.de"]

    done = encoder.rewrite_html("".join(f'<a href="{href}">' for href in hrefs))

    assert [link.url for link in done.skipped] == [hrefs[0], hrefs[1], hrefs[3]]
    assert {link.reason for link in done.skipped} == {"excluded domain"}


def test_tracks_unsubscribe_links_when_told_to(ring):
    encoder = Encoder("https://click.example.net", ring, track_unsubscribe=True)

    assert _reasons(encoder, '<a href="https://a.com/unsubscribe">') == ([], 1)


VISIBLE = [
    ("https://a.com/x", True),
    ("http://b.com", True),
    ("Read www.b.com now", True),
    ("<b>a.com</b>", True),
    ("www.a.com/offers", True),
    ("<span style='x'>&#104;ttps://a.com</span>", True),
    ("<!-- https://a.com -->Read more", False),
    ("Read more.", False),
    ('<img src="https://a.com/x.png">', False),
    ("a.community", False),
    ("", False),
]


@pytest.mark.parametrize(("text", "visible"), VISIBLE)
def test_reports_where_the_visible_text_is_a_url(text, visible, encoder):
    done = encoder.rewrite_html(f'<a href="https://www.a.com/x">{text}</a><a href="https://c.com">https://c.com</a>')

    assert [link.visible_url for link in done.links] == [visible, True]


@pytest.mark.parametrize(("text", "visible"), VISIBLE)
def test_keeps_links_whose_visible_text_is_a_url_when_told_to(text, visible, ring):
    encoder = Encoder("https://click.example.net", ring, visible_urls="skip")

    assert _reasons(encoder, f'<A HREF="https://www.a.com/x">{text}</A>') == (["visible URL"] * visible, not visible)


def test_tracks_no_more_links_than_it_may(ring):
    encoder = Encoder("https://click.example.net", ring, max_links=2)

    assert _reasons(encoder, '<a href="https://a.com/"><a href="#">' * 3) == (
        ["relative", "relative", "too many links", "relative"],
        2,
    )


def test_every_reason_of_a_bad_destination_is_one_of_the_encoders():
    assert {"not a URL", "scheme", "userinfo", "too long", "characters", "round trip"} <= set(SKIP_REASONS)

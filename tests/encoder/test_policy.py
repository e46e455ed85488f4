"""Which links are tracked, and the reason each of the others is given."""

import pytest

from linkrouter.encoder import REASONS, Encoder


def _reasons(encoder, document):
    done = encoder.rewrite_html(document)
    return [link.reason for link in done.skipped], len(done.links)


@pytest.mark.parametrize(
    "attribute",
    [
        "data-pm-no-track",
        "DATA-PM-NO-TRACK",
        'data-pm-no-track=""',
        "ses:no-track",
        "clicktracking=off",
        'ClickTracking = "OFF"',
        "disable-tracking=true",
        "mc:disable-tracking",
        "mautic:disable-tracking",
        "mautic:disable-tracking='true'",
        'data-msys-clicktrack="0"',
        'autotrack="false"',
        'ecm:tracking="false"',
        "data-skip-click",
        'data-skip-click="true"',
        "data-no-track",
        'class="button mktNoTrack"',
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_leaves_a_link_alone_that_its_sender_opted_out(attribute, place, encoder):
    href = 'href="https://a.com/x"'
    document = f"<a {attribute} {href}>" if place == "before" else f"<a {href} {attribute}>"

    done = encoder.rewrite_html(document)

    assert done.content is document
    assert [link.reason for link in done.skipped] == ["opted out"]


@pytest.mark.parametrize(
    "attribute",
    [
        "clicktracking=on",
        'data-msys-clicktrack="1"',
        'autotrack="true"',
        'class="mktNoTracks"',
        'title="data-pm-no-track"',
        "data-pm-no-track-not",
        'data-skip-click="false"',
    ],
)
def test_tracks_a_link_whose_attribute_only_looks_like_an_opt_out(attribute, encoder):
    assert _reasons(encoder, f'<a {attribute} href="https://a.com/track">') == ([], 1)


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
    assert reason in REASONS


@pytest.mark.parametrize(
    "href",
    [
        "https://a.com/%20%20",
        "https://a.com/%C3%A9-caf%C3%A9",
        "https://a.com/?a=100%",
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

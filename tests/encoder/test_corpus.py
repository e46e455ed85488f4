"""Every document of the corpus: with the links put back, each is what it was, byte for byte."""

import email
import json

import pytest

from linkrouter.encoder import Encoder, find_links
from linkrouter.encoder.documents import read_documents
from linkrouter.encoder.message import read_mail

ORIGIN = "https://click.example.net"


def _messages(corpus):
    paths = sorted((corpus / "messages").rglob("*.eml"))
    assert len(paths) > 90
    return paths


def test_undoing_the_links_of_a_template_gives_the_template(corpus, encoder, check):
    tracked = 0
    for path in sorted((corpus / "templates").rglob("*.html")):
        octets = path.read_bytes()
        done = encoder.rewrite_html(octets)
        check(octets.decode("utf-8", "surrogateescape"), done.content.decode("utf-8", "surrogateescape"), done.links)
        assert done.bytes_added == len(done.content) - len(octets)
        tracked += len(done.links)
    assert tracked > 450


def test_undoing_the_links_of_a_message_gives_the_message(corpus, encoder, check):
    """A part differs in its links only, and what is not a part does not differ, as Python's own parser sees it."""
    tracked = 0
    for path in _messages(corpus):
        raw = path.read_bytes()
        done = encoder.rewrite_message(raw)
        if not done.links:
            assert done.content is raw, path.name
            continue
        tracked += len(done.links)
        _check_frame(raw, done.content)
        for before, after in zip(_documents(raw), _documents(done.content), strict=True):
            mine = [link for link in done.links if link.part == before.part and link.tracked_url in after.text]
            check(before.text, after.text, mine)
    assert tracked > 300


def _documents(raw):
    return read_documents(raw, read_mail(raw)).documents


def _check_frame(raw, content):
    """Fail unless headers, part headers, preambles and untouched parts of both are the same."""
    before, after = email.message_from_bytes(raw), email.message_from_bytes(content)
    parts = list(zip(before.walk(), after.walk(), strict=True))
    for one, other in parts:
        assert (one.items(), one.preamble, one.epilogue) == (other.items(), other.preamble, other.epilogue)
        if one.get_content_maintype() not in ("text", "multipart", "message"):
            assert one.get_payload() == other.get_payload()


def test_no_line_of_a_message_grows_over_998_octets_unless_it_was_longer(corpus, encoder):
    for path in _messages(corpus):
        raw = path.read_bytes()
        done = encoder.rewrite_message(raw)
        old, longest = set(raw.split(b"\n")), max(map(len, raw.split(b"\n")))
        for line in done.content.split(b"\n"):
            assert len(line.rstrip(b"\r")) <= 998 or line in old or longest > 999, path.name


def test_every_link_of_a_message_is_genuine(corpus, encoder, ring):
    for path in _messages(corpus):
        for link in encoder.rewrite_message(path.read_bytes()).links:
            verified = ring.verify(link.tracked_url.removeprefix(ORIGIN))
            assert (verified.destination, verified.part) == (link.url, link.part)


def test_sees_the_links_that_the_composed_messages_are_known_to_hold(corpus):
    folder = corpus / "messages" / "composed"
    for name, parts in json.loads((folder / "links.json").read_text()).items():
        found = [link.url for link in find_links((folder / name).read_bytes()).links if link.url[:4].lower() == "http"]
        expected = [url.replace("&amp;", "&") for part in parts if _is_read(part) for url in part["links"] or ()]
        if all(part["links"] is not None for part in parts):
            assert found == expected, name


def _is_read(part):
    if part["charset"].lower().startswith("utf-16"):
        return False
    return part["type"].rpartition("signed > ")[2] in ("text/html", "text/plain")


def test_the_composed_messages_are_rewritten_or_say_why_not(corpus, encoder):
    folder = corpus / "messages" / "composed"
    unchanged = {}
    for path in sorted(folder.glob("*.eml")):
        done = encoder.rewrite_message(path.read_bytes())
        if done.reason:
            unchanged[path.stem] = done.reason
    assert unchanged == {
        "encrypted-pgp": "signed or encrypted",
        "folded-header-odd-spacing": "DKIM signature",
        "last-boundary-missing": "truncated",
        "pkcs7-signed": "signed or encrypted",
        "signed-pgp-html": "signed or encrypted",
        "utf-16-base64": "charset",
        "utf-16le-base64": "charset",
    }


def test_rewriting_twice_changes_nothing_more(corpus, encoder):
    for path in _messages(corpus):
        once = encoder.rewrite_message(path.read_bytes())
        twice = encoder.rewrite_message(once.content)
        assert twice.content is once.content
        assert twice.links == ()


@pytest.mark.parametrize("mode", ["html-only", "text-only", "none"])
def test_a_mode_leaves_the_other_parts_of_every_message_alone(mode, corpus, ring):
    encoder = Encoder(ORIGIN, ring, mode=mode)
    for path in _messages(corpus):
        done = encoder.rewrite_message(path.read_bytes())
        assert {link.part for link in done.links} <= {mode.removesuffix("-only")}

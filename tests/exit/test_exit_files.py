"""redirect.py and worker.js: the published vectors, and many random links beside the router's own decision."""

import json
import random
import string
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from exit.conftest import ask_application, load
from link.take_backs import LINK_ID, NEW_PATH, RING, VECTORS

from linkrouter.errors import UnknownKey
from linkrouter.link import Key, Keyring, TakeBacks
from linkrouter.link.takeback import (
    match_destination,
    match_link,
    match_message,
    match_origin,
    sign_take_back,
)
from linkrouter.router.decide import find_link

FILES = ["redirect.py", "worker.js"]
WIRE = json.loads((Path(__file__).parents[2] / "docs" / "wire-format-vectors.json").read_text())
WIRE_RING = Keyring(
    Key(int(key_id), bytes.fromhex(secret), "sign" if key_id == "1" else "verify")
    for key_id, secret in WIRE["keys"].items()
)
OLD, AT = VECTORS["old"], 1764262800


def decision(ring, table, target):
    """Give (status, destination) as a router decides."""
    try:
        link = find_link(target, ring.open)
    except UnknownKey:
        link = None
    if link is None:
        return 404, None
    rule = table.find(link)
    if rule is None:
        return 302, link.destination
    return (410, None) if rule.action == "stop" else (302, rule.destination)


def brief(answers):
    return [(status, headers.get("location")) for status, headers, _ in answers]


@pytest.mark.parametrize("file", FILES)
def test_every_vector_of_the_wire_format_holds(write_exit, file):
    good = [(("GET", vector["path"]), (302, vector["url"])) for vector in WIRE["valid"]]
    bad = [(("GET", vector["path"]), (404, None)) for vector in WIRE["invalid"]]
    requests, expected = zip(*good, *bad, strict=True)

    answers = write_exit(WIRE_RING).ask(file, requests)

    assert brief(answers) == list(expected)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("fields", VECTORS["good"], ids=lambda fields: fields["id"])
def test_every_good_take_back_applies_to_the_links_it_matches(write_exit, file, fields):
    url = "http://example.com:8080/x" if fields["match"] == match_origin(RING, "http://example.com:8080") else OLD
    link_id = LINK_ID + b"\1" if fields["match"].startswith("message:") else LINK_ID
    path = RING.sign(url, link_id=link_id, tenant=fields["tenant"])

    answers = write_exit(RING, [fields]).ask(file, [("GET", path), ("GET", RING.sign("https://example.net"))])

    expected = {"stop": (410, None), "replace": (302, VECTORS["new"]), "lift": (302, url)}[fields["action"]]
    assert brief(answers) == [expected, (302, "https://example.net")]


@pytest.mark.parametrize("file", FILES)
def test_no_bad_take_back_applies_even_when_it_was_planted(write_exit, file):
    bad = [vector["rule"] for vector in VECTORS["bad"]]
    matched = [("GET", RING.sign(OLD, link_id=link_id)) for link_id in (LINK_ID, b"\2")]

    answers = write_exit(RING, bad, judge=False).ask(file, matched)

    assert brief(answers) == [(302, OLD)] * 2


@pytest.mark.parametrize("file", FILES)
def test_a_forged_newer_rule_does_not_hide_a_genuine_one(write_exit, file):
    genuine = sign_take_back(RING, match=match_link(LINK_ID), action="stop", made_at=AT)._asdict()
    forged = genuine | {"action": "replace", "to": NEW_PATH, "at": AT + 1}

    answers = write_exit(RING, [forged, genuine], judge=False).ask(file, [("GET", RING.sign(OLD, link_id=LINK_ID))])

    assert brief(answers) == [(410, None)]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.faults)])
def test_random_links_under_random_rules_get_the_routers_answer(write_exit, file, count):
    chance = random.Random(20261128)
    links = [random_link(chance) for _ in range(count)]
    rules = [rule for link in links[: count // 4] for rule in random_rules(chance, link)]
    chance.shuffle(rules)
    targets = [spoiled(chance, path) if chance.random() < 0.3 else path for _, path, _ in links]
    table = TakeBacks(RING)
    for rule in rules:
        table.add(rule)

    answers = write_exit(RING, [rule._asdict() for rule in rules]).ask(file, [("GET", target) for target in targets])

    expected = [decision(RING, table, target) for target in targets]
    assert {status for status, _ in expected} == {302, 404, 410}
    wrong = [place for place, answer in enumerate(brief(answers)) if answer != expected[place]]
    assert wrong == []


def random_link(chance):
    """Give (URL, path, options) of a random link."""
    alphabet = string.ascii_letters + string.digits + "-._~:@/%?&=#+;,!'()*$[]|"
    tail = "".join(chance.choices(alphabet, k=chance.randrange(60)))
    url = f"{chance.choice(['http', 'https'])}://{chance.choice(['example.com', 'a.example:8080'])}/{tail}"
    options = {
        "link_id": chance.randbytes(chance.randint(1, 16)),
        "part": chance.choice(["html", "text"]),
        "count_only": chance.random() < 0.2,
        "tenant": chance.choice([0, 0, 7, 128, 2**32 - 1]),
        "key_id": chance.choice([1, 2]),
    }
    path = RING.sign(url, **options)
    return RING.verify(path).destination, path, options


def random_rules(chance, link):
    """Give up to three rules that match *link*, some of them lifts."""
    url, _, options = link
    tenant, link_id = options["tenant"], options["link_id"]
    for _ in range(chance.randrange(4)):
        who = {"tenant": tenant, "key_id": chance.choice([1, 2])}
        matches = [match_link(link_id), match_destination(RING, url, **who)]
        matches += [match_message(link_id[:8])] if len(link_id) > 8 else []
        matches += [match_origin(RING, url, **who)] if chance.random() < 0.01 else []
        action = chance.choice(["stop", "replace", "lift"])
        to = RING.sign("https://example.net/new", tenant=tenant) if action == "replace" else ""
        match = chance.choice(matches)
        yield sign_take_back(RING, match=match, action=action, made_at=AT + chance.randrange(3), to=to, **who)


def spoiled(chance, path):
    """Change *path* at one place into what still goes through a URL parser unchanged."""
    place = chance.randrange(1, len(path))
    char = chance.choice(string.ascii_letters + string.digits + "-_%@:")
    return chance.choice(
        [path[:place] + char + path[place + 1 :], path[:place] + path[place + 1 :], path + "/", path + "?a=b"]
    )


def test_a_wsgi_server_that_undoes_escapes_serves_the_same_links(write_exit):
    chance = random.Random(1)
    module = load(write_exit(RING).path / "redirect.py")
    for url, path, _ in (random_link(chance) for _ in range(500)):
        undone = unquote_to_bytes(path).decode("latin-1")

        status, headers, _ = ask_application(module, "GET", {"PATH_INFO": undone})

        assert (status, headers["location"]) == (302, url)


@pytest.mark.parametrize("undone", ["", "/", "//", "/2s", "/2s/a/b/c", "/2s/é/AQ/AA/AAAAAAAAAAAAAAA", "/robots.txt/x"])
def test_a_wsgi_server_that_undoes_escapes_gets_404_for_the_rest(write_exit, undone):
    module = load(write_exit(RING).path / "redirect.py")

    assert ask_application(module, "GET", {"PATH_INFO": undone})[0] == 404


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_get_the_routers_answer(write_exit, file, method):
    status, headers, body = write_exit(RING).ask(file, [(method, NEW_PATH)])[0]

    assert status == (302 if method == "HEAD" else 405)
    assert headers.get("allow") == (None if method == "HEAD" else "GET, HEAD")
    assert (body == "") is (method == "HEAD")


def test_both_files_give_the_same_answers_headers_included(write_exit):
    rule = sign_take_back(RING, match=match_link(LINK_ID), action="stop", made_at=AT)._asdict()
    requests = [
        (method, target)
        for method in ("GET", "HEAD", "POST")
        for target in (NEW_PATH, RING.sign(OLD, link_id=LINK_ID), "/", "/robots.txt", "/-/ready", "/2s/x")
    ]
    written = write_exit(RING, [rule])

    assert written.ask_worker(requests) == written.ask_redirect(requests)

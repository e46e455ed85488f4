"""`linkrouter takeback` against a real central: what it signs, what it hands in, and what it refuses."""

import json
import re
import time

import pytest
from click.testing import CliRunner
from processes import fetch, make_home, wait_until

from linkrouter.cli.takeback import takeback
from linkrouter.link import Keyring
from linkrouter.link.codec import encode_base64url
from linkrouter.link.takeback import TakeBack, match_link, parse_take_back, sign_take_back
from linkrouter.link.takeback_table import TakeBacks

WRONG = "https://shop.example.com/wrong?a=b"
MAIL = f"""From: a@example.com
Subject: Offers
Message-ID: <mail-1@example.com>
Content-Type: text/html

<p><a href="{WRONG}">one</a> <a href="https://shop.example.com/">two</a> <a href="https://other.example/">three</a></p>
"""


class Sent:
    """A mail that was sent, and the central that was told of it."""

    def __init__(self, home):
        self.home = home
        self.ring = Keyring.load(home.path / "keys.json")
        mail = home.run(
            *("encode", "--keys", "keys.json", "--base-url", "https://click.example.com", "--manifest", "out.jsonl"),
            stdin=MAIL.encode(),
        ).stdout.decode()
        self.urls = re.findall(r'href="(https://click\.example\.com[^"]+)"', mail)
        self.manifest = json.loads((home.path / "out.jsonl").read_text())
        self.post("/v1/messages", self.manifest)

    def post(self, path, body):
        token = (self.home.path / "api-token").read_text()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.home.central_port}{path}"
        status, _, said = fetch(url, method="POST", headers=headers, body=json.dumps(body).encode())
        assert status == 200, said

    def run(self, command, *options, keys="keys.json"):
        """Run `takeback COMMAND` with the options that each test needs."""
        folder = self.home.path
        where = ["--central", f"http://127.0.0.1:{self.home.central_port}", "--token-file", str(folder / "api-token")]
        signing = [] if command == "list" else ["--keys", str(folder / keys)]
        return CliRunner().invoke(takeback, [command, *signing, *where, *options])

    def rule(self, command, *options):
        done = self.run(command, *options)
        assert done.exit_code == 0, done.output
        return parse_take_back(json.loads(done.stdout))

    def known(self):
        return [one["rule"] for one in self.home.ask_central("/v1/take-backs/status")["rules"]]

    def matched(self, rule: TakeBack):
        """Give the places of the mail's links that *rule* matches, and what it does to them."""
        table = TakeBacks(self.ring)
        table.add(rule)
        found = [table.find(self.ring.open(url.removeprefix("https://click.example.com"))) for url in self.urls]
        return [place for place, one in enumerate(found) if one is not None]


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    home = make_home(tmp_path_factory.mktemp("sent"))
    home.start_central()
    yield Sent(home)
    home.end()


def ways(sent):
    key = sent.manifest["message_key"]
    return {
        "a URL": (("--url", WRONG), [0], "1 sent links in 1 messages"),
        "a URL in another spelling": (("--url", WRONG.replace("https://shop", "HTTPS://SHOP")), [0], "1 sent links"),
        "an origin": (("--origin", "https://shop.example.com"), [0, 1], "2 sent links in 1 messages"),
        "an origin by one of its pages": (("--origin", "https://shop.example.com/x"), [0, 1], "2 sent links"),
        "a link": (("--link", sent.urls[2]), [2], "1 sent links"),
        "a link with a query appended": (("--link", sent.urls[2] + "?fbclid=1"), [2], "1 sent links"),
        "a message": (("--message", "mail-1@example.com"), [0, 1, 2], "3 sent links in 1 messages"),
        "a message key": (("--message", key), [0, 1, 2], "3 sent links in 1 messages"),
        "a place in a message": (("--message", "mail-1@example.com", "--position", "1"), [1], "1 sent links"),
        "what was never sent": (("--url", "https://never.example/"), [], "0 sent links in 0 messages"),
    }


WAYS = [
    "a URL",
    "a URL in another spelling",
    "an origin",
    "an origin by one of its pages",
    "a link",
    "a link with a query appended",
    "a message",
    "a message key",
    "a place in a message",
    "what was never sent",
]


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_matches_what_was_named_and_a_dry_run_hands_nothing_in(sent, way):
    options, places, told = ways(sent)[way]
    before = sent.known()

    dry = sent.run("stop", *options, "--dry-run")

    assert dry.exit_code == 0
    assert told in dry.stderr
    assert "nothing was handed in" in dry.stderr
    assert sent.matched(parse_take_back(json.loads(dry.stdout))) == places
    assert sent.known() == before
    assert WRONG not in dry.stderr


def test_a_rule_is_handed_in_as_it_is_printed(sent):
    rule = sent.rule("replace", "--url", WRONG, "--to", "https://shop.example.com/right")

    assert sent.known()[0] == rule._asdict()
    table = TakeBacks(sent.ring)
    table.add(rule)
    found = table.find(sent.ring.open(sent.urls[0].removeprefix("https://click.example.com")))
    assert found is not None
    assert found.destination == "https://shop.example.com/right"


def test_the_last_of_several_rules_in_one_second_wins(sent):
    rules = [sent.rule(command, "--link", sent.urls[1]) for command in ("stop", "lift", "stop", "lift", "stop", "lift")]

    assert [rule.at for rule in rules] == sorted({rule.at for rule in rules})
    assert rules[-1].at <= time.time() + len(rules)


def test_a_rule_wins_over_that_of_a_sender_whose_clock_is_fast(sent):
    link_id = b"of a fast clock"
    fast = sign_take_back(sent.ring, match=match_link(link_id), action="stop", made_at=int(time.time()) + 3600)
    sent.post("/v1/take-backs", {"rules": [fast._asdict()]})

    done = sent.run("lift", "--link", sent.ring.sign(WRONG, link_id=link_id))

    assert parse_take_back(json.loads(done.stdout)).at == fast.at + 1
    assert "ahead of this machine's clock" in done.stderr


def test_a_forged_rule_does_not_set_the_clock(sent):
    link_id = b"of a forger"
    real = sign_take_back(sent.ring, match=match_link(link_id), action="stop", made_at=5)
    sent.post("/v1/take-backs", {"rules": [real._replace(at=2**53 - 1)._asdict()]})

    assert sent.rule("stop", "--link", sent.ring.sign(WRONG, link_id=link_id)).at <= time.time()


def test_a_rule_of_the_key_before_is_followed_by_one_of_the_key_that_signs(sent):
    old = sent.rule("stop", "--url", "https://rotated.example/")
    sent.home.run("keys", "rotate", "keys.json")
    new = sent.rule("lift", "--url", "https://rotated.example/")

    assert (old.key, new.key) == (1, 2)
    assert new.match != old.match
    assert new.at > old.at


BAD = {
    "nothing named": (("stop",), 2, "give one of --url, --origin, --link and --message"),
    "two things named": (("stop", "--url", WRONG, "--origin", WRONG), 2, "give one of"),
    "a position of nothing": (("stop", "--url", WRONG, "--position", "1"), 2, "--position goes with --message"),
    "no URL": (("stop", "--url", "shop"), 2, "--url cannot be a link's destination"),
    "no origin": (("stop", "--origin", "mailto:a@example.com"), 2, "--origin cannot be a link's destination"),
    "no link": (("stop", "--link", "https://click.example.com/2s/x"), 2, "--link is not a genuine link"),
    "another tenant's link": (("stop", "--tenant", "7", "--link", "{link}"), 2, "--link is of tenant 0, not"),
    "no new place": (("replace", "--url", WRONG), 2, "Missing option '--to'"),
    "a new place that is none": (("replace", "--url", WRONG, "--to", "javascript:1"), 2, "--to cannot be"),
    "an unknown message": (("stop", "--message", "mail-9@example.com"), 3, "central knows no message of this id"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_clear_line_and_changes_nothing(sent, name):
    (command, *options), code, words = BAD[name]
    before = sent.known()

    done = sent.home.run(
        *("takeback", command, "--keys", "keys.json", "--central", f"http://127.0.0.1:{sent.home.central_port}"),
        *("--token-file", "api-token", *(option.format(link=sent.urls[0]) for option in options)),
        check=False,
    )

    assert done.returncode == code
    assert words in done.stderr.decode()
    assert done.stdout == b""
    assert "Traceback" not in done.stderr.decode()
    assert sent.known() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--central": "http://127.0.0.1:9"}, "--central cannot be asked (ConnectError); nothing was handed in"),
        ({"--token-file": "ingest-token"}, "central refuses the token; it needs scope takebacks"),
        ({"--token-file": "nothing"}, "--token-file: 'nothing' cannot be read"),
        ({"--keys": "nothing"}, "keyring 'nothing' cannot be read"),
        ({"--keys": "verifies.json"}, "no key that may sign"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_line(sent, change, words):
    keys = json.loads((sent.home.path / "keys.json").read_text())
    for key in keys["keys"]:
        key["state"] = "verify"
    (sent.home.path / "verifies.json").touch(mode=0o600)
    (sent.home.path / "verifies.json").write_text(json.dumps(keys))
    central = f"http://127.0.0.1:{sent.home.central_port}"
    options = {"--keys": "keys.json", "--central": central, "--token-file": "api-token", "--url": WRONG} | change

    done = sent.home.run("takeback", "stop", *(word for pair in options.items() for word in pair), check=False)

    assert done.returncode == 3
    assert words in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_lists_rules_for_a_person_for_a_program_and_for_an_exit(sent):
    forged = sign_take_back(sent.ring, match=match_link(b"forged"), action="stop", made_at=5)._replace(at=6)
    sent.post("/v1/take-backs", {"rules": [forged._asdict()]})
    rule = sent.rule("stop", "--url", "https://listed.example/")

    lines = sent.run("list").stdout.splitlines()
    state = json.loads(sent.run("list", "--json").stdout)
    rules = [json.loads(line) for line in sent.run("list", "--rules").stdout.splitlines()]
    (sent.home.path / "rules.jsonl").write_text(sent.run("list", "--rules").stdout)
    written = sent.home.run("exit", "exit", "--keys", "keys.json", "--takebacks", "rules.jsonl", check=False)

    assert rule.match in lines[0]
    assert len(lines) == len(state["rules"]) == len(rules) > 1
    assert rules[0] == rule._asdict() == state["rules"][0]["rule"]
    refused = written.stderr.decode().count("was left out: tag does not fit")
    assert refused >= 1
    assert f"take-backs: {len(rules) - refused}" in written.stderr.decode()


def test_all_pages_of_the_list_are_read(sent, monkeypatch):
    monkeypatch.setattr("linkrouter.cli.takeback._PAGE", 2)

    assert len(sent.run("list").stdout.splitlines()) == len(sent.known())


def test_a_token_of_a_tenant_takes_back_that_tenants_links_alone(sent):
    folder = sent.home.path
    token = sent.home.run("tokens", "add", "api-token", "--scopes", "takebacks", "--tenant", "7").stdout
    (folder / "seven").touch(mode=0o600)
    (folder / "seven").write_bytes(token)
    sent.home.processes[0].send_signal(1)
    link = "https://click.example.com" + sent.ring.sign(WRONG, tenant=7, link_id=b"seven")

    def stop(*options):
        return sent.run("stop", "--token-file", str(folder / "seven"), *options)

    wait_until(lambda: stop("--link", link, "--dry-run").exit_code == 0)
    own, theirs = stop("--link", link), stop("--url", WRONG)

    assert json.loads(own.stdout)["tenant"] == 7
    assert json.loads(own.stdout)["match"] == "link:" + encode_base64url(b"seven")
    assert theirs.exit_code == 1
    assert "this tenant" in str(theirs.exception)

"""Which rule applies to a link: the newest of the most exact match, in whatever order the rules came."""

import itertools
import json
import subprocess
import sys

import pytest
from link.take_backs import LINK_ID, NEW_PATH, RING, VECTORS, ring_of_vectors

from linkrouter.errors import BadRule
from linkrouter.link import TakeBacks
from linkrouter.link.codec import encode_base64url
from linkrouter.link.takeback import (
    match_destination,
    match_link,
    match_message,
    match_origin,
    parse_take_back,
    sign_take_back,
)
from linkrouter.link.takeback_table import message_of

OLD, OTHER = VECTORS["old"], "https://example.net/x"
AT = 1764262800
IDS = [bytes([number]) * 16 for number in range(8)]


def rule(match, action="stop", *, at=AT, rule_id=IDS[0], **options):
    """Make a rule of the vectors' keyring."""
    to = options.pop("to", NEW_PATH if action == "replace" else "")
    return sign_take_back(RING, match=match, action=action, made_at=at, rule_id=rule_id, to=to, **options)


def find(rules, url=OLD, link_id=LINK_ID, ring=RING, **options):
    """Give what applies to a link to *url* under *rules*: (rule id, action, destination), or None."""
    table = TakeBacks(ring)
    for one in rules:
        table.add(one)
    return table.find(RING.open(RING.sign(url, link_id=link_id, **options)))


@pytest.mark.parametrize("fields", VECTORS["good"], ids=lambda fields: fields["id"])
def test_every_good_vector_applies_to_the_links_it_matches(fields):
    plain_origin = match_origin(RING, "http://example.com:8080")
    url = "http://example.com:8080/x" if fields["match"] == plain_origin else OLD
    link_id = LINK_ID + b"\1" if fields["match"].startswith("message:") else LINK_ID

    found = find([parse_take_back(fields)], url, link_id, tenant=fields["tenant"])

    expected = (fields["id"], fields["action"], VECTORS["new"] if fields["to"] else "")
    assert found == (None if fields["action"] == "lift" else expected)


def test_a_link_without_a_rule_leads_where_it_says():
    rules = [rule(match_link(b"another")), rule(match_destination(RING, OTHER)), rule(match_origin(RING, OTHER))]

    assert find([]) is None
    assert find(rules) is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_the_most_exact_match_applies_in_whatever_order_rules_come(order):
    matches = [
        match_link(LINK_ID + b"\1"),
        match_message(LINK_ID),
        match_destination(RING, OLD),
        match_origin(RING, OLD),
    ]
    rules = [rule(match, rule_id=IDS[place]) for place, match in enumerate(matches)]
    for exactest in range(4):
        kept = [rules[place] for place in order if place >= exactest]

        found = find(kept, link_id=LINK_ID + b"\1")

        assert found is not None
        assert found.rule_id == encode_base64url(IDS[exactest])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_newest_rule_of_a_match_applies_and_among_equals_the_greater_id(order):
    match = match_destination(RING, OLD)
    rules = [
        rule(match, rule_id=IDS[7]),
        rule(match, "replace", at=AT + 1, rule_id=IDS[1]),
        rule(match, at=AT + 1, rule_id=IDS[2]),
    ]

    found = find([rules[place] for place in order])

    assert found == (encode_base64url(IDS[2]), "stop", "")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_a_lift_voids_the_rules_before_it_and_the_next_match_applies(order):
    rules = [
        rule(match_link(LINK_ID), rule_id=IDS[1]),
        rule(match_link(LINK_ID), "lift", at=AT + 1, rule_id=IDS[2]),
        rule(match_origin(RING, OLD), at=AT - 1, rule_id=IDS[3]),
    ]

    found = find([rules[place] for place in order])

    assert found is not None
    assert found.rule_id == encode_base64url(IDS[3])


def test_a_rule_after_a_lift_applies_again():
    match = match_message(LINK_ID)
    rules = [rule(match, at=AT), rule(match, "lift", at=AT + 1), rule(match, "replace", at=AT + 2)]

    found = find(rules, link_id=LINK_ID + b"\x05")

    assert found is not None
    assert (found.action, found.destination) == ("replace", VECTORS["new"])


def test_a_lift_under_the_next_key_voids_a_rule_under_the_one_before():
    for match in (match_destination, match_origin):
        old = rule(match(RING, OLD, key_id=1), key_id=1)
        lift = rule(match(RING, OLD, key_id=2), "lift", at=AT + 1, key_id=2)

        assert find([old]) is not None
        assert find([old, lift]) is None
        assert find([lift, old]) is None


def test_a_hash_is_matched_under_the_key_of_its_rule_whichever_signed_the_link():
    by_second = rule(match_destination(RING, OLD, key_id=2), key_id=2)

    assert find([by_second], key_id=1) is not None
    assert find([by_second], key_id=2) is not None


@pytest.mark.parametrize("match", [match_destination, match_origin])
def test_a_rule_is_for_its_tenant_alone(match):
    rules = [
        rule(match(RING, OLD, tenant=7), tenant=7),
        rule(match_link(LINK_ID), tenant=7),
        rule(match_message(LINK_ID), tenant=7),
    ]

    for one in rules:
        assert find([one], tenant=7, link_id=LINK_ID + b"\1" if "message" in one.match else LINK_ID) is not None
        assert find([one]) is None
        assert find([one], tenant=8) is None


@pytest.mark.parametrize(("link_id", "message"), VECTORS["message_of"].items())
def test_a_message_is_the_first_eight_bytes_of_a_longer_id(link_id, message):
    assert message_of(link_id) == message


def test_a_refused_rule_changes_nothing():
    table = TakeBacks(RING)
    table.add(rule(match_link(LINK_ID)))
    forged = rule(match_link(LINK_ID), "replace", at=AT + 1)._replace(tag="A" * 22)

    with pytest.raises(BadRule, match="tag does not fit"):
        table.add(forged)

    found = table.find(RING.open(RING.sign(OLD, link_id=LINK_ID)))
    assert found is not None
    assert found.action == "stop"
    assert len(table) == 1


def test_rules_of_a_revoked_key_are_refused_by_a_table_of_the_new_ring():
    by_second = rule(match_link(LINK_ID), key_id=2)

    with pytest.raises(BadRule, match="revoked"):
        TakeBacks(ring_of_vectors(key_2="revoked")).add(by_second)


def test_counts_the_rules_in_force():
    table, counts = TakeBacks(RING), []
    for match in (match_link(b"a"), match_message(LINK_ID), match_destination(RING, OLD), match_origin(RING, OLD)):
        table.add(rule(match))
        table.add(rule(match, "replace", at=AT + 2))
        counts.append(len(table))
    for at in (AT + 3, AT + 4):
        table.add(rule(match_link(b"a"), "lift", at=at))
        counts.append(len(table))
    table.add(rule(match_link(b"b"), "lift"))
    table.add(rule(match_link(b"a"), at=AT + 5))

    assert counts == [1, 2, 3, 4, 3, 3]
    assert len(table) == 4


def test_what_applies_shows_nothing_of_a_link():
    found = find([rule(match_link(LINK_ID), "replace")])

    assert repr(found) == "<RuleInForce replace>"


FLOOD = """
import sys, resource
from linkrouter.link import Keyring
from linkrouter.link.takeback import match_link, sign_take_back
from linkrouter.link.takeback_table import TakeBacks

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

ring, count = Keyring.create(), int(sys.argv[1])
to = ring.sign("https://example.com/a-page-with-a-path-of-usual-length?campaign=winter")
table, before = TakeBacks(ring), resident()
for number in range(count):
    link_id = number.to_bytes(9, "big")
    table.add(sign_take_back(ring, match=match_link(link_id), action="replace", to=to, made_at=1764262800))
print(len(table), (resident() - before) / count)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_rule_takes_less_than_320_bytes_so_that_a_quarter_of_a_million_fit_in_80_mb():
    done = subprocess.run([sys.executable, "-c", FLOOD, "50000"], capture_output=True, text=True, timeout=120)

    rules, bytes_each = (float(word) for word in done.stdout.split())
    assert rules == 50_000
    assert bytes_each < 320, json.dumps(bytes_each)

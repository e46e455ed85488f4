"""A rule's codec: the published vectors both ways, and everything that a forger or a careless sender could try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from link.take_backs import LINK_ID, NEW_PATH, RING, VECTORS, ring_of_vectors, unb64

from linkrouter.errors import BadDestination, BadRule, KeyringError
from linkrouter.link.takeback import (
    match_destination,
    match_link,
    match_message,
    match_origin,
    origin_of,
    parse_take_back,
    sign_take_back,
    verify_take_back,
)

AT = 1764262800


@pytest.mark.parametrize("fields", VECTORS["good"], ids=lambda fields: fields["id"])
def test_reads_and_verifies_every_good_vector(fields):
    rule = parse_take_back(fields)

    destination = verify_take_back(rule, RING)

    assert destination == (VECTORS["new"] if fields["action"] == "replace" else "")
    assert rule._asdict() == fields


@pytest.mark.parametrize("fields", VECTORS["good"], ids=lambda fields: fields["id"])
def test_makes_every_good_vector(fields):
    key = {"tenant": fields["tenant"], "key_id": fields["key"]}
    matches = [
        match_link(LINK_ID),
        match_message(LINK_ID),
        match_destination(RING, VECTORS["old"], **key),
        match_origin(RING, VECTORS["old"], **key),
        match_origin(RING, "http://example.com:8080/x", **key),
    ]

    rule = sign_take_back(
        RING,
        match=fields["match"],
        action=fields["action"],
        made_at=fields["at"],
        to=fields["to"],
        rule_id=unb64(fields["id"]),
        **key,
    )

    assert rule._asdict() == fields
    assert fields["match"] in matches


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["why"])
def test_refuses_every_bad_vector(vector):
    with pytest.raises(BadRule):
        verify_take_back(parse_take_back(vector["rule"]), RING)


@pytest.mark.parametrize(("destination", "origin"), VECTORS["origin_of"].items())
def test_the_origin_is_what_stands_before_the_path(destination, origin):
    assert origin_of(destination) == origin


@pytest.mark.parametrize("fields", [None, [], "rule", 1, {}], ids=repr)
def test_refuses_what_is_no_rule_at_all(fields):
    with pytest.raises(BadRule, match="must be an object"):
        parse_take_back(fields)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 1),
        ("id", "AgICAgICAgICAgICAgICAh"),
        ("tenant", -1),
        ("tenant", 2**32),
        ("tenant", 0.0),
        ("match", None),
        ("match", "link:"),
        ("match", "link:A"),
        ("match", "link:ASNFZ4mrze8\n"),
        ("match", "destination:AA"),
        ("action", ["stop"]),
        ("action", "Stop"),
        ("to", None),
        ("to", "https://example.com"),
        ("to", NEW_PATH + "\n"),
        ("to", NEW_PATH + "?a"),
        ("at", -1),
        ("at", 2**53),
        ("at", True),
        ("at", 1.5),
        ("key", 0),
        ("key", 16),
        ("tag", None),
    ],
    ids=repr,
)
def test_refuses_a_field_out_of_its_range(field, value):
    fields = VECTORS["good"][1] | {field: value}

    with pytest.raises(BadRule, match=r"^[a-z][^\n]+$"):
        parse_take_back(fields)


@given(st.data())
def test_changing_any_character_of_a_rule_makes_it_void(data):
    fields = dict(data.draw(st.sampled_from(VECTORS["good"])))
    name = data.draw(st.sampled_from(["id", "match", "to", "tag"]).filter(lambda name: fields[name]))
    place = data.draw(st.integers(0, len(fields[name]) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda char: char != fields[name][place]))
    fields[name] = fields[name][:place] + other + fields[name][place + 1 :]

    with pytest.raises(BadRule):
        verify_take_back(parse_take_back(fields), RING)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists), st.data())
def test_any_value_in_any_field_is_read_or_refused(value, data):
    fields = VECTORS["good"][1] | {data.draw(st.sampled_from(sorted(VECTORS["good"][1]))): value}

    try:
        read = parse_take_back(fields)
    except BadRule:
        return

    assert read._asdict() == fields


def test_a_revoked_key_makes_no_rule_and_verifies_none():
    ring = ring_of_vectors(key_2="revoked")
    by_second_key = parse_take_back(VECTORS["good"][8])

    with pytest.raises(BadRule, match="revoked"):
        verify_take_back(by_second_key, ring)
    with pytest.raises(KeyringError, match="revoked"):
        sign_take_back(ring, match=match_link(b"a"), action="stop", made_at=AT, key_id=2)


def test_a_link_under_a_revoked_key_is_nothing_to_lead_to():
    to = RING.sign("https://example.org", key_id=2)
    rule = sign_take_back(RING, match=match_link(b"a"), action="replace", to=to, made_at=AT)

    with pytest.raises(BadRule, match="to is not a genuine link"):
        verify_take_back(rule, ring_of_vectors(key_2="revoked"))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"action": "replace", "to": ""}, "to must be the path"),
        ({"action": "stop", "to": NEW_PATH}, "to must be empty"),
        ({"action": "replace", "to": NEW_PATH[:-1] + "A"}, "to is not a genuine link"),
        ({"action": "replace", "to": RING.sign("https://example.org", tenant=7)}, "another tenant"),
        ({"match": "link:" + "A" * 23}, "match must be"),
        ({"tenant": -1}, "tenant must be"),
        ({"made_at": 1.5}, "at must be"),
        ({"rule_id": b"short"}, "id and tag"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_makes_no_rule_that_its_readers_would_refuse(wrong, reason):
    rule = {"match": match_link(b"a"), "action": "stop", "made_at": AT} | wrong

    with pytest.raises(BadRule, match=reason):
        sign_take_back(RING, **rule)


def test_a_url_is_hashed_as_its_link_carries_it():
    assert match_destination(RING, "HTTPS://Example.com:443/") == match_destination(RING, "https://example.com")
    assert match_origin(RING, "https://example.com?a/b") == match_origin(RING, "https://EXAMPLE.com/c#d")
    with pytest.raises(BadDestination):
        match_destination(RING, "mailto:a@example.com")


def test_rules_get_ids_of_their_own():
    made = [sign_take_back(RING, match=match_link(b"a"), action="stop", made_at=AT) for _ in range(2)]

    assert made[0].id != made[1].id


def test_a_rule_shows_nothing_of_a_link():
    rule = parse_take_back(VECTORS["good"][1])

    assert repr(rule) == "<TakeBack replace tenant=0 at=1764262800 key=1>"

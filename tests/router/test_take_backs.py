"""What a link that was taken back gets, over real sockets, and how rules come in force from their file."""

import asyncio

import pytest
from link.take_backs import LINK_ID, RING, VECTORS
from router.rules import NEW_PLACE, sign_rule, take_back

from linkrouter.link import Keyring
from linkrouter.router.rule_file import ListPage, RuleFile
from linkrouter.router.take_backs import TakeBackList

ID = b"taken back"


def request(path, method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


def parts(answer):
    """Give status line, sorted headers without the date, and body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    return status, sorted(header for header in headers if not header.startswith(("Date: ", "Connection: "))), body


async def test_a_replaced_link_leads_to_the_new_place_with_the_headers_of_a_redirect(start_router):
    router = await start_router()
    path = router.ring.sign("https://example.com/old", link_id=ID)
    plain = parts(await router.talk(request(path)))

    rule = take_back(router, router.ring, "replace", ID)
    turned = parts(await router.talk(request(path)))

    assert turned[0] == "HTTP/1.1 302 Found"
    assert f"Location: {NEW_PLACE}" in turned[1]
    assert len(turned[1]) == len(plain[1])
    assert set(plain[1]) - set(turned[1]) == {"Location: https://example.com/old"}
    assert [click.takeback for click in router.clicks] == [None, rule.id]
    assert len({click.link_id for click in router.clicks}) == 1
    assert router.metrics.counter("linkrouter_requests")["redirect"] == 1
    assert router.metrics.counter("linkrouter_requests")["replaced"] == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_stopped_link_is_gone_with_one_constant_page(start_router, method):
    router = await start_router()
    rule = take_back(router, router.ring, "stop", ID)

    status, headers, body = parts(
        await router.talk(request(router.ring.sign("https://example.com/", link_id=ID), method))
    )

    assert status == "HTTP/1.1 410 Gone"
    assert {"Cache-Control: private, no-store", "Referrer-Policy: no-referrer"} < set(headers)
    assert not any(header.startswith("Location") for header in headers)
    assert (b"This link was withdrawn by its sender." in body) == (method == "GET")
    assert [(click.takeback, click.kind) for click in router.clicks] == [
        (rule.id, "click" if method == "GET" else "head")
    ]
    assert router.metrics.counter("linkrouter_requests")["stopped"] == 1
    assert router.metrics.counter("linkrouter_requests")["redirect"] == 0


async def test_no_rule_makes_a_forged_link_work(start_router):
    router = await start_router()
    path = router.ring.sign("https://example.com/", link_id=ID)
    take_back(router, router.ring, "replace", ID)

    answer = await router.talk(request(path[:-1] + ("A" if path[-1] != "A" else "E")))

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert router.clicks == []


async def test_a_link_without_a_rule_leads_on_beside_those_that_have_one(start_router):
    router = await start_router()
    take_back(router, router.ring, "stop", b"another")

    answer = await router.talk(request(router.ring.sign("https://example.com/", link_id=ID)))

    assert answer.startswith(b"HTTP/1.1 302 ")
    assert [click.takeback for click in router.clicks] == [None]


async def read(path, ring=RING):
    rules = TakeBackList(RuleFile(path), ring)
    await rules.read()
    return rules


def write(path, *rules):
    file = RuleFile(path)
    for _ in file.read_new():
        pass
    file.append(ListPage(file.seq, file.seq + len(rules), list(rules)))


async def test_without_a_file_no_rule_is_in_force_and_none_is_asked_for(tmp_path):
    rules = await read(tmp_path / "list")

    assert (len(rules), rules.refused, rules.find) == (0, 0, None)


async def test_every_good_vector_comes_in_force_and_every_bad_one_is_counted(tmp_path):
    good, bad = VECTORS["good"], [one["rule"] for one in VECTORS["bad"]]
    write(tmp_path / "list", *bad[:9], *good, *bad[9:], None, [], {"id": 1})

    rules = await read(tmp_path / "list")

    expected = await read(tmp_path / "none")
    for fields in good:
        write(tmp_path / "none", fields)
    await expected.read()
    assert len(rules) == len(expected) > 0
    assert (rules.refused, expected.refused) == (len(bad) + 3, 0)


async def test_goes_on_where_it_stopped_reading(tmp_path):
    write(tmp_path / "list", sign_rule(RING, "stop", b"1")._asdict())
    rules = await read(tmp_path / "list")

    write(tmp_path / "list", sign_rule(RING, "stop", b"2")._asdict(), {"not": "a rule"})
    await rules.read()
    await rules.read()

    assert (len(rules), rules.refused, rules.file.seq) == (2, 1, 3)


async def test_when_all_rules_are_lifted_redirects_ask_for_none(tmp_path):
    for rule in (sign_rule(RING, "stop", ID), sign_rule(RING, "lift", ID, made_at=2)):
        write(tmp_path / "list", rule._asdict())

    rules = await read(tmp_path / "list")

    assert (len(rules), rules.find) == (0, None)


async def test_a_rule_of_a_sender_whose_clock_is_far_ahead_applies_at_once(tmp_path):
    write(tmp_path / "list", sign_rule(RING, "stop", LINK_ID, made_at=2**40)._asdict())

    rules = await read(tmp_path / "list")

    link = RING.open(RING.sign("https://example.com/", link_id=LINK_ID))
    assert rules.find is not None
    assert rules.find(link).action == "stop"


async def test_other_tasks_go_on_while_many_rules_are_read(tmp_path):
    ring = Keyring.create()
    write(tmp_path / "list", *(sign_rule(ring, "stop", number.to_bytes(2, "big"))._asdict() for number in range(1000)))
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    rules = await read(tmp_path / "list", ring)
    counting.cancel()

    assert len(rules) == 1000
    assert turns >= 10  # every hundred rules

"""What is kept of a request: pure functions, so tables."""

import ipaddress

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from linkrouter.link import Keyring
from linkrouter.router.decide import Peer, RequestPolicy, describe, find_link, is_trusted

RING = Keyring.create()
PROXIES = (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("10.0.0.0/8"))
PROXY, STRANGER = Peer("127.0.0.1", True), Peer("203.0.113.9", False)


def describe_request(headers, *, peer=PROXY, method="GET", respect_opt_out=True, **link):
    opened = RING.open(RING.sign("https://example.com/", link_id=b"\xfb\xef\xbe\xfb", **link))
    policy, now_us = RequestPolicy(PROXIES, respect_opt_out), 1_700_000_000_000_001
    return describe(opened, method, CIMultiDictProxy(CIMultiDict(headers)), peer, policy, now_us, lambda _: "fresh")


@pytest.mark.parametrize(
    ("forwarded", "peer", "ip"),
    [
        (None, PROXY, "127.0.0.1"),
        ("198.51.100.7", PROXY, "198.51.100.7"),
        ("2001:db8::7", PROXY, "2001:db8::7"),
        ("198.51.100.7", STRANGER, "203.0.113.9"),
        ("192.0.2.1, 198.51.100.7", PROXY, "198.51.100.7"),
        ("198.51.100.7, 10.1.2.3", PROXY, "198.51.100.7"),
        ("10.1.2.3, 10.1.2.4", PROXY, "127.0.0.1"),
        ("unknown", PROXY, "127.0.0.1"),
        ("198.51.100.7, junk", PROXY, "127.0.0.1"),
        ("", PROXY, "127.0.0.1"),
        ("256.1.1.1", PROXY, "127.0.0.1"),
        ("1.2.3.4.", PROXY, "127.0.0.1"),
        ("01.2.3.4", PROXY, "127.0.0.1"),
        ("fe80::1%eth0", PROXY, "127.0.0.1"),
        ("198.51.100.7:443", PROXY, "127.0.0.1"),
    ],
)
def test_takes_the_address_only_from_trusted_proxies(forwarded, peer, ip):
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}

    assert describe_request(headers, peer=peer).ip == ip


@pytest.mark.parametrize(
    ("lines", "ip"),
    [
        (["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9", "10.1.2.3"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9", "10.1.2.3, 10.1.2.4"], "203.0.113.9"),
        (["6.6.6.6", ""], "127.0.0.1"),
        (["6.6.6.6", "junk"], "127.0.0.1"),
    ],
)
def test_reads_several_lines_of_addresses_as_one_list(lines, ip):
    headers = [("X-Forwarded-For", line) for line in lines]

    assert describe_request(headers).ip == ip


@pytest.mark.parametrize(
    ("request_id", "peer", "taken"),
    [
        ("1c9f1a2e-4b5d-4e6f-8a7b-9c0d1e2f3a4b", PROXY, True),
        ("1c9f1a2e-4b5d-4e6f-8a7b-9c0d1e2f3a4b", STRANGER, False),
        ("short", PROXY, False),
        ("x" * 65, PROXY, False),
        ('"},{"id":"', PROXY, False),
        ("https://example.com/", PROXY, False),
        ("", PROXY, False),
    ],
)
def test_takes_the_identity_only_from_trusted_proxies(request_id, peer, taken):
    click = describe_request({"X-Request-Id": request_id}, peer=peer)

    assert click.id == (request_id if taken else "fresh")


@pytest.mark.parametrize(
    ("headers", "method", "kind"),
    [
        ({}, "GET", "click"),
        ({}, "HEAD", "head"),
        ({"Purpose": "prefetch"}, "GET", "prefetch"),
        ({"Sec-Purpose": "prefetch;prerender"}, "GET", "prefetch"),
        ({"Sec-Purpose": "Prefetch"}, "HEAD", "head"),
        ({"Purpose": "other"}, "GET", "click"),
    ],
)
def test_tells_clicks_from_what_nobody_clicked(headers, method, kind):
    assert describe_request(headers, method=method).kind == kind


@pytest.mark.parametrize(
    ("headers", "link", "respect_opt_out", "kept"),
    [
        ({}, {}, True, True),
        ({"Sec-GPC": "1"}, {}, True, False),
        ({"DNT": "1"}, {}, True, False),
        ({"DNT": "0", "Sec-GPC": "0"}, {}, True, True),
        ({"Sec-GPC": "1", "DNT": "1"}, {}, False, True),
        ({}, {"count_only": True}, True, False),
        ({}, {"count_only": True}, False, False),
    ],
)
def test_keeps_no_address_and_agent_of_who_opted_out(headers, link, respect_opt_out, kept):
    headers = headers | {"User-Agent": "Agent/1", "X-Forwarded-For": "198.51.100.7"}

    click = describe_request(headers, respect_opt_out=respect_opt_out, **link)

    assert (click.ip, click.user_agent) == (("198.51.100.7", "Agent/1") if kept else (None, None))


@pytest.mark.parametrize(
    ("agent", "kept"),
    [
        (None, None),
        ("", ""),
        ("a" * 512, "a" * 512),
        ("a" * 513, "a" * 512),
        ("ü" * 300, "ü" * 256),
        ("x" + "ü" * 300, "x" + "ü" * 255),
        ("bad \udcff byte", "bad  byte"),
    ],
)
def test_cuts_the_agent_to_512_bytes_of_utf8(agent, kept):
    headers = {} if agent is None else {"User-Agent": agent}

    assert describe_request(headers).user_agent == kept


def test_keeps_what_the_link_says():
    click = describe_request({}, part="text", tenant=7)

    assert (click.link_id, click.part, click.tenant) == ("-----w", "text", 7)
    assert click.clicked_at == 1_700_000_000_000_001


@pytest.mark.parametrize("appended", ["?fbclid=1", "?", "?a=/2s/x#y", "?a?b", "#f", "#", "#f?a=1"])
def test_ignores_a_query_string_and_a_fragment(appended):
    path = RING.sign("https://example.com/a")

    assert find_link(path + appended, RING.open) == RING.open(path)


@pytest.mark.parametrize("before", ["http://click.example", "https://click.example:443", "HTTP://x"])
@pytest.mark.parametrize("appended", ["", "?fbclid=1", "#f"])
def test_takes_a_target_in_absolute_form_for_its_path(before, appended):
    path = RING.sign("https://example.com/a")

    assert find_link(before + path + appended, RING.open) == RING.open(path)


@pytest.mark.parametrize("before", ["http://a.example/b", "http://a.examplehttp://b.example", "ftp://a.example", "//a"])
def test_refuses_what_else_stands_before_a_path(before):
    assert find_link(before + RING.sign("https://example.com/a"), RING.open) is None


@pytest.mark.parametrize("appended", ["/", ".", ";", "&utm=1", "%3F", " ", ">", ")", "=", "%20", "\\"])
def test_refuses_what_else_was_appended(appended):
    path = RING.sign("https://example.com/a")

    assert find_link(path + appended, RING.open) is None


@pytest.mark.parametrize(("ip", "trusted"), [("10.2.3.4", True), ("11.0.0.1", False), (None, False), ("x", False)])
def test_knows_its_proxies(ip, trusted):
    assert is_trusted(ip, PROXIES) is trusted

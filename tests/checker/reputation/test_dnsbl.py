"""SURBL and the DBL: every code of their tables, and a real rbldnsd."""

import socket

import pytest
from checker.reputation.lists import rbldnsd
from processes import free_port

from linkrouter.checker.reputation.codes import read_dbl, read_surbl
from linkrouter.checker.reputation.dnsbl import dbl, surbl

CONTROLS = ["test.surbl.org :127.0.0.254:", "dbltest.com :127.0.1.2:"]


@pytest.mark.parametrize(
    ("code", "answer", "blocks", "lists"),
    [
        (4, "listed", False, ["DM"]),
        (8, "listed", True, ["PH"]),
        (16, "listed", True, ["MW"]),
        (32, "listed", False, ["CT"]),
        (64, "listed", True, ["ABUSE"]),
        (128, "listed", False, ["CR"]),
        (80, "listed", True, ["MW", "ABUSE"]),
        (252, "listed", True, ["DM", "PH", "MW", "CT", "ABUSE", "CR"]),
        (36, "listed", False, ["DM", "CT"]),
        (66, "listed", True, ["ABUSE"]),
        (1, "unknown", False, []),
        (65, "unknown", False, []),
        (2, "unknown", False, []),
        (0, "unknown", False, []),
    ],
)
def test_reads_every_bit_of_surbl(code, answer, blocks, lists):
    opinion = read_surbl([f"127.0.0.{code}"])

    assert (opinion.answer, opinion.blocks) == (answer, blocks)
    assert [name.partition(":")[0] for name in opinion.lists] == lists


@pytest.mark.parametrize(
    ("code", "answer", "blocks"),
    [
        *[(code, "listed", True) for code in (2, 4, 5, 6, 50, 99)],
        *[(code, "listed", False) for code in (102, 103)],
        *[(code, "listed", True) for code in (104, 105, 106, 150, 199)],
        *[(code, "unknown", False) for code in (0, 1, 200, 254, 255)],
    ],
)
def test_reads_every_code_of_the_dbl(code, answer, blocks):
    opinion = read_dbl([f"127.0.1.{code}"])

    assert (opinion.answer, opinion.blocks) == (answer, blocks)


@pytest.mark.parametrize("read", [read_surbl, read_dbl])
@pytest.mark.parametrize(
    "address",
    ["1.2.3.4", "10.0.0.64", "127.0.0.1", "127.0.1.255", *(f"127.255.255.{n}" for n in (250, 251, 252, 254, 255))],
)
def test_an_error_or_an_invention_is_unknown_and_says_why(read, address):
    opinion = read([address])

    assert opinion.answer == "unknown"
    assert opinion.why


def test_a_listing_beside_an_error_is_a_listing():
    assert read_dbl(["127.255.255.255", "127.0.1.4"]).blocks


def test_the_dbl_does_not_read_surbls_answers():
    assert read_dbl(["127.0.0.64"]).answer == "unknown"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://www.shop.example.co.uk/x", "www.shop.example.co.uk"),
        ("https://EXAMPLE.com/", "EXAMPLE.com"),
        ("https://example.com./", "example.com"),
        ("http://192.0.2.7/", "192.0.2.7"),
        ("http://[::1]/", None),
    ],
)
async def test_surbl_is_asked_about_hosts_and_ipv4_addresses(url, name):
    assert surbl().query_for(url) == name


@pytest.mark.parametrize(
    ("url", "name"), [("https://a.example/", "a.example"), ("http://192.0.2.7/", None), ("http://[::1]/", None)]
)
async def test_the_dbl_is_never_asked_about_an_address(url, name):
    assert dbl().query_for(url) == name


async def ask(source, *hosts):
    try:
        return [await source.ask(host) for host in hosts]
    finally:
        await source.close()


async def test_a_real_list_is_asked_for_the_registrable_domain_and_the_reversed_address():
    lines = [*CONTROLS, "evil.co.uk :127.0.0.80:", "4.3.2.1 :127.0.0.8:", "a.github.io :127.0.0.64:"]

    with rbldnsd(multi_surbl_test=lines) as server:
        listed, address, neighbour, clean = await ask(
            surbl("multi.surbl.test", server), "www.shop.evil.co.uk", "1.2.3.4", "b.github.io", "good.example"
        )

    assert (listed.answer, listed.blocks) == ("listed", True)
    assert listed.lists == ("MW: malware", "ABUSE: abuse and spam")
    assert 60 <= listed.holds_s <= 3600
    assert address.lists == ("PH: phishing",)
    assert (neighbour.answer, clean.answer) == ("clean", "clean")


async def test_the_dbl_is_asked_for_the_host_and_its_domain():
    lines = [*CONTROLS, "evil.example :127.0.1.4:", "bad.hoster.example :127.0.1.103:"]

    with rbldnsd(dbl_test=lines) as server:
        domain, host, clean = await ask(
            dbl("dbl.test", server), "www.evil.example", "bad.hoster.example", "hoster.example"
        )

    assert (domain.answer, domain.blocks) == ("listed", True)
    assert (host.answer, host.blocks) == ("listed", False)
    assert clean.answer == "clean"


@pytest.mark.parametrize(
    ("lines", "host", "answer", "why"),
    [
        (["other.example :127.0.1.2:"], "good.example", "unknown", "its own test entry"),
        (["other.example :127.0.1.2:", "evil.example :127.0.1.4:"], "evil.example", "listed", ""),
        ([*CONTROLS, "invalid :127.0.1.2:"], "good.example", "unknown", "never lists"),
        ([*CONTROLS, "invalid :127.0.1.2:", "evil.example :127.0.1.2:"], "evil.example", "unknown", "never lists"),
        ([*CONTROLS, "invalid :1.2.3.4:"], "good.example", "unknown", "does not document"),
        ([*CONTROLS, "good.example :1.2.3.4:"], "good.example", "unknown", "does not document"),
        ([*CONTROLS, "good.example :127.255.255.254:"], "good.example", "unknown", "public name servers"),
        (["dbltest.com :127.255.255.254:"], "good.example", "unknown", "public name servers"),
    ],
    ids=[
        "no test entry",
        "listed without it",
        "lists all",
        "lists all, and this",
        "hijack",
        "code",
        "error",
        "refusing",
    ],
)
async def test_clean_is_believed_only_of_a_zone_that_passes_its_controls(lines, host, answer, why):
    with rbldnsd(dbl_test=lines) as server:
        [opinion] = await ask(dbl("dbl.test", server), host)

    assert opinion.answer == answer
    assert why in opinion.why


async def test_a_zone_that_the_server_does_not_have_is_unknown():
    with rbldnsd(dbl_test=CONTROLS) as server:
        [opinion] = await ask(dbl("other.test", server), "good.example")

    assert (opinion.answer, opinion.why) == ("unknown", "the name server refused")


async def test_a_server_that_is_not_there_is_unknown():
    [opinion] = await ask(dbl("dbl.test", ("127.0.0.1", free_port())), "good.example")

    assert opinion.answer == "unknown"


async def test_a_server_that_says_nothing_is_unknown():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        [opinion] = await ask(dbl("dbl.test", silent.getsockname(), timeout_s=0.2), "good.example")

    assert (opinion.answer, opinion.why) == ("unknown", "the name server did not answer in time")


async def test_a_server_that_answers_garbage_is_unknown():
    import asyncio

    class Garbage(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data[:2] + b"\x81\x80" + b"\xff" * 40, address)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Garbage, local_addr=("127.0.0.1", 0))
    [opinion] = await ask(dbl("dbl.test", transport.get_extra_info("sockname")), "good.example")
    transport.close()

    assert opinion.answer == "unknown"

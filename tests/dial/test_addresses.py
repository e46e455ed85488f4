"""Which addresses may be connected to: the addresses that other rules let through, and the edges of the table."""

from ipaddress import ip_address, ip_network

import pytest

from linkrouter.dial.addresses import may_connect

REFUSED = [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "100.100.100.200",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "100.127.255.255",
    "198.19.255.255",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "5f00::1",
    "3fff::1",
    "2001:db8::1",
    "2001:10::1",
    "64:ff9c::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "::ffff:10.0.0.1",
]
ALLOWED = [
    "8.8.8.8",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "192.0.0.9",
    "192.0.0.10",
    "100.63.255.254",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "169.253.255.255",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "11.0.0.1",
    "2a00:1450:4001::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_refuses_what_is_not_public_in_any_form(address):
    assert not may_connect(ip_address(address), 443)


@pytest.mark.parametrize("address", ALLOWED)
def test_allows_what_is_public(address):
    assert may_connect(ip_address(address), 443)


@pytest.mark.parametrize("port", [22, 25, 8080, 6379, 65535])
def test_allows_web_ports_alone(port):
    assert not may_connect(ip_address("8.8.8.8"), port)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1"])
def test_an_allowed_network_is_open_on_any_port_in_any_form(address):
    assert may_connect(ip_address(address), 6379, [ip_network("127.0.0.0/8")])


@pytest.mark.parametrize("address", ["10.0.0.1", "::1", "169.254.169.254"])
def test_an_allowed_network_opens_no_other(address):
    assert not may_connect(ip_address(address), 80, [ip_network("127.0.0.0/8")])

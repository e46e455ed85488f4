"""What stands before HAProxy: a load balancer that speaks the PROXY protocol, or a network without IPv4."""

import ipaddress
import socket
import ssl
import subprocess

import pytest
from haproxy.machine import HOST, edit_top
from processes import free_port, wait_until

from linkrouter.link.codec import encode_base64url

BALANCER = """
global
    log stdout format raw daemon
defaults
    mode tcp
    timeout connect 2s
    timeout client 30s
    timeout server 30s
listen https
    bind 127.0.0.1:{port}
    source 127.0.0.9
    server region {region} send-proxy-v2
"""


def get(address, path, machine, source=None):
    """Ask for *path* at *address* over TLS, from *source*; give the answer's first line."""
    tls = ssl.create_default_context(cafile=machine.home / f"{HOST}.crt")
    with (
        socket.create_connection(address, 10, (source, 0) if source else None) as raw,
        tls.wrap_socket(raw, server_hostname=HOST) as connection,
    ):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        return connection.makefile("rb").readline().decode()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def click_of_last(machine):
    """Give the one click that the centre has of the last link that was made."""
    link_id = encode_base64url(machine.sign_number.to_bytes(8, "big"))
    found = []

    def arrived():
        found[:] = [click for click in machine.clicks() if click["link_id"] == link_id]
        return found

    wait_until(arrived, 20)
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def balanced(make_machine, tmp_path_factory):
    """A region that has 127.0.0.9 for its load balancer, and the port of that."""
    machine = make_machine()
    machine.config.write_text(edit_top(machine.config.read_text(), {"BALANCERS": '"127.0.0.9"'}))
    machine.begin()
    port = free_port()
    config = tmp_path_factory.mktemp("balancer") / "haproxy.cfg"
    config.write_text(BALANCER.format(port=port, region=f"127.0.0.1:{machine.ports['https']}"))
    balancer = subprocess.Popen(["haproxy", "-db", "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: is_listening(port))
    yield machine, port
    balancer.terminate()
    balancer.wait(10)


def test_a_click_through_a_load_balancer_has_the_recipients_address(balanced):
    machine, port = balanced
    path, _ = machine.link()

    assert " 302 " in get(("127.0.0.1", port), path, machine, source="127.0.0.77")

    assert click_of_last(machine)["ip"] == "127.0.0.77"


def test_wrong_links_behind_a_load_balancer_count_for_who_sent_them(balanced):
    machine, port = balanced
    wrong = {get(("127.0.0.1", port), "/wrong", machine, source="127.0.0.80") for _ in range(60)}

    assert {line.split()[1] for line in wrong} == {"404", "429"}
    assert " 404 " in get(("127.0.0.1", port), "/wrong", machine, source="127.0.0.81")


def test_who_is_no_load_balancer_may_not_say_for_whom_it_stands(balanced):
    machine, _ = balanced
    path, _ = machine.link()
    with socket.create_connection(("127.0.0.1", machine.ports["https"]), 10) as connection:
        connection.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n")
        with pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(connection, server_hostname=HOST)

    assert " 302 " in get(("127.0.0.1", machine.ports["https"]), path, machine, source="127.0.0.78")

    assert click_of_last(machine)["ip"] == "127.0.0.78"


def test_a_region_without_ipv4_redirects_and_knows_its_recipients(make_machine):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    machine = make_machine(address="::1")
    path, _ = machine.link()
    machine.begin()

    assert " 302 " in get(("::1", machine.ports["https"]), path, machine)

    address = click_of_last(machine)["ip"]
    assert ipaddress.ip_address(address) == ipaddress.ip_address("::1")

"""When the relay's certificate ends, as it tells Prometheus."""

import shutil
import ssl
import time

import pytest
from haproxy.machine import make_certificate

from linkrouter.processes.certificate import certificate_ends_at


@pytest.mark.parametrize("days", [90, 1])
def test_tells_when_a_certificate_ends(tmp_path, days):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; run: apt-get install openssl")
    both = make_certificate(tmp_path, "relay.example.com", "-days", str(days))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(both)

    ends_at = certificate_ends_at(server, both)

    assert days - 0.1 < (ends_at - time.time()) / 86400 <= days


def test_a_certificate_that_has_ended_tells_when_it_did(tmp_path):
    if shutil.which("faketime") is None or shutil.which("openssl") is None:
        pytest.skip("faketime is not installed; run: apt-get install faketime openssl")
    both = make_certificate(tmp_path, "relay.example.com", before=("faketime", "-f", "-100d"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(both)

    assert -10.1 < (certificate_ends_at(server, both) - time.time()) / 86400 < -9.9

"""Every bench can be imported, and says what it measures: none breaks unseen when what it uses is renamed."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = sorted(Path(__file__).parent.glob("bench_*.py"))


@pytest.mark.parametrize("bench", BENCHES, ids=lambda path: path.stem)
def test_a_bench_starts(bench):
    done = subprocess.run(
        [sys.executable, "-W", "error", bench, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(bench.parents[1]), "PATH": ""},
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_key_of_the_yardstick_opens_the_links_of_the_bench():
    code = (
        "import hmac, sys; sys.path.insert(0, sys.argv[1]);"
        "from bench_router import Keyring, link_key; ring = Keyring.create();"
        "signed, _, tag = ring.sign('https://example.com/a').rpartition('/');"
        "import base64; mac = hmac.digest(link_key(ring), signed.encode(), 'sha256')[:11];"
        "sys.exit(base64.urlsafe_b64encode(mac).decode().rstrip('=') != tag)"
    )

    done = subprocess.run([sys.executable, "-c", code, BENCHES[0].parent], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr

"""TLS as Mozilla's intermediate configuration has it."""

import os
import shutil
import ssl
import subprocess

import pytest
from haproxy.machine import HOST, ROOT
from haproxy.talk import connect


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_speaks(machine, version):
    number = ssl.TLSVersion[version]

    with connect(machine, minimum_version=number, maximum_version=number) as connection:
        assert connection.version() == version.replace("_", ".")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_refuses_what_is_older(machine):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(machine, minimum_version=ssl.TLSVersion.TLSv1_1, maximum_version=ssl.TLSVersion.TLSv1_1)


def test_is_graded_compliant_by_sslyze(machine):
    sslyze = shutil.which("sslyze", path=f"{ROOT}/build/sslyze/bin:{os.environ['PATH']}")
    if sslyze is None:
        pytest.skip("sslyze is not installed; run: python3 -m venv build/sslyze && build/sslyze/bin/pip install sslyze")

    graded = subprocess.run(
        [
            *(sslyze, "--mozilla_config", "intermediate", "--sni", HOST),
            *("--certinfo_ca_file", machine.home / f"{HOST}.crt", f"{machine.address}:{machine.ports['https']}"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert graded.returncode == 0, graded.stdout[-2000:]
    assert "OK - Compliant" in graded.stdout

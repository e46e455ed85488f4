"""The systemd units, as systemd itself judges them."""

import re
import shutil
import subprocess

import pytest
from haproxy.machine import ROOT

UNITS = ROOT / "deploy" / "systemd"
MOST_EXPOSED = 1.5


@pytest.fixture
def units(tmp_path):
    """The units under the names they are installed as, with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; run: apt-get install systemd")
    program = tmp_path / "linkrouter"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found = {}
    for name, source in (
        ("linkrouter-blue@1.service", "linkrouter-blue@.service"),
        ("linkrouter-green@2.service", "linkrouter-blue@.service"),
        ("linkrouter-central.service", "linkrouter-central.service"),
    ):
        found[name] = tmp_path / name.replace("@1", "@").replace("@2", "@")
        text = re.sub(r"ExecStart=\S+", f"ExecStart={program}", (UNITS / source).read_text())
        found[name].write_text(text)
    return {name: path.parent / name if "@" not in name else path for name, path in found.items()}


def test_systemd_finds_no_fault_in_them(units):
    for name, path in units.items():
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(path)],
            capture_output=True,
            text=True,
        )

        assert verified.returncode == 0, (name, verified.stderr)
        assert path.name not in verified.stderr


def test_they_are_hardly_exposed(units):
    for name, path in units.items():
        judged = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)], capture_output=True, text=True
        )

        exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged.stdout)[1])
        assert exposure <= MOST_EXPOSED, (name, judged.stdout)


def test_no_unit_holds_a_secret_or_lets_others_read_one():
    for path in UNITS.glob("*.service"):
        text = path.read_text()

        assert "LoadCredential=" in text
        assert not re.search(r"(?mi)^Environment=.*(token|secret|keys)", text)
        assert "LimitCORE=0" in text


def test_the_install_script_is_sound_and_finds_what_it_installs():
    script = ROOT / "deploy" / "install.sh"
    named = re.findall(r"\$here/([\w./@-]+)", script.read_text())
    assert subprocess.run(["sh", "-n", script]).returncode == 0
    assert len(named) > 10
    for name in named:
        path = script.parent / name.replace("$router", "blue-1").removesuffix("/.")
        assert path.exists() or "env/" in name, name


@pytest.mark.parametrize("arguments", [[], ["router"], ["colour", "mauve"]], ids=" ".join)
def test_the_install_script_without_sense_is_usage(arguments):
    done = subprocess.run(["sh", ROOT / "deploy" / "install.sh", *arguments], capture_output=True, text=True)

    assert done.returncode == 2
    assert "install.sh router HOSTNAME CENTRE_URL" in done.stderr

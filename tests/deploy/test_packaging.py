"""What install.sh, bundle and package are made of: manual pages, completions, scripts, and a copied program."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
PACKAGING = DEPLOY / "packaging"


@pytest.fixture(scope="module")
def share(tmp_path_factory):
    """A folder with all pages and completions."""
    folder = tmp_path_factory.mktemp("share")
    subprocess.run([sys.executable, PACKAGING / "manual.py", folder], check=True)
    return folder


def lint(*command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; run: apt-get install {command[0]}")
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


def test_every_command_has_a_page_that_says_what_its_help_says(share):
    helped = subprocess.run([sys.executable, "-m", "linkrouter", "keys", "--help"], capture_output=True, text=True)
    commands = [line.split()[0] for line in helped.stdout.partition("Commands:\n")[2].splitlines() if line[2:3] != " "]

    pages = {path.name for path in (share / "man/man1").iterdir()}

    assert len(commands) >= 5
    assert {f"linkrouter-keys-{command}.1" for command in commands} <= pages
    router = (share / "man/man1/linkrouter-router.1").read_text()
    assert ".B \\-\\-ingest\\-url URL\n" in router
    assert "[LINKROUTER_KEYS; required]" in router
    deploy = (share / "man/man8/linkrouter-deploy.8").read_text()
    assert re.search(r"(?m)^\.B switch \[\\-h\] .*\{blue,green\}", deploy)
    assert "linkrouter\\-install router HOSTNAME CENTRE_URL" in (share / "man/man8/linkrouter-install.8").read_text()


def test_mandoc_finds_no_fault_in_the_pages(share):
    pages = sorted((share / "man").glob("man*/*"))

    done = lint("mandoc", "-T", "lint", "-W", "warning", *pages)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", "bash-completion/completions/linkrouter"),
        ("zsh", "zsh/vendor-completions/_linkrouter"),
        ("fish", "fish/vendor_completions.d/linkrouter.fish"),
    ],
    ids=["bash", "zsh", "fish"],
)
def test_each_shell_reads_its_completion(share, shell, file):
    done = lint(shell, "-n", share / file)

    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_a_command_by_the_installed_file(share, tmp_path):
    program = tmp_path / "linkrouter"
    program.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).parent}/linkrouter" "$@"\n')
    program.chmod(0o755)
    script = (
        f'. "{share}/bash-completion/completions/linkrouter"; COMP_WORDS=(linkrouter keys rot) COMP_CWORD=2; '
        '_linkrouter_completion linkrouter; echo "${COMPREPLY[@]}"'
    )

    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )

    assert done.stdout.split() == ["rotate"], done.stderr


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_the_packages_scripts_are_sound_and_may_be_called_for_nothing(name):
    script = PACKAGING / name

    assert subprocess.run(["sh", "-n", script]).returncode == 0
    assert subprocess.run(["sh", script, "abort-upgrade", "0.1.0"]).returncode == 0


@pytest.fixture
def functions(tmp_path):
    """The functions of install.sh in a file, which works below *tmp_path* as if the package had brought it."""
    home = tmp_path / "lib" / "deploy"
    home.mkdir(parents=True)
    shutil.copytree(DEPLOY / "systemd", home / "systemd")
    text = (DEPLOY / "install.sh").read_text().rpartition('case "$#:')[0]
    text = text.replace("opt=/opt/linkrouter", f"opt={tmp_path}/opt").replace(
        "units=/etc/systemd/system", f"units={tmp_path}"
    )
    (home / "install.sh").write_text(text)
    program = tmp_path / "lib" / "program" / "bin"
    program.mkdir(parents=True)
    (program / "python3").symlink_to(sys.executable)
    (program / "linkrouter").write_text(
        "#!/usr/lib/linkrouter/program/bin/python3\nimport sys; print(sys.executable)\n"
    )
    (program / "linkrouter").chmod(0o755)
    return home / "install.sh"


def test_a_program_of_the_package_stays_as_it_was_when_the_package_changes(functions, tmp_path):
    package = tmp_path / "lib" / "program"
    (package / "module.py").write_text("old")

    script = '. "$0"; program blue "$source" && activate blue'
    done = subprocess.run(["sh", "-c", script, functions], capture_output=True, text=True)
    replaced = package / "module.py.dpkg-new"
    replaced.write_text("new")
    replaced.rename(package / "module.py")  # as dpkg does

    assert done.returncode == 0, done.stderr
    blue = tmp_path / "opt" / "blue"
    assert (blue / "module.py").read_text() == "old"
    run = subprocess.run([blue.resolve() / "bin" / "linkrouter"], capture_output=True, text=True)
    assert run.stdout.strip() == str(blue.resolve() / "bin" / "python3")
    assert "Type=exec" in (tmp_path / "linkrouter-blue@.service").read_text()  # for it gives no signs of life


def test_the_conffiles_are_the_settings_that_install_sh_leaves_alone():
    code = "import sys; sys.path.insert(0, ''); import json, deb; print(json.dumps(deb.CONFFILES))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGING, capture_output=True, text=True, check=True)

    shipped = {f"etc/linkrouter/{path.name}" for path in (DEPLOY / "env").iterdir()}
    assert set(json.loads(done.stdout)) == shipped - {
        "etc/linkrouter/router.env"
    }  # install.sh writes the centre into it

"""The systemd units, as systemd itself judges them."""

import grp
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from haproxy.machine import ROOT
from processes import fetch, free_port, wait_until

UNITS = ROOT / "deploy" / "systemd"
UNIT = "linkrouter-blue@.service"
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
        ("linkrouter-backup.service", "linkrouter-backup.service"),
        ("linkrouter-backup.timer", "linkrouter-backup.timer"),
    ):
        found[name] = tmp_path / name.replace("@1", "@").replace("@2", "@")
        text = re.sub(r"/opt/linkrouter/\S+/bin/linkrouter", str(program), (UNITS / source).read_text())
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
        if path.suffix == ".timer":
            continue
        judged = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)], capture_output=True, text=True
        )

        exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", judged.stdout)[1])
        assert exposure <= MOST_EXPOSED, (name, judged.stdout)


def test_no_unit_holds_a_secret_or_lets_others_read_one():
    for path in UNITS.glob("*.service"):
        text = path.read_text()
        if path.name == "linkrouter-backup.service":
            assert not re.search("tokens|keys", text)
            continue

        assert "RuntimeDirectoryMode=0700" in text
        assert len(re.findall(r"(?m)^Exec\w+=\+/usr/bin/install -m 0400 -o linkrouter", text)) == 2
        assert not re.search(r"(?mi)^Environment=.*(token|secret|keys)", text)
        assert "LimitCORE=0" in text


def test_the_install_script_is_sound_and_finds_what_it_installs():
    script = ROOT / "deploy" / "install.sh"
    named = re.findall(r"\$here/([\w./@-]+)", script.read_text())
    assert subprocess.run(["sh", "-n", script]).returncode == 0
    assert len(named) > 10
    for name in named:
        path = script.parent / name.replace("$router", "blue-1").removesuffix("/.")
        brought = name.startswith("../") and not name.startswith("../haproxy")  # by a bundle or the package
        assert path.exists() or "env/" in name or brought, name


@pytest.mark.parametrize("arguments", [[], ["router"], ["colour", "mauve"]], ids=" ".join)
def test_the_install_script_without_sense_is_usage(arguments):
    done = subprocess.run(["sh", ROOT / "deploy" / "install.sh", *arguments], capture_output=True, text=True)

    assert done.returncode == 2
    assert "install.sh router HOSTNAME CENTRE_URL" in done.stderr


@pytest.mark.parametrize("umask", ["022", "027", "077"])
def test_what_the_install_script_makes_is_readable_for_the_services_under_any_umask(tmp_path, umask):
    """Its own function that makes a program, with a stand-in for the interpreter, and under it that for pip."""
    functions = (ROOT / "deploy" / "install.sh").read_text().rpartition('case "$#:')[0]
    functions = functions.replace("opt=/opt/linkrouter", f"opt={tmp_path}/opt")
    functions = functions.replace("units=/etc/systemd/system", f"units={tmp_path}")
    (tmp_path / "install.sh").write_text(functions)
    shutil.copytree(UNITS, tmp_path / "systemd")
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text('#!/bin/sh\nmkdir -p "$3/bin" && printf "#!/bin/sh\\n" > "$3/bin/pip" && chmod +x "$3/bin/pip"\n')
    python.chmod(0o755)
    command = f'umask {umask}; . "$0"; program blue source && activate blue'

    done = subprocess.run(
        ["sh", "-c", command, tmp_path / "install.sh"],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": f"{python.parent}:{os.defpath}"},
    )

    assert done.returncode == 0, done.stderr
    made = [tmp_path / "opt", *(tmp_path / "opt").rglob("*")]
    assert len(made) > 5
    for path in made:
        wanted = 0o555 if path.is_dir() or path.name == "pip" else 0o444
        assert path.stat().st_mode & wanted == wanted, path


def exec_lines(unit, kind, values):
    """Give the commands of *unit* of *kind*, with systemd's specifiers replaced; `+`, for root, is left out."""
    text = (UNITS / unit).read_text()
    for name, value in values.items():
        text = text.replace(name, value)
    return [line.removeprefix("+") for line in re.findall(rf"(?m)^{kind}=(.+)$", text)]


@pytest.fixture
def service(home):
    """A function that runs the Exec lines of a unit as they stand, with other paths; it gives one that reloads."""
    (home.path / "etc").mkdir()
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    for name in ("keys.json", "ingest-token", "api-token"):
        (home.path / name).rename(home.path / "etc" / name.replace("token", "tokens"))
    values = {
        "/etc/linkrouter": f"{home.path}/etc",
        "%t": f"{home.path}/run",
        "%j-%i": "blue-1",
        "/opt/linkrouter/%j/bin/linkrouter": f"{sys.executable} -m linkrouter",
        "/opt/linkrouter/central/bin/linkrouter": f"{sys.executable} -m linkrouter",
    }

    def start(unit, directory, *options):
        for name in ("linkrouter-central", "linkrouter"):
            values[f"-o {name} -g {name} "] = f"-o {user} -g {group} "
        (home.path / "run" / "linkrouter" / directory).mkdir(parents=True)
        for line in exec_lines(unit, "ExecStartPre", values):
            subprocess.run(line, shell=True, check=True)
        (line,) = exec_lines(unit, "ExecStart", values)
        process = home.start(*shlex.split(line)[3:], *options)

        def reload():
            for line in exec_lines(unit, "ExecReload", values):
                done = subprocess.run(line.replace("$MAINPID", str(process.pid)), shell=True, capture_output=True)
                if done.returncode:
                    return False
            return True

        return process, reload

    return start


def test_a_reload_of_a_routers_unit_kills_the_links_of_a_revoked_key(home, service):
    port, admin = free_port(), free_port()
    options = ("--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}")
    _, reload = service(UNIT, "blue-1", *options)
    wait_until(lambda: home.answers(port, "/-/ready"))
    old = home.run("keys", "canary", "etc/keys.json", "localhost").stdout.decode().split()[0]
    path = old.removeprefix("https://localhost")
    assert fetch(f"http://127.0.0.1:{port}{path}")[0] == 302

    home.run("keys", "rotate", "etc/keys.json")
    home.run("keys", "revoke", "etc/keys.json", "1")
    done = reload()

    assert done
    wait_until(lambda: fetch(f"http://127.0.0.1:{port}{path}")[0] == 404, 5.0)
    copy = home.path / "run" / "linkrouter" / "blue-1" / "keys.json"
    assert copy.stat().st_mode & 0o777 == 0o400


def test_a_reload_refuses_what_is_no_keyring_and_leaves_the_copy(home, service):
    port, admin = free_port(), free_port()
    options = ("--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}")
    _, reload = service(UNIT, "blue-1", *options)
    wait_until(lambda: home.answers(port, "/-/ready"))
    before = (home.path / "run" / "linkrouter" / "blue-1" / "keys.json").read_bytes()

    (home.path / "etc" / "keys.json").write_text("{")

    assert not reload()
    assert (home.path / "run" / "linkrouter" / "blue-1" / "keys.json").read_bytes() == before


def test_a_reload_of_centrals_unit_takes_the_tokens_of_the_moment(home, service):
    options = ("--listen", f"127.0.0.1:{home.central_port}")
    _, reload = service("linkrouter-central.service", "central", *options)
    wait_until(lambda: home.answers(home.central_port, "/-/ready"))

    def status(token):
        url = f"http://127.0.0.1:{home.central_port}/v1/clicks"
        return fetch(url, headers={"Authorization": f"Bearer {token}"})[0]

    leaked = (home.path / "etc" / "api-tokens").read_text().strip()
    assert status(leaked) == 200
    (home.path / "etc" / "api-tokens").write_text("n" * 40)

    assert reload()
    wait_until(lambda: status("n" * 40) == 200, 5.0)
    assert status(leaked) == 401


def test_haproxy_is_started_again_however_often_it_dies():
    text = (UNITS / "haproxy.conf").read_text()

    assert re.search(r"(?m)^\[Unit\]\nStartLimitIntervalSec=0$", text)
    assert re.search(r"(?m)^Restart=always$", text)

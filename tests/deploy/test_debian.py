"""The package on a fresh Debian with systemd: installed, upgraded under load, removed and purged."""

import asyncio
import json
import re
import shutil
import threading
import time

import pytest
from deploy.debian import make_bundle
from haproxy.load import HOST, Load
from haproxy.machine import edit_top
from haproxy.networks import run_inside
from processes import wait_until

from linkrouter.link import Keyring
from linkrouter.link.codec import encode_base64url

pytestmark = [pytest.mark.faults, pytest.mark.alone]
RATE = 60.0
OURS = (
    "/usr/lib/linkrouter",
    "/opt/linkrouter",
    "/etc/linkrouter",
    "/run/linkrouter",
    "/var/lib/linkrouter",
    "/var/lib/linkrouter-central",
)


@pytest.fixture(scope="module")
def installed(debian, packages):
    """The machine with package 0.1.0, central and routers."""
    for package in packages.values():
        shutil.copy(package, debian.root / "root")
    began = time.monotonic()
    said = debian.run("apt-get", "install", "-y", "/root/linkrouter_0.1.0_amd64.deb", "curl").stdout
    assert "next is 'linkrouter-install central'" in said
    installed_after = time.monotonic() - began
    debian.run("linkrouter-install", "central")
    install_routers(debian)
    print(f"installed after {installed_after:.1f} s, serves after {time.monotonic() - began:.1f} s")
    return debian


def install_routers(debian, script="linkrouter-install"):
    """Set up routers; where a process may not open as many files as haproxy.cfg needs, by the cure that is named."""
    command = (script, "router", HOST, "http://127.0.0.1:8090")
    done = debian.run(*command, check=False)
    if cure := re.search(r"set CONNECTIONS to (\d+) and BUSY to (\d+)", done.stderr):
        config = debian.root / "etc/haproxy/haproxy.cfg"
        config.write_text(edit_top(config.read_text(), {"CONNECTIONS": cure[1], "BUSY": cure[2]}))
        debian.run(*command)
    else:
        assert done.returncode == 0, done.stderr


def clicks(debian):
    """Give the link ids of all clicks that central has."""
    token = (debian.root / "etc/linkrouter/api-tokens").read_text().strip()
    url = "http://127.0.0.1:8090/v1/clicks?limit=1000"
    found, cursor = [], ""
    while True:
        page = json.loads(debian.run("curl", "-s", "-H", f"Authorization: Bearer {token}", url + cursor).stdout)
        found += [click["link_id"] for click in page["clicks"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


class Recipients:
    """They follow links of the machine, from inside its network, until they are told to stop."""

    def __init__(self, debian):
        self._keyring = Keyring.load(debian.root / "etc/linkrouter/keys.json")
        self._number = 0
        self._load = Load(("127.0.0.1", 443), debian.root / "etc/haproxy/linkrouter/self-signed.crt", RATE, self._link)
        self._thread = threading.Thread(target=run_inside, args=(debian.name, lambda: asyncio.run(self._run())))

    def _link(self):
        self._number += 1
        destination = f"https://example.com/{self._number}"
        return self._keyring.sign(destination, link_id=self._number.to_bytes(8, "big")), destination

    async def _run(self):
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        await self._load.run(self._stop, 600.0)

    def __enter__(self):
        self._thread.start()
        wait_until(lambda: len(self._load.outcomes) > RATE)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def outcomes(self):
        return self._load.outcomes


def test_it_is_installed_with_users_commands_pages_and_completions(installed):
    canary, destination = (installed.root / "etc/linkrouter/canaries").read_text().split()
    answer = installed.run("curl", "-skI", "--resolve", f"{HOST}:443:127.0.0.1", canary).stdout

    assert answer.startswith("HTTP/2 302")
    assert f"location: {destination}" in answer
    assert installed.run("linkrouter", "--version").stdout.split()[-1] == "0.1.0"
    assert "active" in installed.run("linkrouter-deploy", "status").stdout
    assert installed.run("id", "-un", "linkrouter-central").stdout.strip() == "linkrouter-central"
    assert (installed.root / "usr/share/man/man1/linkrouter-keys-rotate.1.gz").exists()
    assert (installed.root / "usr/share/bash-completion/completions/linkrouter").exists()
    assert installed.run("dpkg", "--verify", "linkrouter").stdout == ""
    assert not (installed.root / "usr/local/bin/linkrouter").exists()


def test_an_upgrade_under_load_loses_no_request_and_no_click(installed):
    with Recipients(installed) as recipients:
        said = installed.run("apt-get", "install", "-y", "/root/linkrouter_0.1.1_amd64.deb").stdout
        runs = installed.run("/opt/linkrouter/blue/bin/linkrouter", "--version").stdout.split()[-1]
        installed.run("systemctl", "restart", "linkrouter-blue@1")  # what runs can start again, with its own files
        installed.run("linkrouter-install", "colour", "green")
        installed.run("linkrouter-deploy", "--watch-s", "3", "switch", "green")
        installed.run("linkrouter-install", "central")

    assert "linkrouter-install colour green && linkrouter-deploy switch green" in said
    assert runs == "0.1.0"
    assert installed.run("/opt/linkrouter/green/bin/linkrouter", "--version").stdout.split()[-1] == "0.1.1"
    assert installed.run("/opt/linkrouter/central/bin/linkrouter", "--version").stdout.split()[-1] == "0.1.1"
    assert not installed.is_active("linkrouter-blue@1")
    bad = [outcome for outcome in recipients.outcomes if not outcome.is_good]
    print(f"{len(recipients.outcomes)} requests while upgraded, {len(bad)} not answered by their redirect")
    assert bad == []
    wanted = sorted(encode_base64url(outcome.number.to_bytes(8, "big")) for outcome in recipients.outcomes)
    wait_until(lambda: set(wanted) <= set(clicks(installed)), 60)
    assert sorted(link_id for link_id in clicks(installed) if link_id in set(wanted)) == wanted


def test_removed_it_keeps_what_is_yours_and_purged_it_leaves_nothing(installed):
    keys = (installed.root / "etc/linkrouter/keys.json").read_bytes()

    installed.run("apt-get", "remove", "-y", "linkrouter")

    assert (installed.root / "etc/linkrouter/keys.json").read_bytes() == keys
    assert (installed.root / "var/lib/linkrouter-central/central.db").exists()
    assert not (installed.root / "opt/linkrouter").exists()
    assert "linkrouter" not in installed.run("systemctl", "list-units", "--all", "--no-legend", "linkrouter*").stdout

    installed.run("apt-get", "purge", "-y", "linkrouter")

    assert [path for path in OURS if (installed.root / path.lstrip("/")).exists()] == []
    left = installed.run("find", "/etc", "/usr", "/opt", "/var/lib", "-name", "*linkrouter*").stdout.split()
    assert left == []
    assert "COLOUR_MAP" not in (installed.root / "etc/haproxy/haproxy.cfg").read_text()
    assert installed.is_active("haproxy")


def test_a_bundle_installs_without_a_network_and_goes_away_whole(installed):
    """The machine has been purged before, and its network is loopback alone."""
    bundle = make_bundle()
    shutil.copy(bundle, installed.root / "root")
    installed.run("apt-get", "install", "-y", "--no-install-recommends", "python3-venv")
    installed.run("tar", "-C", "/root", "-xf", f"/root/{bundle.name}")
    script = f"/root/{bundle.stem}/deploy/install.sh"

    installed.run(script, "central")
    install_routers(installed, script)

    canary, _ = (installed.root / "etc/linkrouter/canaries").read_text().split()
    answer = installed.run("curl", "-skI", "--resolve", f"{HOST}:443:127.0.0.1", canary).stdout
    assert answer.startswith("HTTP/2 302")
    assert (installed.root / "usr/local/share/man/man1/linkrouter-router.1").exists()

    installed.run(script, "uninstall", "--purge")

    assert [path for path in OURS if (installed.root / path.lstrip("/")).exists()] == []
    assert installed.run("find", "/etc", "/usr", "/opt", "/var/lib", "-name", "*linkrouter*").stdout == ""

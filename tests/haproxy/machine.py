"""One region on this machine: the shipped haproxy.cfg before real routers of two colours, and a centre.

Everything listens on free ports of one address; only the top of the configuration is edited, as an operator would.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from processes import HANG_S, free_port, room, wait_until

from haproxy import starter
from linkrouter.link import Keyring

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "haproxy" / "haproxy.cfg"
DEPLOY = ROOT / "deploy" / "linkrouter-deploy"
HOST = "click.example.com"
ROUTERS = ("blue-1", "blue-2", "green-1", "green-2")
CENTRE = "linkrouter-central.service"


def unit_of(name: str) -> str:
    colour, _, number = name.partition("-")
    return f"linkrouter-{colour}@{number}.service"


def edit_top(config: str, values: dict[str, str]) -> str:
    """Give *config* with other values in its first block, which is all that an operator edits."""
    for name, value in values.items():
        config, count = re.subn(rf"(?m)^(    setenv {name} +)(\"[^\"]*\"|\S+)", rf"\g<1>{value}", config)
        assert count == 1, name
    return config


def make_certificate(folder: Path, name: str, *options: str, before: tuple[str, ...] = ()) -> Path:
    """Make a self-signed certificate for *name*; give the file with it and its key."""
    key, certificate, both = (folder / f"{name}.{end}" for end in ("key", "crt", "pem"))
    subprocess.run(
        [
            *(
                *before,
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-sha256",
            ),
            *("-days", "90", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", key, "-out", certificate, *options),
        ],
        check=True,
        capture_output=True,
    )
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both


@dataclass
class Machine:
    """A region in *home*. `start` it, `stop` it; in between do to it what may happen."""

    home: Path
    address: str = "127.0.0.1"
    namespace: str | None = None
    centre_url: str = ""  # of a centre elsewhere; by default one is started here
    router_options: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    keyring: Keyring = field(default_factory=Keyring.create)

    def __post_init__(self):
        self.home.mkdir(parents=True, exist_ok=True)
        self.sign_number = 0
        self.host = f"[{self.address}]" if ":" in self.address else self.address
        for name in (
            "http",
            "https",
            "acme",
            "metrics",
            "centre",
            "admin-centre",
            *ROUTERS,
            *(f"admin-{name}" for name in ROUTERS),
        ):
            self.ports.setdefault(name, free_port())
        self.keyring.save(self.home / "keys.json")
        for name in ("ingest-token", "api-token"):
            if not (self.home / name).exists():
                (self.home / name).touch(mode=0o600)
                (self.home / name).write_text(secrets.token_urlsafe(32) + "\n")
        self.certificate = make_certificate(self.home, HOST)
        (self.home / "crt-list.txt").write_text(f"{self.certificate}\n")
        (self.home / "names.txt").write_text(f"{HOST}\n")
        (self.home / "colour.map").write_text("colour blue\n")
        shutil.copy(starter.__file__, self.home / "starter.py")
        path, destination = self.link()
        (self.home / "canaries").write_text(f"https://{HOST}{path} {destination}\n")
        self.config = self.home / "haproxy.cfg"
        self.config.write_text(edit_top(CONFIG.read_text(), self._values()))
        self._write_units()

    def _values(self) -> dict[str, str]:
        routers = {name.upper().replace("-", "_"): f"127.0.0.1:{self.ports[name]}" for name in ROUTERS}
        return routers | {
            "HTTP": f"{self.host}:{self.ports['http']}",
            "HTTPS": f"{self.host}:{self.ports['https']}",
            "ACME": f"127.0.0.1:{self.ports['acme']}",
            "METRICS": f"127.0.0.1:{self.ports['metrics']}",
            "CERTIFICATES": str(self.home / "crt-list.txt"),
            "NAMES": str(self.home / "names.txt"),
            "COLOUR_MAP": str(self.home / "colour.map"),
            "ADMIN_SOCKET": str(self.home / "admin.sock"),
            "CONNECTIONS": "2000",
            "BUSY": "1500",
        }

    def _write_units(self) -> None:
        (self.home / "router.env").write_text("# nothing that routers share\n")
        centre = self.centre_url or f"http://{self.host}:{self.ports['centre']}"
        for name in ROUTERS:
            (self.home / f"{name}.env").write_text(f"LINKROUTER_ADMIN_LISTEN=127.0.0.1:{self.ports['admin-' + name]}\n")
            self._write_unit(
                unit_of(name),
                *("router", "--keys", "keys.json", "--click-store", "sqlite:///spool", "--router-id", name),
                *(
                    "--listen",
                    f"127.0.0.1:{self.ports[name]}",
                    "--admin-listen",
                    f"127.0.0.1:{self.ports['admin-' + name]}",
                ),
                *("--ingest-url", centre, "--ingest-token-file", "ingest-token"),
                **self.router_options,
            )
        self._write_unit(
            CENTRE,
            *("central", "--listen", f"{self.host}:{self.ports['centre']}", "--database", "sqlite:///central.db"),
            *("--admin-listen", f"127.0.0.1:{self.ports['admin-centre']}"),
            *("--ingest-token-file", "ingest-token", "--api-token-file", "api-token"),
        )

    def _write_unit(self, unit: str, *arguments: str, **environment: str) -> None:
        (self.home / "units").mkdir(exist_ok=True)
        command = [*self._inside(), sys.executable, "-m", "linkrouter", *arguments]
        what = {"command": command, "environment": environment}
        (self.home / "units" / f"{unit}.json").write_text(json.dumps(what))

    def _inside(self) -> list[str]:
        return ["ip", "netns", "exec", self.namespace] if self.namespace else []

    # Links

    def link(self) -> tuple[str, str]:
        """Give the path of a fresh link and where it leads; its link id is a number, in eight bytes."""
        self.sign_number += 1
        destination = f"https://example.com/{self.sign_number}?to=https%3A%2F%2Fexample.org%2F&x=%7e"
        return self.keyring.sign(destination, link_id=self.sign_number.to_bytes(8, "big")), destination

    def give_key(self) -> None:
        """Give the routers a keyring with a fresh key, as an operator does before senders get it."""
        self._next_keyring = self.keyring.rotate()
        self._next_keyring.save(self.home / "keys.json")
        for name in ROUTERS:
            self.signal(name, signal.SIGHUP)

    def use_key(self) -> None:
        """Sign with the fresh key from now on."""
        self.keyring = self._next_keyring

    # Routers and centre

    def start(self, name: str) -> None:
        starter.start(self.home, unit_of(name) if name in ROUTERS else name)

    def stop(self, name: str) -> None:
        starter.stop(self.home, unit_of(name) if name in ROUTERS else name)

    def signal(self, name: str, number: int) -> None:
        pid = starter.find_pid(self.home, unit_of(name) if name in ROUTERS else name)
        if pid is not None:
            os.kill(pid, number)

    def revive(self, name: str) -> None:
        """Start a killed router again, as systemd does 250 ms later; return when HAProxy finds it ready."""
        wait_until(lambda: starter.find_pid(self.home, unit_of(name)) is None)
        self.start(name)
        self.wait_up(name)

    def wait_up(self, name: str) -> None:
        wait_until(lambda: self.sees_up(name))

    # HAProxy

    def start_haproxy(self, within_s: float = 15.0) -> None:
        self._haproxy_log = open(self.home / "haproxy.log", "ab")  # noqa: SIM115 - closed in `end`
        unprivileged = {} if os.geteuid() == 0 else {"UNPRIVILEGED": "1"}
        self.haproxy = subprocess.Popen(
            [*self._inside(), "haproxy", "-W", "-f", self.config],
            stdin=subprocess.DEVNULL,
            stdout=self._haproxy_log,
            stderr=self._haproxy_log,
            env={**os.environ, **unprivileged},
        )
        wait_until(lambda: self._logged("Loading success"), within_s)

    def reload_haproxy(self) -> None:
        """Have the master start a new worker; it misses a signal that comes right after it has done so."""
        begun, loaded = self._logged("Reloading HAProxy"), self._logged("Loading success")
        while self._logged("Reloading HAProxy") == begun:
            self.haproxy.send_signal(signal.SIGUSR2)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: self._logged("Reloading HAProxy") > begun, 1.0)
        wait_until(lambda: self._logged("Loading success") > loaded)

    def _logged(self, words: str) -> int:
        return (self.home / "haproxy.log").read_text().count(words)

    def ask_haproxy(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.home / "admin.sock"))
            connection.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def sees_up(self, name: str) -> bool:
        colour = name.partition("-")[0]
        row = next(line for line in self.ask_haproxy("show stat").splitlines() if line.startswith(f"{colour},{name},"))
        return row.split(",")[17] == "UP"

    def deploy(self, *arguments: str, **more) -> subprocess.CompletedProcess:
        """Run linkrouter-deploy as an operator of this machine."""
        return subprocess.run(
            self.deploy_command(*arguments), **{"capture_output": True, "text": True, "timeout": 2 * HANG_S} | more
        )

    def deploy_command(self, *arguments: str) -> list[str]:
        """Give the command line of linkrouter-deploy with the options of this machine, but those among *arguments*."""
        options = {
            "--socket": self.home / "admin.sock",
            "--canaries": self.home / "canaries",
            "--front": f"{self.host}:{self.ports['https']}",
            "--ca": self.home / f"{HOST}.crt",
            "--keys": self.home / "keys.json",
            "--settings": self.home,
            "--machines": self.home / "machines",
            "--program": f"{sys.executable} -m linkrouter",
            "--service-manager": f"{sys.executable} {self.home / 'starter.py'}",
            "--watch-s": "0.5",
            "--ready-s": f"{min(15 * room(), HANG_S / 2):.0f}",
        }
        given = [text for pair in options.items() if pair[0] not in arguments for text in map(str, pair)]
        return [sys.executable, str(DEPLOY), *given, *map(str, arguments)]

    # All of it

    def begin(self, colour: str = "blue") -> None:
        """Start the centre, the pair of *colour* and HAProxy, and return when requests are answered."""
        if not self.centre_url:
            self.start(CENTRE)
        for name in ROUTERS:
            if name.startswith(colour):
                self.start(name)
        self.start_haproxy()
        for name in ROUTERS:
            if name.startswith(colour):
                self.wait_up(name)

    def end(self) -> None:
        for name in ROUTERS:
            self.signal(name, signal.SIGTERM)
        for name in (*ROUTERS, CENTRE):
            self.stop(name)
        with contextlib.suppress(AttributeError):
            self.haproxy.terminate()
            self.haproxy.wait(10)
            self._haproxy_log.close()

    def log(self) -> str:
        """Give everything that HAProxy, routers and centre have written."""
        return "".join(path.read_text() for path in [self.home / "haproxy.log", *(self.home / "log").iterdir()])

    def clicks(self) -> list[dict]:
        """Give all clicks the centre has."""
        found, cursor = [], ""
        while True:
            page = self.ask_centre(f"/v1/clicks?limit=1000{cursor}")
            found += page["clicks"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def ask_centre(self, path: str) -> dict:
        token = (self.home / "api-token").read_text().strip()
        request = urllib.request.Request(
            f"http://{self.host}:{self.ports['centre']}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=HANG_S) as answer:
            return json.load(answer)
